"""Examples mixed with one another, and their targets with them."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from trainsmith.catalogue import NON_NEGATIVE, Hyperparameter, Interval, technique
from trainsmith.errors import InvalidInput
from trainsmith.regularization.draws import drawn_type, one, pairing, partners, symmetric_beta
from trainsmith.regularization.inputs import needs_floats, needs_images
from trainsmith.regularization.passes import Loss

Mixed = tuple[Shaped[Tensor, "n *axes"], Shaped[Tensor, " n"], Float[Tensor, ""]]
"""Mixed examples, the targets of what was mixed in, and the share of the first: see `mixed_loss`."""


def mixed_loss(
    loss: Loss, outputs: Tensor, y: Shaped[Tensor, "n ..."], other: Shaped[Tensor, "n ..."], share: Float[Tensor, ""]
) -> Float[Tensor, ""]:
    """share * loss(outputs, y) + (1 - share) * loss(outputs, other)."""
    return share * loss(outputs, y) + (1 - share) * loss(outputs, other)


@technique(
    "regularization",
    "mixing",
    alpha=Hyperparameter("of the Beta distribution of the shares; 0 mixes nothing", (0.1, 1.0), "log", NON_NEGATIVE,
                         tuned=True),
)  # fmt: skip
class Mixup(nn.Module):
    """Mixup: the network is trained on weighted means of two examples, with the same mean of their losses.

        x' = share * x_i + (1 - share) * x_j,   loss = share * loss(x', y_i) + (1 - share) * loss(x', y_j)
        share = max(b, 1 - b),   b ~ Beta(alpha, alpha),   j = a random order of the batch

    Paper: Zhang, Cisse, Dauphin & Lopez-Paz 2018, mixup: beyond empirical risk minimization, section 1, unnumbered
    (the formula), and section 2.

    Differs: 1. One share for the batch, as in the authors' code. 2. The larger share goes to the first example: the
    batch is the same but for its order, and alpha 0 mixes nothing. 3. Losses are mixed, not targets: the same for
    cross-entropy, and the same gradient for squared error.

    Pitfall: training losses and accuracies are those of mixtures. A large alpha underfits small networks.

    Helps: classification with few examples or wrong labels. Not for small networks that underfit.

    >>> import torch
    >>> from trainsmith.regularization import Mixup
    >>> x, y = torch.tensor([[1.0], [2.0]]), torch.tensor([0, 1])
    >>> mixed, other, share = Mixup(0.0)(x, y)
    >>> mixed.tolist(), share.item()
    ([[1.0], [2.0]], 1.0)
    """

    kinds = ("image", "table")
    alpha: Tensor

    def __init__(self, alpha: float = 0.2) -> None:
        super().__init__()
        self.register_buffer("alpha", torch.tensor(float(alpha)))

    def forward(self, x: Shaped[Tensor, "n *axes"], y: Shaped[Tensor, " n"]) -> Mixed:
        """Mixed examples with the targets and the share that belong to them; in evaluation x itself and share 1."""
        if not self.training:
            return x, y, _all_of(x)
        if not x.is_floating_point():
            raise InvalidInput(needs_floats("mixup", x))
        order, share = pairing(self.alpha, x)
        return share * x + (1 - share) * x[order], y[order], share


@technique(
    "regularization",
    "mixing",
    alpha=Hyperparameter("of the Beta distribution of the shares", (0.2, 2.0), "log", Interval(0, 100, True)),
    rate=Hyperparameter("probability that a batch is mixed", (0.1, 1.0), "linear", Interval(0, 1), tuned=True),
)
class CutMix(nn.Module):
    """CutMix: a box of each image is replaced by that of another, and the losses are mixed by area.

        box: sides floor(W sqrt(1 - b)) and floor(H sqrt(1 - b)), b ~ Beta(alpha, alpha), around a random pixel, cut
        at the edges;   share = 1 - area of the box / (W H);   loss = share * loss(y_i) + (1 - share) * loss(y_j)

    Paper: Yun, Han, Oh, Chun, Choe & Yoo 2019, CutMix: regularization strategy to train strong classifiers with
    localizable features, equations 1 and 2.

    Differs: 1. share is the area that is left after the box was cut at the edges, as in the authors' code. 2. One box
    for the batch, as there.

    Pitfall: an object in a corner of the image may be gone while its class keeps the share.

    Helps: classification of images; the network learns to look at more than one part of an object. Not for small
    objects, which the patch may hide or miss.

    >>> import torch
    >>> from trainsmith.regularization import CutMix
    >>> x, y = torch.rand(2, 1, 4, 4), torch.tensor([0, 1])
    >>> mixed, other, share = CutMix(rate=0.0)(x, y)
    >>> torch.equal(mixed, x), share.item()
    (True, 1.0)
    """

    kinds = ("image",)
    alpha: Tensor
    rate: Tensor

    def __init__(self, alpha: float = 1.0, rate: float = 0.5) -> None:
        super().__init__()
        self.register_buffer("alpha", torch.tensor(float(alpha)))
        self.register_buffer("rate", torch.tensor(float(rate)))

    def forward(self, x: Shaped[Tensor, "..."], y: Shaped[Tensor, " n"]) -> Mixed:
        """Mixed images of any type with the targets and the share that belong to them; in evaluation x and share 1."""
        if not self.training:
            return x, y, _all_of(x)
        if x.ndim != 4:
            raise InvalidInput(needs_images("cutmix", x))
        height, width = x.shape[-2:]
        order = partners(x)
        cut = (1 - symmetric_beta(self.alpha, x)).clamp(0, 1).sqrt()
        cut = torch.where(one(x) < self.rate, cut, 0)
        rows, columns = _span(one(x), cut, height), _span(one(x), cut, width)
        box = rows[:, None] & columns
        share = 1 - box.to(cut.dtype).mean()
        return torch.where(box, x[order], x), y[order], share


def _all_of(x: Tensor) -> Float[Tensor, ""]:
    return torch.ones((), dtype=drawn_type(x), device=x.device)


def _span(u: Float[Tensor, ""], cut: Float[Tensor, ""], size: int) -> Tensor:
    """Which of `size` positions lie in a span of floor(cut * size) around a random one."""
    length = (cut * size).floor()
    start = (u * size).floor() - (length / 2).floor()
    positions = torch.arange(size, device=u.device)
    return (positions >= start) & (positions < start + length)
