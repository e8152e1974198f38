"""Tied weights by name: a decoder made of its encoder's weights, and layers of one shape drawn to one another."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from trainsmith.catalogue import NON_NEGATIVE, Hyperparameter, technique
from trainsmith.errors import InvalidInput
from trainsmith.regularization.sharing import soft_tying


class Transposed(nn.Module):
    """A linear layer whose weight is another's transposed, W^T h + c: it has that weight, and a bias of its own."""

    def __init__(self, encoder: nn.Linear, bias: bool = True) -> None:
        super().__init__()
        self.weight = encoder.weight
        self.bias = nn.Parameter(encoder.weight.new_zeros(encoder.in_features)) if bias else None

    def forward(self, h: Float[Tensor, "... features"]) -> Float[Tensor, "... inputs"]:
        """The layer's outputs."""
        return functional.linear(h, self.weight.T, self.bias)


def mirrored(network: nn.Module) -> list[tuple[nn.Linear, str]]:
    """Each linear layer of the first half with the name of its mirror image, where that has its shape transposed.

    Nothing where the outermost two do not: the network is no autoencoder then.
    """
    layers = [(name, m) for name, m in network.named_modules() if type(m) is nn.Linear]
    pairs = list(zip(layers, reversed(layers), strict=True))[: len(layers) // 2]
    fits = [first.weight.shape == last.weight.T.shape for (_, first), (_, last) in pairs]
    if not any(fits[:1]):
        return []
    return [(first, name) for ((_, first), (name, _)), fit in zip(pairs, fits, strict=True) if fit]


@technique("regularization", "tying", name="tied-weights", aliases=("tied-autoencoder",))
def tied_weights(network: nn.Module) -> nn.Module:
    """Tied weights: the decoder of an autoencoder uses the transposed weights of its encoder.

        encoder: h_i = f(W_i h_(i-1) + b_i), i = 1 ... m;   decoder: g_(i-1) = f(W_i^T g_i + c_i), i = m ... 1

    Paper: Vincent, Larochelle, Lajoie, Bengio & Manzagol 2010, Stacked denoising autoencoders, section 2.2,
    unnumbered.

    Differs: 1. In any network whose linear layers mirror one another in shape, the outermost two at least, in the order
    in which it holds them; a layer in the middle stays as it is. 2. The decoder's biases start at 0.

    Pitfall: W has the sum of both gradients, so that a learning rate found without tying may be too large. An
    initialization sees the encoder alone. Half of the weights: compare at equal numbers of them too.

    Helps: autoencoders of few data; a linear one comes nearer to principal components. Not where data suffice to learn
    the decoder by itself.

    >>> import torch
    >>> from torch import nn
    >>> from trainsmith.regularization import tied_weights
    >>> network = tied_weights(nn.Sequential(nn.Linear(4, 2), nn.Tanh(), nn.Linear(2, 4)))
    >>> network[2].weight is network[0].weight, len(list(network.parameters()))
    (True, 3)

    In place. Raises InvalidInput for a network without such layers.
    """
    pairs = mirrored(network)
    if not pairs:
        raise InvalidInput(
            "tied-weights needs an autoencoder of linear layers, whose last weight has the shape of the first one's "
            "transposed."
        )
    for encoder, name in pairs:
        decoder = network.get_submodule(name)
        network.set_submodule(name, Transposed(encoder, decoder.bias is not None).train(decoder.training))
    return network


@technique(
    "regularization",
    "penalty",
    name="soft-tying",
    strength=Hyperparameter("loss per unit of squared distance", (1e-6, 1e-1), "log", NON_NEGATIVE, tuned=True),
)
class SoftTying(nn.Module):
    """Soft tying: layers of the same shape cost what their weights differ.

        J = loss + strength * sum |W_a - W_b|^2   over each weight W_a and the next one W_b of its shape

    Paper: Lasserre, Bishop & Minka 2006, Principled hybrids of generative and discriminative models, section 2;
    Goodfellow et al. 2016, Deep Learning, section 7.9, unnumbered.

    Differs: 1. Between layers of one network, each with the next of its shape; the paper ties those of two models.

    Pitfall: that weights of hidden layers lie near to one another is a strong belief: units have no order that two
    layers would share, unless training gives them one.

    Helps: deep networks of equal layers on few data; between independent and recurrent, which it becomes without end.
    Not between layers of unequal shapes, which have nothing to tie.

    >>> import torch
    >>> from trainsmith.regularization import SoftTying
    >>> SoftTying(0.5)([torch.tensor([[1.0, 2.0]]), torch.ones(3, 1), torch.tensor([[1.0, 4.0]])]).item()
    2.0
    """

    strength: Tensor

    def __init__(self, strength: float = 1e-3) -> None:
        super().__init__()
        self.register_buffer("strength", torch.tensor(float(strength)))

    @classmethod
    def unmet(cls, network: nn.Module, x: Tensor) -> str:
        """Why this cannot act on a network, or nothing."""
        weights = [p for p in network.parameters() if p.ndim >= 2 and p.requires_grad]
        return "" if _pairs(weights) else "no two weights of the network have the same shape"

    def forward(self, weights: Sequence[Float[Tensor, "..."]]) -> Float[Tensor, ""]:
        """The penalty, a scalar, of weight tensors of any shapes."""
        pairs = _pairs(weights)
        return soft_tying(pairs, self.strength) if pairs else self.strength.new_zeros(())


def _pairs(weights: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Each weight with the next one of its shape."""
    last: dict[torch.Size, Tensor] = {}
    pairs = []
    for w in weights:
        if w.shape in last:
            pairs.append((last[w.shape], w))
        last[w.shape] = w
    return pairs
