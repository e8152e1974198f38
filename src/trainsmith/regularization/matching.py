"""FixMatch by name."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainsmith.catalogue import NON_NEGATIVE, Hyperparameter, Interval, technique
from trainsmith.regularization.draws import normal_like
from trainsmith.regularization.images import Cutout, Shift
from trainsmith.regularization.passes import still
from trainsmith.regularization.random_augment import RandAugment
from trainsmith.regularization.semi_supervised import fixmatch
from trainsmith.regularization.unlabelled import Unlabelled


@technique(
    "regularization",
    "pass",
    name="fixmatch",
    strength=Hyperparameter(
        "of the strong change: RandAugment's magnitude for images, noise over the columns' spread for tables",
        (0.1, 1.0), "linear", Interval(0, 1), tuned=True,
    ),
    threshold=Hyperparameter("least probability of a label that is used", (0.7, 0.99), "linear", NON_NEGATIVE),
    weight=Hyperparameter("loss per nat of the unlabelled examples", (0.3, 3.0), "log", NON_NEGATIVE),
)  # fmt: skip
class FixMatch(Unlabelled):
    """FixMatch: the label that a network is sure of for a weakly changed example is that of the strongly changed one.

        loss = J(labelled) + weight * mean over unlabelled of 1[max q >= threshold] CE(argmax q, p(strong(x)))
        q = p(weak(x)) without gradient

    Paper: Sohn et al. 2020, FixMatch: simplifying semi-supervised learning with consistency and confidence, equation 4.

    Differs: 1. For images, weak is a shift of up to an eighth of the side, without flips, which not all classes bear
    (put `flip` into the recipe); strong is a shift, RandAugment at one magnitude and a hole of half the side. 2. For
    tables weak is nothing and strong is normal noise. 3. The labelled examples come as the recipe gives them, where the
    paper's are weakly changed. 4. What is scored are the trained weights, not their exponential mean. 5. Its passes
    leave running statistics as they are.

    Pitfall: until predictions pass the threshold nothing happens; small networks trained briefly may never get there.
    With 7 unlabelled examples for a labelled one, the paper's number, it costs about ten gradients a step.

    Helps: images with few labels, where strong changes are known that keep the class. Not in short trainings, where our
    record of 100 labels has it behind the labels alone.

    >>> import torch
    >>> from torch import nn
    >>> from torch.nn.functional import cross_entropy
    >>> from trainsmith.regularization import FixMatch
    >>> x, y, network = torch.rand(6, 3), torch.tensor([0, 1]), nn.Linear(3, 2)    # two labelled, four unlabelled
    >>> torch.equal(FixMatch(threshold=1.1)(network, cross_entropy, x, y), cross_entropy(network(x[:2]), y))
    True
    """

    gradients: ClassVar[int] = 10
    strength: Tensor
    threshold: Tensor

    def __init__(
        self, strength: float = 0.5, threshold: float = 0.95, weight: float = 1.0, unlabelled: int = 7
    ) -> None:
        super().__init__(weight, unlabelled)
        self.register_buffer("strength", torch.tensor(float(strength)))
        self.register_buffer("threshold", torch.tensor(float(threshold)))
        self.shifted, self.changed, self.hole = Shift(0.125), RandAugment(strength), Cutout(0.5)

    def weak(self, x: Tensor) -> Tensor:
        """The examples weakly changed."""
        return self.shifted(x) if x.ndim == 4 else x

    def strong(self, x: Tensor) -> Tensor:
        """The examples strongly changed."""
        if x.ndim == 4:
            return self.hole(self.changed(self.shifted(x)))
        return x + self.strength.to(x.dtype) * self.scale.to(x.dtype) * normal_like(x)

    def term(self, network: nn.Module, x: Tensor) -> Float[Tensor, ""]:
        """Cross-entropy of the strongly changed examples to the labels of the weakly changed ones."""
        run = still(network)
        with torch.no_grad():
            sure = run(self.weak(x))
        return fixmatch(sure, run(self.strong(x)), self.threshold)
