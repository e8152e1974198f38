"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from trainsmith.catalogue import FRACTION, NON_NEGATIVE, POSITIVE, Hyperparameter, technique
from trainsmith.optimizer.adam_decayed import EPS, AdamW
from trainsmith.optimizer.matrix import as_matrix, matrix_shape
from trainsmith.optimizer.rule import Optimizer, root

ROWS, COLUMNS = -2, -1
EVERY = 10
"""Steps from one refresh of the eigenbases to the next."""
LARGEST = 4096
"""A side of a matrix that is longer keeps its own basis."""
TIE = 1e-7
"""Share of the trace by which the first coordinate's eigenvalue is raised, the others in proportion."""


@technique(
    "optimizer",
    "optimizer",
    lr=Hyperparameter("step of a coordinate of the eigenbasis", (1e-4, 1e-2), "log", POSITIVE, tuned=True),
    beta1=Hyperparameter("weight of the old first moment", (0.8, 0.99), "logit", FRACTION),
    beta2=Hyperparameter("weight of the old second moment and preconditioners", (0.9, 0.99), "logit", FRACTION),
    eps=EPS,
    weight_decay=Hyperparameter("share of a weight lost per step, in units of lr", (1e-3, 1.0), "log", NON_NEGATIVE),
)
class SOAP(Optimizer):
    """SOAP: Adam on a matrix's gradient turned into the slowly changing eigenbases of its rows and columns.

        m     = b1 m + (1 - b1) g
        v     = b2 v + (1 - b2) (QL' g QR)^2
        n     = (QL' m QR / (1 - b1^s)) / (sqrt(v / (1 - b2^s)) + eps)          s = t - 1
        theta = theta - lr * weight_decay * theta
        theta = theta - lr * QL n QR'
        L     = b2 L + (1 - b2) g g',   R = b2 R + (1 - b2) g' g
        QL, QR: eigenvectors of L and R, every ten steps one step of QR iteration

    Paper: Vyas, Morwani, Zhao, Kwun, Shapira, Brandfonbrener, Janson & Kakade 2024, SOAP: improving and stabilizing
    Shampoo using Adam, Algorithm 3, with its Algorithm 4 for the eigenvectors.

    Differs: 1. As in the authors' code, the first step only finds the eigenbases and moves nothing, and each refresh
    first sorts the basis by size, with v. 2. A convolution's kernel is one matrix (out, in * height * width).
    3. eps stands outside the root, and both moments are bias-corrected, as in the authors' code. 4. A side of more
    than 4096 rows or columns keeps its own basis. 5. Where eigenvalues differ by less than a ten millionth of their
    sum, the first basis leans to the coordinates. Vectors and numbers are moved by AdamW.

    Pitfall: it keeps two square matrices a side and decomposes them: long sides cost much. Directions in which there
    never was a gradient are divided by nothing but eps.

    Helps: few, good steps with large batches, where Adam's coordinates are not the loss's. Not with small batches: its
    matrices cost as much for them.

    >>> import torch
    >>> from trainsmith.optimizer import SOAP
    >>> theta = torch.nn.Parameter(torch.zeros(2, 2))
    >>> optimizer = SOAP([theta], lr=0.1)
    >>> for _ in range(2):
    ...     theta.grad = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    ...     optimizer.step()
    >>> [round(x, 4) for x in theta.flatten().tolist()]
    [-0.1, 0.0, 0.0, -0.1]
    """

    per_tensor: ClassVar[bool] = True

    def __init__(
        self,
        params: Any,
        lr: float = 3e-3,
        beta1: float = 0.95,
        beta2: float = 0.95,
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr=lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay)

    @classmethod
    def kept(cls, shape: torch.Size) -> dict[str, tuple[int, ...]]:
        if len(shape) < 2:
            return {"m": tuple(shape), "v": tuple(shape)}
        rows, columns = matrix_shape(shape)
        sides = {"L": (rows, rows), "QL": (rows, rows), "R": (columns, columns), "QR": (columns, columns)}
        small = {name: square for name, square in sides.items() if square[0] <= LARGEST}
        return {"m": (rows, columns), "v": (rows, columns), **small}

    @staticmethod
    def coefficients(t: int, *, lr: Any, beta1: Any, beta2: Any, eps: Any, weight_decay: Any) -> dict[str, Any]:
        numbers = {"lr": lr, "beta1": beta1, "beta2": beta2, "eps": eps, "weight_decay": weight_decay}
        adamw = AdamW.coefficients(max(t - 1, 1), **numbers)
        return {**adamw, "first": t == 1, "refresh": t > 1 and (t - 1) % EVERY == 0}

    @staticmethod
    def update(
        theta: Tensor, g: Tensor, m: Tensor, v: Tensor, *squares: Tensor,
        axes: int, first: bool, refresh: bool, rate: Any, left: Any, **adamw: Any,
    ) -> None:  # fmt: skip
        if axes < 2:
            if not first:
                AdamW.update(theta, g, m, v, rate=rate, left=left, **adamw)
            return
        G = as_matrix(g, axes)
        new1, new2, eps = (as_matrix(adamw[name], axes) for name in ("new1", "new2", "eps"))
        sides = _sides(G, squares)
        if not first:
            m.lerp_(G, new1)
            v.lerp_(_turned(G, sides).square(), new2)
            n = _turned(m, sides) / root(v).add_(eps)
            theta.mul_(left).sub_(_turned(n, sides, back=True).reshape(theta.shape) * rate)
        for axis, P, Q in sides:
            P.lerp_(_square(G, axis), new2)
            if first:
                Q.copy_(_eigenvectors(_square(G.double(), axis)))
            if refresh:
                _refresh(P, Q, v, axis)


