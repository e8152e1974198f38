"""Virtual adversarial training by name."""

import math
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainsmith.catalogue import NON_NEGATIVE, Hyperparameter, technique
from trainsmith.errors import InvalidInput
from trainsmith.regularization.passes import still
from trainsmith.regularization.semi_supervised import virtual_adversarial
from trainsmith.regularization.unlabelled import Unlabelled


@technique(
    "regularization",
    "pass",
    aliases=("virtual-adversarial-training",),
    eps=Hyperparameter(
        "how far an example is moved: root mean square over its numbers, each in units of its own spread",
        (0.02, 0.5), "log", NON_NEGATIVE, tuned=True,
    ),
    weight=Hyperparameter("loss per nat between the predictions", (0.3, 3.0), "log", NON_NEGATIVE),
)  # fmt: skip
class VAT(Unlabelled):
    """Virtual adversarial training: a small move in the worst direction should not change a prediction.

        loss = J(labelled) + weight * mean over unlabelled of KL(p(x) || p(x + r)),   p(x) without gradient
        r = eps sqrt(d) s u for examples of d numbers with spread s
        u <- unit(grad_u KL(p(x) || p(x + xi sqrt(d) s u))), from a random unit vector, `rounds` times

    Paper: Miyato, Maeda, Koyama & Ishii 2018, Virtual adversarial training, equations 5 to 8 and Algorithm 1.

    Differs: 1. eps and xi are in units of the inputs' spread (of each column of a table, of all pixels together) and
    count the root mean square of the move, so that one range serves tables and images: the paper's 2.0 for MNIST's 784
    pixels of spread 0.31 is 0.23 here. 2. xi is 0.01; the paper's code has 1e-6, which in single precision leaves
    rounding. 3. The gradient is divided by its largest number before its length, so that nothing underflows where a
    prediction is sure. 4. Its passes, with the batch's own statistics, leave running statistics as they are.

    Pitfall: it hangs on eps; too large a one takes examples into another class. With dropout the passes draw masks of
    their own, which hides the direction. It costs three and a third gradients a step.

    Helps: few labels, where no augmentation is known that keeps the class: tables, permuted pixels. Not where classes
    lie closer together than its reach.

    >>> import torch
    >>> from torch import nn
    >>> from torch.nn.functional import cross_entropy
    >>> from trainsmith.regularization import VAT
    >>> x, y, network = torch.rand(6, 3), torch.tensor([0, 1]), nn.Linear(3, 2)    # two labelled, four unlabelled
    >>> torch.equal(VAT(weight=0.0)(network, cross_entropy, x, y), cross_entropy(network(x[:2]), y))
    True
    """

    gradients: ClassVar[int] = 3
    eps: Tensor

    def __init__(
        self, eps: float = 0.1, weight: float = 1.0, xi: float = 0.01, rounds: int = 1, unlabelled: int = 1
    ) -> None:
        super().__init__(weight, unlabelled)
        if not isinstance(rounds, int) or rounds < 1:
            raise InvalidInput(f"rounds must be a whole number of at least 1; got {rounds!r}.")
        self.register_buffer("eps", torch.tensor(float(eps)))
        self.xi, self.rounds = xi, rounds

    def term(self, network: nn.Module, x: Tensor) -> Float[Tensor, ""]:
        """The divergence of the predictions of moved examples."""
        run, reach = still(network), math.sqrt(math.prod(x.shape[1:])) * self.scale.to(x.dtype)
        return virtual_adversarial(run, x, self.eps.to(x.dtype), self.xi, self.rounds, reach)
