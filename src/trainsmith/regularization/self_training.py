"""Learning from unlabelled examples by the network's own predictions of them."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainsmith.catalogue import NON_NEGATIVE, Hyperparameter, technique
from trainsmith.regularization.passes import still
from trainsmith.regularization.semi_supervised import entropy_minimization, pseudo_label
from trainsmith.regularization.unlabelled import Unlabelled


@technique(
    "regularization",
    "pass",
    name="pseudo-label",
    aliases=("self-training",),
    weight=Hyperparameter("loss per nat of the unlabelled examples", (0.1, 3.0), "log", NON_NEGATIVE, tuned=True),
    threshold=Hyperparameter("least probability of a label that is used", (0.5, 0.99), "linear", NON_NEGATIVE),
    start=Hyperparameter("steps before the weight begins to grow", (0.0, 200.0), "linear", NON_NEGATIVE),
    ramp=Hyperparameter("steps in which the weight grows", (0.0, 400.0), "linear", NON_NEGATIVE),
)
class PseudoLabel(Unlabelled):
    """Pseudo-label: the most likely class of an unlabelled example is taken for its label.

        loss = J(labelled) + a(t) mean over unlabelled of 1[max p >= threshold] CE(argmax p, p),   p without gradient
        a(t) = weight * (t - start) / ramp, held between 0 and weight, at step t

    Paper: Lee 2013, Pseudo-label: the simple and efficient semi-supervised learning method for deep neural networks,
    equations 15 and 16 (threshold 0); Oliver et al. 2018, Realistic evaluation of deep semi-supervised learning
    algorithms, with a threshold of 0.95.

    Differs: 1. start and ramp count steps, the paper's 100 and 600 count passes over the data. 2. The labels are those
    of the same pass, so that they follow the network at every step. 3. The pass of the unlabelled examples leaves
    running statistics as they are.

    Pitfall: early labels are wrong, and the network learns them: without a start it confirms its own errors. It costs
    two gradients a step.

    Helps: classes that lie apart, once the labels alone give better than chance. Not from a network hardly better than
    chance, which learns its own mistakes.

    >>> import torch
    >>> from torch import nn
    >>> from torch.nn.functional import cross_entropy
    >>> from trainsmith.regularization import PseudoLabel
    >>> x, y, network = torch.rand(6, 3), torch.tensor([0, 1]), nn.Linear(3, 2)    # two labelled, four unlabelled
    >>> torch.equal(PseudoLabel(threshold=1.1)(network, cross_entropy, x, y), cross_entropy(network(x[:2]), y))
    True
    """

    gradients: ClassVar[int] = 2
    threshold: Tensor
    start: Tensor
    ramp: Tensor

    def __init__(
        self, weight: float = 1.0, threshold: float = 0.0, start: float = 50.0, ramp: float = 150.0, unlabelled: int = 1
    ) -> None:
        super().__init__(weight, unlabelled)
        for name, value in (("threshold", threshold), ("start", start), ("ramp", ramp)):
            self.register_buffer(name, torch.tensor(float(value)))

    def share(self) -> Tensor:
        """(step - start) / ramp, from 0 to 1."""
        since = self.step - self.start
        return torch.where(self.ramp > 0, (since / self.ramp).clamp(0, 1), (since > 0).to(self.ramp))

    def term(self, network: nn.Module, x: Tensor) -> Float[Tensor, ""]:
        """Cross-entropy to the network's own labels."""
        return pseudo_label(still(network)(x), self.threshold)


@technique(
    "regularization",
    "pass",
    name="entropy-minimization",
    weight=Hyperparameter("loss per nat of the predictions' entropy", (0.01, 1.0), "log", NON_NEGATIVE, tuned=True),
)
class EntropyMinimization(Unlabelled):
    """Entropy minimization: predictions of unlabelled examples should be sure, whatever they are.

        loss = J(labelled) + weight * mean over unlabelled of H(p),   H(p) = -sum_k p_k log p_k

    Paper: Grandvalet & Bengio 2005, Semi-supervised learning by entropy minimization, section 2.

    Differs: 1. A mean over each part, so that the weight does not hang on how many there are. 2. The pass of the
    unlabelled examples leaves running statistics as they are.

    Pitfall: a network that puts everything into one class has no entropy either: it needs the labels to hold it, and
    a small weight. It costs two gradients a step.

    Helps: classes that lie apart; together with virtual adversarial training more than alone. Not where classes
    overlap: it draws its line through them all the same.

    >>> import torch
    >>> from torch import nn
    >>> from torch.nn.functional import cross_entropy
    >>> from trainsmith.regularization import EntropyMinimization
    >>> x, y, network = torch.rand(6, 3), torch.tensor([0, 1]), nn.Linear(3, 2)    # two labelled, four unlabelled
    >>> torch.equal(EntropyMinimization(0.0)(network, cross_entropy, x, y), cross_entropy(network(x[:2]), y))
    True
    """

    gradients: ClassVar[int] = 2

    def __init__(self, weight: float = 0.1, unlabelled: int = 1) -> None:
        super().__init__(weight, unlabelled)

    def term(self, network: nn.Module, x: Tensor) -> Float[Tensor, ""]:
        """The mean entropy."""
        return entropy_minimization(still(network)(x))