def _sides(matrix: Tensor, squares: tuple[Tensor, ...]) -> list[tuple[int, Tensor, Tensor]]:
    """The axis, preconditioner and basis of each side of a matrix that has them."""
    axes = [axis for axis in (ROWS, COLUMNS) if matrix.shape[axis] <= LARGEST]
    return [(axis, squares[2 * i], squares[2 * i + 1]) for i, axis in enumerate(axes)]


def _turned(x: Tensor, sides: list[tuple[int, Tensor, Tensor]], back: bool = False) -> Tensor:
    """x in the coordinates of the bases: QL' x QR; or `back` from them: QL x QR'."""
    for axis, _, Q in sides:
        turn = Q if back == (axis == ROWS) else Q.mT
        x = turn @ x if axis == ROWS else x @ turn
    return x


def _square(matrix: Tensor, axis: int) -> Tensor:
    return matrix @ matrix.mT if axis == ROWS else matrix.mT @ matrix


def _eigenvectors(p: Tensor) -> Tensor:
    """Eigenvectors of symmetric matrices (..., n, n) as columns, the largest first; nan where p is not finite.

    A gradient of few examples leaves many directions without any, and in these every basis would do: the tie
    is broken towards the coordinates, so that rounding does not choose.
    """
    n = p.shape[-1]
    size = p.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
    finite = p.isfinite().all(-1, keepdim=True).all(-2, keepdim=True)
    ties = TIE * torch.linspace(1, 0, n, dtype=p.dtype, device=p.device).diag()
    whole = torch.where(finite, p / (size + torch.finfo(p.dtype).tiny), 0.0) + ties
    return torch.where(finite, torch.linalg.eigh(whole).eigenvectors.flip(-1), torch.nan)


def _refresh(p: Tensor, q: Tensor, v: Tensor, axis: int) -> None:
    """One step of QR iteration on the basis q of p, sorted by size before, and v with it."""
    PQ = _precise(p) @ _precise(q)
    order = (PQ * q).sum(-2).argsort(dim=-1, descending=True, stable=True)
    q.copy_(torch.linalg.qr(PQ.take_along_dim(order[..., None, :], -1)).Q)
    v.copy_(v.take_along_dim(order[..., None] if axis == ROWS else order[..., None, :], axis))


def _precise(x: Tensor) -> Tensor:
    """x in a type that matrices are decomposed in."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
