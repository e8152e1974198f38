"""Hidden activations mixed with one another, and their targets with them."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainsmith.catalogue import NON_NEGATIVE, Hyperparameter, technique
from trainsmith.errors import InvalidInput
from trainsmith.regularization.draws import one, pairing
from trainsmith.regularization.mixing import mixed_loss
from trainsmith.regularization.passes import Loss, needs_module


@technique(
    "regularization",
    "pass",
    name="manifold-mixup",
    alpha=Hyperparameter(
        "of the Beta distribution of the shares; 0 mixes nothing", (0.1, 2.0), "log", NON_NEGATIVE, True
    ),
)
class ManifoldMixup(nn.Module):
    """Manifold mixup: what enters a layer drawn at random is a weighted mean of two examples, as is the loss.

        h_k' = share * h_k,i + (1 - share) * h_k,j   at one of the layers k with weights, the first one's input included
        loss = share * loss(f_k(h_k'), y_i) + (1 - share) * loss(f_k(h_k'), y_j)
        share = max(b, 1 - b),   b ~ Beta(alpha, alpha),   j = a random order of the batch

    Paper: Verma, Lamb, Beckham, Najafi, Mitliagkas, Lopez-Paz & Bengio 2019, Manifold mixup: better representations by
    interpolating hidden states, section 2, equation 1.

    Differs: 1. One share, one order and one layer for the batch, as in the authors' code. 2. Any layer with weights may
    be drawn, each as likely; the paper chooses a set by hand. 3. The larger share goes to the first example. 4. Layers
    that see no rows of examples, such as embeddings of characters, or are not called as modules mix nothing when drawn,
    neither examples nor losses. 5. A layer called more than once mixes at its first call; attention mixes all it is
    given: queries, keys and values.

    Pitfall: training losses and accuracies are those of mixtures. It wants more steps than plain training.

    Helps: classification with few examples or wrong labels; flatter class regions in hidden layers. Not in short
    trainings.

    >>> import torch
    >>> from torch import nn
    >>> from trainsmith.regularization import ManifoldMixup
    >>> network, x, y = nn.Linear(1, 1), torch.ones(2, 1), torch.zeros(2, 1)
    >>> loss = ManifoldMixup(1.0)(network, nn.functional.mse_loss, x, y)
    >>> torch.allclose(loss, nn.functional.mse_loss(network(x), y))    # both examples are the same
    True
    """

    alpha: Tensor

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("alpha", torch.tensor(float(alpha)))

    def forward(self, network: nn.Module, loss: Loss, x: Tensor, y: Tensor) -> Tensor:
        """The mixed loss of the batch x (n, ...), y (n, ...)."""
        if not isinstance(network, nn.Module):
            raise InvalidInput(needs_module(self, network))
        layers = [m for m in network.modules() if any(p.ndim >= 2 for p in m.parameters(recurse=False))]
        kind = next((p.dtype for p in network.parameters()), torch.float32)
        like = x if x.is_floating_point() else torch.zeros_like(x, dtype=kind)
        order, share = pairing(self.alpha, like)
        drawn = (one(like) * len(layers)).floor()
        reached: set[int] = set()

        def mixed(place: int) -> Any:
            def before(module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
                rows = [isinstance(h, Tensor) and h.is_floating_point() and len(h) == len(x) for h in given]
                if place in reached or not any(rows):
                    return given
                reached.add(place)
                own = torch.where(drawn == place, share, 1)
                return tuple(
                    _mixed(h, own.to(h.dtype), order) if row else h for h, row in zip(given, rows, strict=True)
                )

            return before

        hooks = [layer.register_forward_pre_hook(mixed(place)) for place, layer in enumerate(layers)]
        try:
            outputs = network(x)
        finally:
            for hook in hooks:
                hook.remove()
        hit = sum((drawn == place for place in reached), torch.zeros_like(drawn))
        return mixed_loss(loss, outputs, y, y[order], torch.where(hit > 0, share, 1))


def _mixed(h: Tensor, share: Float[Tensor, ""], order: Tensor) -> Tensor:
    return share * h + (1 - share) * h[order]
