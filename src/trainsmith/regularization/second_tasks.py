"""Second tasks by name, made of the inputs alone: to reconstruct them, and to tell how they were turned."""

import math
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainsmith.catalogue import NON_NEGATIVE, Hyperparameter, technique
from trainsmith.catalogue.fitted import Fitted
from trainsmith.regularization.auxiliary import SecondTask, Uncertain
from trainsmith.regularization.draws import one_each
from trainsmith.regularization.passes import Loss, still
from trainsmith.rows import Summary

LEARNED = Hyperparameter("of the second task's whole term; 1 is the paper's", (0.1, 10.0), "log", NON_NEGATIVE)


class Reconstructing(Fitted, SecondTask):
    """What reconstruction is, whatever weighs it."""

    kinds = ("image", "table")
    centre: Tensor
    scale: Tensor

    def __init__(self, weight: float) -> None:
        super().__init__(weight)
        self.register_buffer("centre", torch.tensor(0.0))
        self.register_buffer("scale", torch.tensor(1.0))

    def fit(self, x: Tensor) -> "Reconstructing":
        """Take mean and spread of training inputs (n, ...): of each column of a table, of all pixels together."""
        spread = x.std(0, correction=0) if x.ndim == 2 else x.std(correction=0)
        self.centre = x.mean(0) if x.ndim == 2 else x.mean()
        self.scale = torch.where(spread > 0, spread, 1)
        return self

    def fit_to(self, s: Summary, dtype: torch.dtype) -> "Reconstructing":
        """The same from a summary of the training inputs."""
        spread = s.std.to(dtype)
        self.centre, self.scale = s.mean.to(dtype), torch.where(spread > 0, spread, 1)
        return self

    def outputs(self, x: Float[Tensor, "n ..."]) -> int:
        """As many as an example has numbers."""
        return math.prod(x.shape[1:])

    def losses(self, network: nn.Module, loss: Loss, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The network's own loss, and the mean squared error of the reconstruction in units of the inputs' spread."""
        with self.watched(network) as seen:
            first = loss(network(x), y)
        wanted = ((x - self.centre.to(x)) / self.scale.to(x)).flatten(1)
        return first, (self.predicted(seen) - wanted).square().mean()


class Turning(SecondTask):
    """What telling rotations is, whatever weighs it."""

    kinds = ("image",)
    gradients: ClassVar[int] = 2

    @classmethod
    def unmet(cls, network: nn.Module, x: Tensor) -> str:
        """Why this cannot act beside a network with inputs x, or nothing: it turns square images."""
        if x.ndim != 4 or x.shape[2] != x.shape[3]:
            return f"it turns square images (n, channels, side, side), and these inputs are {tuple(x.shape[1:])}"
        return super().unmet(network, x)

    def outputs(self, x: Float[Tensor, "n ..."]) -> int:
        """The four quarters."""
        return 4

    def losses(self, network: nn.Module, loss: Loss, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The network's own loss, and the mean cross-entropy of the quarter by which each image was turned."""
        first = loss(network(x), y)
        quarter = (4 * one_each(x)).long()
        turned = torch.stack([torch.rot90(x, k, (2, 3)) for k in range(4)])
        with self.watched(network) as seen:
            still(network)(turned.gather(0, quarter.view(1, -1, 1, 1, 1).expand(1, *x.shape))[0])
        log_p = self.predicted(seen).log_softmax(-1)
        return first, -log_p.gather(1, quarter[:, None]).mean()


@technique(
    "regularization",
    "pass",
    name="auxiliary-reconstruction",
    aliases=("supervised-autoencoder",),
    weight=Hyperparameter("loss per unit of squared error", (0.01, 3.0), "log", NON_NEGATIVE, tuned=True),
)
class AuxiliaryReconstruction(Reconstructing):
    """Auxiliary reconstruction: the features of which the network predicts must also give the inputs back.

        loss = J(x) + weight * mean over examples and numbers of (A h(x) + b - z)^2,   z = (x - mean) / spread
        h(x): what goes into the network's last linear or convolution layer;   A, b: a head, trained with the network

    Paper: Le, Patterson & White 2018, Supervised autoencoders: improving generalization performance with unsupervised
    regularizers, section 2; Caruana 1997, Multitask learning, for the shared trunk.

    Differs: 1. The features are those that the network has, of whatever depth; the decoder is one linear layer. 2. The
    inputs are standardized (each column of a table, all pixels together), so that one range serves all data. 3. What
    augmentation made of x is to be reconstructed, not x before it.

    Pitfall: the features of a deep classifier are few and about classes: a large weight spends them on pixels. For
    inputs of many numbers the head is as large as a first layer, and takes as long. AdamW and constraints decay it, and
    penalties count it, as any weight.

    Helps: few labels for many inputs whose shape is simple; seldom where labels suffice. Not for inputs most of which
    has nothing to do with the targets.

    >>> import torch
    >>> from torch import nn
    >>> from torch.nn.functional import cross_entropy
    >>> from trainsmith.regularization import AuxiliaryReconstruction
    >>> x, y, network = torch.rand(6, 3), torch.tensor([0, 1, 0, 1, 0, 1]), nn.Linear(3, 2)
    >>> task = AuxiliaryReconstruction(0.1).with_head(network, x)
    >>> optimizer = torch.optim.SGD([*network.parameters(), *task.parameters()], lr=0.1)
    >>> task(network, cross_entropy, x, y).backward()    # of both tasks
    >>> task.head
    Linear(in_features=3, out_features=3, bias=True)
    """

    def __init__(self, weight: float = 0.1) -> None:
        super().__init__(weight)


@technique(
    "regularization",
    "pass",
    name="auxiliary-rotation",
    weight=Hyperparameter("loss per nat of the second task", (0.03, 3.0), "log", NON_NEGATIVE, tuned=True),
)
class AuxiliaryRotation(Turning):
    """Auxiliary rotation: the features of which the network predicts must also tell how far an image is turned.

        loss = J(x) + weight * mean over examples of -log q_k(x turned by k quarters),   k random in 0 ... 3
        q: softmax of a linear head on what goes into the network's last linear or convolution layer

    Paper: Hendrycks, Mazeika, Kadavath & Song 2019, Using self-supervised learning can improve model robustness and
    uncertainty, section 3; the task of Gidaris, Singh & Komodakis 2018, Unsupervised representation learning by
    predicting image rotations, equation 3 and section 2.2.

    Differs: 1. Each image is turned by one random quarter a step, not by all four: the same mean at two gradients a
    step instead of five. 2. The turned images go through a pass of their own, which leaves running statistics as they
    are. 3. The paper's weight is 0.5.

    Pitfall: what looks the same when it is turned (a zero, a cell under a microscope) teaches nothing. It costs two
    gradients a step.

    Helps: photographs, in which up and down mean something; robustness more than accuracy. Not for pictures without an
    up and down.

    >>> import torch
    >>> from torch import nn
    >>> from torch.nn.functional import cross_entropy
    >>> from trainsmith.regularization import AuxiliaryRotation
    >>> x, y = torch.rand(2, 1, 4, 4), torch.tensor([0, 1])
    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> task = AuxiliaryRotation(0.5).with_head(network, x)
    >>> task(network, cross_entropy, x, y).backward()    # of both tasks
    >>> task.head
    Linear(in_features=8, out_features=4, bias=True)
    """

    def __init__(self, weight: float = 0.5) -> None:
        super().__init__(weight)


@technique("regularization", "pass", name="auxiliary-reconstruction-uncertainty", weight=LEARNED)
class UncertainReconstruction(Uncertain, Reconstructing):
    """Auxiliary reconstruction with uncertainty weights: both tasks' losses are weighed by noise that is learned.

        loss = exp(-s1) J(x) + s1 / 2 + weight * (exp(-s2) E(x) + s2 / 2),   s1 and s2 learned, 0 at the start
        E: as in auxiliary-reconstruction

    Paper: Kendall, Gal & Cipolla 2018, Multi-task learning using uncertainty to weigh losses for scene geometry and
    semantics, equations 7 and 10.

    Differs: 1. No factor 1/2 before a squared error: s2 takes it up. 2. A weight of the second term, 1 in the paper.

    Pitfall: at its best s1 the first loss counts 1 / (2 J): the better the network fits, the larger its steps, and the
    loss falls below 0. AdamW decays s1 and s2 as it decays biases.

    Helps: where nobody knows how the losses' units compare. Not where the first loss nears 0: its steps grow then.

    >>> import torch
    >>> from torch import nn
    >>> from torch.nn.functional import cross_entropy
    >>> from trainsmith.regularization import AuxiliaryReconstruction, UncertainReconstruction
    >>> x, y, network = torch.rand(6, 3), torch.tensor([0, 1, 0, 1, 0, 1]), nn.Linear(3, 2)
    >>> task = UncertainReconstruction(1.0).with_head(network, x)
    >>> fixed = AuxiliaryReconstruction(1.0).with_head(network, x)
    >>> fixed.head.load_state_dict(task.head.state_dict())
    <All keys matched successfully>
    >>> torch.equal(task(network, cross_entropy, x, y), fixed(network, cross_entropy, x, y))    # at s1 = s2 = 0
    True
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__(weight)


@technique("regularization", "pass", name="auxiliary-rotation-uncertainty", weight=LEARNED)
class UncertainRotation(Uncertain, Turning):
    """Auxiliary rotation with uncertainty weights: both tasks' losses are weighed by noise that is learned.

        loss = exp(-s1) J(x) + s1 / 2 + weight * (exp(-s2) R(x) + s2 / 2),   s1 and s2 learned, 0 at the start
        R: as in auxiliary-rotation

    Paper: Kendall, Gal & Cipolla 2018, Multi-task learning using uncertainty to weigh losses for scene geometry and
    semantics, equation 10.

    Differs: 1. A weight of the second term, 1 in the paper. 2. Of a squared error as first loss the factor 1/2 is
    taken up by s1.

    Pitfall: as of auxiliary-reconstruction-uncertainty. It costs two gradients a step.

    Helps: where nobody knows how the losses' units compare. Not where the first loss nears 0: its steps grow then.

    >>> import torch
    >>> from torch import nn
    >>> from torch.nn.functional import cross_entropy
    >>> from trainsmith.regularization import UncertainRotation
    >>> x, y = torch.rand(2, 1, 4, 4), torch.tensor([0, 1])
    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    >>> task = UncertainRotation(0.0).with_head(network, x)
    >>> torch.equal(task(network, cross_entropy, x, y), cross_entropy(network(x), y))    # at s1 = 0
    True
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__(weight)
