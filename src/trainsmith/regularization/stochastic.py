"""Layers that choose at random in training and average in evaluation, to be used alone: pooling, depth, many masks."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class StochasticPool2d(nn.Module):
    """Stochastic pooling: an activation of each region is drawn with a probability proportional to its size.

        p_i = a_i / sum_k a_k;   training: a_l with l ~ p;   evaluation: sum_i p_i a_i

    Activations must not be negative (behind ReLU); a region of zeros gives 0. Paper: Zeiler & Fergus 2013, Stochastic
    pooling for regularization of deep convolutional neural networks, equations 4 to 6. Input (n, c, h, w); regions
    are kernel × kernel, `stride` apart (default kernel), and what does not fill one is left out, as in max pooling.
    """

    def __init__(self, kernel: int = 2, stride: int | None = None) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride or kernel

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c a b"]:
        """One activation drawn from each region in training, their probability-weighted mean in evaluation."""
        rows, columns = ((s - self.kernel) // self.stride + 1 for s in x.shape[-2:])
        regions = functional.unfold(x.flatten(0, 1)[:, None], self.kernel, stride=self.stride).mT  # (n c, places, k²)
        total = regions.sum(-1, keepdim=True)
        p = regions / torch.where(total > 0, total, 1)
        if self.training:
            level = torch.rand_like(total) * total  # the first i whose cumulated activations exceed it
            chosen = (regions.cumsum(-1) <= level).sum(-1, keepdim=True).clamp(max=regions.shape[-1] - 1)
            pooled = regions.gather(-1, chosen)[..., 0]
        else:
            pooled = (p * regions).sum(-1)
        return pooled.view(*x.shape[:2], rows, columns)


class StochasticDepth(nn.Module):
    """Stochastic depth: a residual branch is switched off for an example with probability `rate` in training.

        y = x + branch(x) * b / (1 - rate),   b ~ Bernoulli(1 - rate) for each example;   evaluation: y = x + branch(x)

    Paper: Huang, Sun, Liu, Sedra & Weinberger 2016, Deep networks with stochastic depth, equations 2 and 5. Differs:
    scaled in training instead of evaluation; the paper draws one b for the batch, later work one for each example.
    """

    def __init__(self, branch: nn.Module, rate: float = 0.2) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"rate must lie in [0, 1); got {rate}.")
        self.branch, self.rate = branch, rate

    def forward(self, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        """x plus the branch's outputs, or plus nothing, for each example."""
        if not self.training:
            return x + self.branch(x)
        kept = torch.rand_like(x.flatten(1)[:, 0]) >= self.rate
        return x + self.branch(x) * kept.view(-1, *(1,) * (x.ndim - 1)) / (1 - self.rate)


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
    return mean, _entropy(mean) - _entropy(probabilities).mean(0)


def _entropy(p: Tensor) -> Tensor:
    return -torch.special.xlogy(p, p).sum(-1)


__all__ = ["StochasticDepth", "StochasticPool2d", "linear_decay", "monte_carlo_dropout"]
