"""Terms of the loss from a second look at the same batch: another dropout mask, or the slope at the inputs."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainsmith.catalogue import NON_NEGATIVE, Hyperparameter, technique
from trainsmith.catalogue.half import single
from trainsmith.regularization.passes import Loss, input_gradient, still


@technique(
    "regularization",
    "pass",
    name="r-drop",
    alpha=Hyperparameter("loss per nat between the two predictions", (0.1, 5.0), "log", NON_NEGATIVE, tuned=True),
)
class RDrop(nn.Module):
    """R-Drop: two passes with different dropout masks should predict alike.

        loss = (J(p1) + J(p2)) / 2 + alpha / 4 * mean over examples of (KL(p1 || p2) + KL(p2 || p1))

    Paper: Liang, Wu, Li, Wang, Meng, Qin, Chen, Zhang & Liu 2021, R-Drop: regularized dropout for neural
    networks, section 2.1 and Algorithm 1.

    Differs: 1. The paper's loss divided by 2, so that without noise it is the ordinary loss and a learning rate means
    the same. 2. The first pass leaves running statistics as they are.

    Pitfall: without dropout or other noise inside the network both passes are the same, and nothing happens: a study
    says so and leaves it out. It costs two gradients a step.

    Helps: networks with dropout, in classification. Not without dropout or other noise inside the network: both passes
    are the same then.

    >>> import torch
    >>> from torch import nn
    >>> from torch.nn.functional import cross_entropy
    >>> from trainsmith.regularization import RDrop
    >>> x, y, network = torch.ones(2, 3), torch.tensor([0, 1]), nn.Linear(3, 2)
    >>> torch.equal(RDrop(1.0)(network, cross_entropy, x, y), cross_entropy(network(x), y))
    True
    """

    gradients: ClassVar[int] = 2
    classifies: ClassVar[bool] = True
    alpha: Tensor

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("alpha", torch.tensor(float(alpha)))

    @classmethod
    def idle(cls, network: nn.Module, x: Tensor) -> str:
        """Why nothing would happen beside a network with inputs x (n, ...) on the CPU, or nothing: it draws noise."""
        modes = [(module, module.training) for module in network.modules()]
        try:
            with torch.random.fork_rng(devices=[]), torch.no_grad():
                before = torch.get_rng_state()
                still(network if network.training else network.train())(x)
                draws = not torch.equal(before, torch.get_rng_state())
        finally:
            for module, mode in modes:
                module.training = mode
        return "" if draws else "the network draws no noise, such as dropout's, so that both passes would be the same"

    def forward(self, network: nn.Module, loss: Loss, x: Tensor, y: Tensor) -> Float[Tensor, ""]:
        """The loss of the batch x (n, ...), y (n,), from logits (n, classes)."""
        first, second = still(network)(x), network(x)
        one, two = first.log_softmax(-1), second.log_softmax(-1)
        apart = ((one.exp() - two.exp()) * (one - two)).sum(-1).mean()
        return (loss(first, y) + loss(second, y)) / 2 + self.alpha.to(apart) / 4 * apart


@technique(
    "regularization",
    "pass",
    name="gradient-penalty",
    strength=Hyperparameter(
        "loss per half unit of squared slope at an example", (1e-3, 1.0), "log", NON_NEGATIVE, tuned=True
    ),
)
class GradientPenalty(nn.Module):
    """Gradient penalty: a loss that changes fast with its inputs costs.

        loss = J + strength / 2 * mean over examples i of |n dJ/dx_i|^2,   n examples in the batch

    Paper: Drucker & Le Cun 1992, Improving generalization performance using double backpropagation; Goodfellow,
    Bengio & Courville 2016, Deep Learning, section 7.14, unnumbered. Ross & Doshi-Velez 2018 use it against
    adversarial examples.

    Differs: 1. The factor 1/2, and the mean over examples. 2. The slopes come from a pass of their own, with its own
    noise, that leaves running statistics as they are. It is not the penalty of Wasserstein networks, which draws the
    slope's length to 1.

    Pitfall: with ReLU the slope is constant in pieces: the penalty moves weights, but sees nothing of kinks. Through
    batch normalization an example's slope holds the other examples of the batch too. It costs about three gradients a
    step.

    Helps: few data with noisy inputs; it is what small input noise does in the mean, without the noise. Not where three
    gradients a step are too dear.

    >>> import torch
    >>> from torch import nn
    >>> from trainsmith.regularization import GradientPenalty
    >>> network = nn.Linear(1, 1, bias=False)
    >>> _ = nn.init.constant_(network.weight, 3.0)
    >>> x, y = torch.ones(4, 1), torch.zeros(4, 1)
    >>> GradientPenalty(0.5)(network, lambda out, y: out.mean(), x, y).item()
    5.25
    """

    gradients: ClassVar[int] = 3
    kinds = ("image", "table")
    strength: Tensor

    def __init__(self, strength: float = 0.01) -> None:
        super().__init__()
        self.register_buffer("strength", torch.tensor(float(strength)))

    def forward(self, network: nn.Module, loss: Loss, x: Tensor, y: Tensor) -> Float[Tensor, ""]:
        """The loss of the batch x (n, ...), y (n, ...)."""
        slopes = len(x) * single(input_gradient(network, x, y, loss))
        return loss(network(x), y) + self.strength.to(slopes) / 2 * slopes.flatten(1).square().sum(1).mean()
