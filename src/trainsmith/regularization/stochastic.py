"""What chooses at random in training and averages in evaluation: pooling, depth, many masks."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainsmith.catalogue import FRACTION, Hyperparameter, technique
from trainsmith.errors import InvalidInput
from trainsmith.regularization.draws import one_each, uniform_like
from trainsmith.regularization.inputs import needs_batch


@technique("regularization", "pooling", name="stochastic-pooling", aliases=("stochasticpooling",))
class StochasticPool2d(nn.Module):
    """Stochastic pooling: of each region one activation is drawn, the larger the likelier; evaluation takes the mean.

        p_i = a_i / sum_k a_k;   training: a_l with l ~ p;   evaluation: sum_i p_i a_i

    Paper: Zeiler & Fergus 2013, Stochastic pooling for regularization of deep convolutional neural networks, equations
    4 to 6.

    Differs: 1. What does not fill a region is left out, as in torch's max pooling. 2. In a study it takes the place of
    the network's max and average pooling with square regions that do not overlap the border.

    Pitfall: activations must not be negative: behind ReLU, not behind tanh. A region of zeros gives 0.

    Helps: convolutional networks on few images, in the place of max pooling. Not behind activations that can be
    negative.

    >>> import torch
    >>> from trainsmith.regularization import StochasticPool2d
    >>> StochasticPool2d(2).eval()(torch.tensor([[[[0.0, 1.0], [0.0, 3.0]]]])).item()
    2.5
    """

    activations = ("relu", "sigmoid", "hard-sigmoid", "softplus")

    def __init__(self, kernel: int = 2, stride: int | None = None) -> None:
        super().__init__()
        if kernel < 1 or (stride is not None and stride < 1):
            raise InvalidInput(f"kernel and stride must be whole numbers of at least 1; got {kernel} and {stride}.")
        self.kernel, self.stride = kernel, stride or kernel

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c a b"]:
        """One activation drawn from each region in training, their probability-weighted mean in evaluation."""
        if min(x.shape[-2:]) < self.kernel:
            raise InvalidInput(f"images must be at least {self.kernel} pixels high and wide; got {tuple(x.shape)}.")
        parts = self._regions(x)
        total = sum(parts[1:], parts[0])
        if not self.training:
            squares = sum((a * a for a in parts[1:]), parts[0] * parts[0])
            return squares / torch.where(total > 0, total, 1)
        level = uniform_like(total) * total  # the first whose cumulated activations exceed it
        pooled, cumulated = parts[0], parts[0]
        for a in parts[1:]:
            pooled = torch.where(cumulated <= level, a, pooled)
            cumulated = cumulated + a
        return pooled

    def _regions(self, x: Tensor) -> list[Tensor]:
        """The activations at each place within the regions, as kernel² images of one number a region."""
        rows, columns = ((s - self.kernel) // self.stride + 1 for s in x.shape[-2:])
        down, right = (self.stride * (n - 1) + 1 for n in (rows, columns))
        side = range(self.kernel)
        return [x[..., i : i + down : self.stride, j : j + right : self.stride] for i in side for j in side]


@technique(
    "regularization",
    "branch",
    name="stochastic-depth",
    aliases=("drop-path", "stochasticdepth"),
    rate=Hyperparameter("probability that the last branch is dropped", (0.02, 0.5), "linear", FRACTION, tuned=True),
)
class DropBranch(nn.Module):
    """Stochastic depth: in training whole residual branches are switched off for an example, later ones more often.

        y = x + F_l(x) * b_l / (1 - p_l),   b_l ~ Bernoulli(1 - p_l),   p_l = l / L * rate for branch l of L
        evaluation: y = x + F_l(x)

    Paper: Huang, Sun, Liu, Sedra & Weinberger 2016, Deep networks with stochastic depth, equations 2, 4 and 5.

    Differs: 1. Scaled in training instead of evaluation. 2. One b_l for each example, as in later work; the paper draws
    one for the batch. 3. Dropped branches are computed all the same: it saves no time.

    Pitfall: without a normalization behind the sum the scale 1 / (1 - p) makes deep networks' outputs noisier.

    Helps: deep residual networks and transformers. Not in shallow networks, nor in those without residual branches.

    >>> import torch
    >>> from trainsmith.regularization import DropBranch
    >>> DropBranch(0.0)(torch.ones(1, 2)).tolist()
    [[1.0, 1.0]]
    """

    rate: Tensor

    def __init__(self, rate: float = 0.2, share: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("rate", torch.tensor(float(rate)))
        self.share = share

    def forward(self, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        """A branch's outputs with those of some examples at 0 in training, the outputs themselves in evaluation."""
        if not self.training:
            return x
        if x.ndim < 2:
            raise InvalidInput(needs_batch("stochastic-depth", x))
        rate = self.rate * self.share
        kept = one_each(x) >= rate
        return x * kept.view(-1, *(1,) * (x.ndim - 1)) / (1 - rate)


class StochasticDepth(nn.Module):
    """A residual block x + branch(x) with stochastic depth, to be used alone: see DropBranch."""

    def __init__(self, branch: nn.Module, rate: float = 0.2) -> None:
        super().__init__()
        self.branch, self.drop = branch, DropBranch(rate)

    def forward(self, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        """x plus the branch's outputs, or plus nothing, for each example."""
        return x + self.drop(self.branch(x))


def linear_decay(layer: int, layers: int, last: float = 0.5) -> float:
    """The rate of residual block `layer` (1 to layers):  layer / layers * last  (Huang et al. 2016, equation 4)."""
    return layer / layers * last


@torch.no_grad()
def monte_carlo_dropout(
    network: nn.Module, x: Float[Tensor, "n ..."], samples: int = 50
) -> tuple[Float[Tensor, "n c"], Float[Tensor, " n"]]:
    """Monte Carlo dropout: mean class probabilities over `samples` masks, and the mutual information in nats.

        mean = 1/T sum_t softmax(f_t(x));   information = H(mean) - 1/T sum_t H(softmax(f_t(x)))

    Only modules whose name has "Dropout" in it are in training mode meanwhile; the network is put back afterwards.
    Paper: Gal & Ghahramani 2016, Dropout as a Bayesian approximation; Houlsby et al. 2011 for the information.
    """
    if samples < 1:
        raise InvalidInput(f"samples must be a whole number of at least 1; got {samples!r}.")
    modes = {module: module.training for module in network.modules()}
    network.eval()
    for module in network.modules():
        module.training = "Dropout" in type(module).__name__
    try:
        probabilities = torch.stack([network(x).softmax(-1) for _ in range(samples)])
    finally:
        for module, mode in modes.items():
            module.training = mode
    mean = probabilities.mean(0)
    information = _entropy(mean) - _entropy(probabilities).mean(0)
    return mean, information.clamp(min=0)  # entropy is concave: what lies below 0 is rounding


def _entropy(p: Tensor) -> Tensor:
    return -torch.special.xlogy(p, p).sum(-1)


__all__ = ["DropBranch", "StochasticDepth", "StochasticPool2d", "linear_decay", "monte_carlo_dropout"]
