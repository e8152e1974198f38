"""Muon: momentum whose matrices are made nearly orthogonal before the step."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from trainsmith.catalogue import FRACTION, NON_NEGATIVE, POSITIVE, Hyperparameter, technique
from trainsmith.optimizer.adam_decayed import AdamW
from trainsmith.optimizer.matrix import as_matrix, matrix_shape, norm
from trainsmith.optimizer.rule import Optimizer

QUINTIC = (3.4445, -4.7750, 2.0315)
STEPS = 5
"""Of the Newton-Schulz iteration: they lead singular values from [0.005, 1] into [0.68, 1.16]."""
LEAST_NORM = 1e-7
REST = {"beta1": 0.9, "beta2": 0.95, "eps": 1e-10}
"""AdamW's numbers for the other parameters, the authors' own."""


@technique(
    "optimizer",
    "optimizer",
    lr=Hyperparameter("length of the step in every direction of a matrix", (2e-3, 0.1), "log", POSITIVE, tuned=True),
    momentum=Hyperparameter("weight of the old mean gradient", (0.8, 0.99), "logit", FRACTION),
    weight_decay=Hyperparameter("share of a weight lost per step, in units of lr", (1e-3, 1.0), "log", NON_NEGATIVE),
    rest=Hyperparameter(
        "AdamW's lr for the other parameters, in units of lr", (1e-2, 1.0), "log", POSITIVE, tuned=True
    ),
)
class Muon(Optimizer):
    """Muon: the mean gradient of a matrix, its singular values set to about 1, as the step.

        m     = momentum * m + (1 - momentum) g
        X     = NewtonSchulz(momentum * m + (1 - momentum) g)
        theta = theta - lr * weight_decay * theta
        theta = theta - lr * sqrt(max(1, rows / columns)) X
        NewtonSchulz(G): X = G / |G|, then five times X = a X + (b X X' + c (X X')^2) X
        (vectors and numbers: AdamW with learning rate rest * lr)

    Paper: Jordan, Jin, Boza, You, Cesista, Newhouse & Bernstein 2024, Muon: an optimizer for hidden layers in neural
    networks, section "Definition"; with a, b, c = 3.4445, -4.7750, 2.0315.

    Differs: 1. In a study and in a population it moves hidden layers alone, as its authors do: embeddings, the layers
    that a pass calls first and last, and heads go with the vectors. Alone it cannot know them, and every weight with
    two or more axes counts as a matrix: pass `Muon.groups(network)`, or mark a group with hidden=False. torch's Muon
    refuses all but matrices. 2. A convolution's kernel is the matrix (out, in * height * width). 3. The iteration runs
    in the parameters' type, not in bfloat16. 4. torch's Muon is the same rule for matrices with another lr and decay.

    Pitfall: X is not orthogonal: singular values above 0.5 % of |G| come to lie in [0.68, 1.16], smaller ones below.
    lr is not Adam's, and the rest needs its own: a study tunes both. The default, 3e-4 at the default lr, is the
    authors' for long trainings and slow in short ones. In a network with fewer than three layers nothing is hidden.

    Helps: hidden layers of transformers and convolutional networks, where it beats AdamW by step count. Not for
    embeddings, heads and vectors, nor in networks without hidden matrices.

    >>> import torch
    >>> from trainsmith.optimizer import Muon
    >>> theta = torch.nn.Parameter(torch.zeros(2, 2))
    >>> theta.grad = torch.tensor([[5.0, 0.0], [0.0, 5.0]])
    >>> Muon([theta], lr=1.0).step()
    >>> bool(theta[0, 0] < -0.6), theta[0, 1].item()
    (True, 0.0)
    """

    per_tensor: ClassVar[bool] = True
    of_hidden: ClassVar[bool] = True

    def __init__(
        self, params: Any, lr: float = 0.02, momentum: float = 0.95, weight_decay: float = 1e-2, rest: float = 0.015
    ) -> None:
        super().__init__(params, lr=lr, momentum=momentum, weight_decay=weight_decay, rest=rest)

    @classmethod
    def kept(cls, shape: torch.Size) -> dict[str, tuple[int, ...]]:
        return {"m": tuple(shape)} if len(shape) > 1 else cls.kept_outside(shape)

    @classmethod
    def kept_outside(cls, shape: torch.Size) -> dict[str, tuple[int, ...]]:
        return {"m": tuple(shape), "v": tuple(shape)}

    def _kept(self, group: dict[str, Any], theta: Tensor) -> dict[str, tuple[int, ...]]:
        return self.kept(theta.shape) if group.get("hidden", True) else self.kept_outside(theta.shape)

    @staticmethod
    def groups(network: nn.Module) -> list[dict[str, Any]]:
        """Param groups as the authors use them: hidden matrices, and the rest.

        The rest are embeddings, or else the first matrix, the last one, in the order of the network's parameters, and
        all vectors.
        """
        inputs = [p for m in network.modules() if isinstance(m, nn.Embedding) for p in m.parameters()]
        trained = [p for p in network.parameters() if p.requires_grad]
        matrices = [p for p in trained if p.ndim > 1]
        outer = {id(p) for p in (*(inputs or matrices[:1]), *matrices[-1:])}
        hidden = {id(p) for p in matrices} - outer
        parts = (True, [p for p in trained if id(p) in hidden]), (False, [p for p in trained if id(p) not in hidden])
        return [{"params": parameters, "hidden": is_hidden} for is_hidden, parameters in parts if parameters]

    @staticmethod
    def coefficients(t: int, *, lr: Any, momentum: Any, weight_decay: Any, rest: Any) -> dict[str, Any]:
        adamw = AdamW.coefficients(t, lr=lr * rest, weight_decay=weight_decay, **REST)
        own = {"new": 1 - momentum, "old": momentum, "rate": lr, "left": 1 - lr * weight_decay}
        return {**own, **{f"rest_{name}": value for name, value in adamw.items()}}

    @staticmethod
    def update(
        theta: Tensor, g: Tensor, *kept: Tensor, axes: int, new: Any, old: Any, rate: Any, left: Any, **rest: Any
    ) -> None:
        if len(kept) > 1:
            AdamW.update(theta, g, *kept, **{name.removeprefix("rest_"): value for name, value in rest.items()})
            return
        (m,) = kept
        m.lerp_(g, new)
        X = orthogonalize(as_matrix(g.lerp(m, old), axes))
        rows, columns = matrix_shape(theta.shape[theta.ndim - axes :])
        step = X.reshape(theta.shape) * rate
        theta.mul_(left).sub_(step.mul_(max(1, rows / max(1, columns)) ** 0.5))


def orthogonalize(matrices: Tensor) -> Tensor:
    """Matrices (..., rows, columns) with the same singular vectors and singular values of about 1 (where not 0)."""
    a, b, c = QUINTIC
    turned = matrices.shape[-2] > matrices.shape[-1]
    X = matrices.mT if turned else matrices
    X = (X / norm(X, 2).clamp_min(LEAST_NORM)).to(X.dtype)
    for _ in range(STEPS):
        A = X @ X.mT
        X = a * X + (b * A + c * (A @ A)) @ X
    return X.mT if turned else X
