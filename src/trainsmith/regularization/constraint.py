"""What is done to the weights themselves at each step, beside the optimizer: decay, bounds, thresholds."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from trainsmith.catalogue import NON_NEGATIVE, POSITIVE, Hyperparameter, technique


class Constraint:
    """Something done in place to each weight (two axes or more; not to biases and gains) around an optimizer's step.

    before_step and after_step get a weight (*members, *own), of which the last `axes` axes are the parameter's own,
    the learning rate of the step and the constraint's numbers, each a float or a tensor (*members, 1, ..., 1).
    """

    def __init__(self, **numbers: float) -> None:
        self.numbers = numbers

    @staticmethod
    def before_step(theta: Tensor, *, axes: int, lr: Any, **numbers: Any) -> None:
        """What happens before the optimizer's step, nothing unless a constraint says so."""

    @staticmethod
    def after_step(theta: Tensor, *, axes: int, lr: Any, **numbers: Any) -> None:
        """What happens after the optimizer's step, nothing unless a constraint says so."""

    @torch.no_grad()
    def __call__(self, weights: Iterable[Tensor], lr: float = 1.0) -> None:
        """Both parts at once on the weights that are given, in place; leave biases and gains out."""
        for theta in weights:
            self.before_step(theta, axes=theta.ndim, lr=lr, **self.numbers)
            self.after_step(theta, axes=theta.ndim, lr=lr, **self.numbers)

    def attach(self, optimizer: Optimizer) -> None:
        """From now on each step of `optimizer`, torch's or ours, constrains the weights among its parameters."""

        def each(optimizer: Optimizer, part: Any) -> None:
            with torch.no_grad():
                for group in optimizer.param_groups:
                    for theta in group["params"]:
                        if theta.ndim >= 2 and theta.grad is not None:
                            part(theta, axes=theta.ndim, lr=group["lr"], **self.numbers)

        optimizer.register_step_pre_hook(lambda o, *_: each(o, self.before_step))
        optimizer.register_step_post_hook(lambda o, *_: each(o, self.after_step))


@technique(
    "regularization",
    "constraint",
    name="weight-decay",
    aliases=("decoupled-weight-decay",),
    strength=Hyperparameter("share of a weight lost per step, in units of lr", (5e-3, 1.0), "log", NON_NEGATIVE, True),
)
class WeightDecay(Constraint):
    """Decoupled weight decay: weights shrink by a share at each step, in which the gradients have no part.

        w = w - lr * strength * w,   then the optimizer's step

    Paper: Loshchilov & Hutter 2019, Decoupled weight decay regularization, Algorithms 1 and 2.

    Differs: 1. The decay is multiplied by lr, as in torch and Keras; the paper multiplies it by the schedule's factor
    alone. 2. Biases and gains do not decay. With Adam and every parameter decaying it would be AdamW.

    Pitfall: with plain gradient descent it is the L2 penalty, with adaptive optimizers it is not. At a large lr the
    same strength is another decay: lr * strength must stay far below 1.

    Helps: Adam and its kin, whose L2 penalty hardly touches weights with large gradients. Not beside an L2 penalty:
    weights then decay twice.

    >>> import torch
    >>> from trainsmith.regularization import WeightDecay
    >>> w = torch.ones(1, 2)
    >>> WeightDecay(0.5)([w], lr=0.5)
    >>> w.tolist()
    [[0.75, 0.75]]
    """

    def __init__(self, strength: float = 1e-2) -> None:
        super().__init__(strength=strength)

    @staticmethod
    def before_step(theta: Tensor, *, axes: int, lr: Any, strength: Any) -> None:  # type: ignore[override]
        theta.mul_(1 - lr * strength)


@technique(
    "regularization",
    "constraint",
    name="max-norm",
    limit=Hyperparameter("largest norm of a unit's incoming weights", (1.0, 5.0), "linear", POSITIVE, tuned=True),
)
class MaxNorm(Constraint):
    """Max-norm constraint: no unit's incoming weights may be longer than a limit.

        after the step, for each unit's incoming weights w:   w = w * min(1, limit / |w|)

    Paper: Srebro, Rennie & Jaakkola 2005, Maximum-margin matrix factorization; Hinton, Srivastava, Krizhevsky,
    Sutskever & Salakhutdinov 2012, Improving neural networks by preventing co-adaptation of feature detectors;
    Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov 2014, Dropout, section 5.1, unnumbered.

    Differs: 1. A unit is an index of the weight's first axis, as in torch's Linear, convolutions and embeddings; Keras
    has its units in the last. 2. Weights within the limit stay bit for bit as they are; Keras and torch's renorm
    divide by norm + 1e-7 and shrink a little at every step.

    Pitfall: transposed convolutions have their units on the second axis. Behind a normalization it bounds nothing
    but the effective learning rate.

    Helps: dropout with a high learning rate. Not where a normalization follows, which undoes the bound.

    >>> import torch
    >>> from trainsmith.regularization import MaxNorm
    >>> w = torch.tensor([[3.0, 4.0], [0.3, 0.4]])
    >>> MaxNorm(2.5)([w])
    >>> w
    tensor([[1.5000, 2.0000],
            [0.3000, 0.4000]])
    """

    def __init__(self, limit: float = 3.0) -> None:
        super().__init__(limit=limit)

    @staticmethod
    def after_step(theta: Tensor, *, axes: int, lr: Any, limit: Any) -> None:  # type: ignore[override]
        norm = torch.linalg.vector_norm(theta, dim=tuple(range(1 - axes, 0)), keepdim=True)  # squares overflow in half
        theta.mul_(torch.where(norm > limit, limit / norm, torch.ones_like(norm)))


@technique(
    "regularization",
    "constraint",
    name="soft-threshold",
    aliases=("proximal-l1",),
    strength=Hyperparameter("pull towards 0 per step, in units of lr", (1e-5, 1e-1), "log", NON_NEGATIVE, tuned=True),
)
class SoftThreshold(Constraint):
    """Soft threshold: each step also moves every weight towards 0 by a constant, and stops there.

        after the step:   w = sign(w) * max(|w| - lr * strength, 0)

    Paper: Duchi & Singer 2009, Efficient online and batch learning using forward backward splitting, section 5.1;
    Daubechies, Defrise & De Mol 2004, An iterative thresholding algorithm for linear inverse problems with a
    sparsity constraint; Goodfellow, Bengio & Courville 2016, Deep Learning, equation 7.23 (the same function gives
    the minimum).

    Differs: nothing known; it is the proximal step of strength * sum |w|.

    Pitfall: with adaptive optimizers its fixed point is not that of the L1 penalty: the loss's gradient is rescaled,
    this step is not.

    Helps: weights that are exactly 0, to be counted, pruned and read. Not with adaptive optimizers, if the minimum of
    the L1 penalty is wanted.

    >>> import torch
    >>> from trainsmith.regularization import SoftThreshold
    >>> w = torch.tensor([[3.0, -0.25]])
    >>> SoftThreshold(1.0)([w], lr=0.5)
    >>> w.tolist()
    [[2.5, 0.0]]
    """

    def __init__(self, strength: float = 1e-3) -> None:
        super().__init__(strength=strength)

    @staticmethod
    def after_step(theta: Tensor, *, axes: int, lr: Any, strength: Any) -> None:  # type: ignore[override]
        pull = torch.as_tensor(lr * strength, dtype=theta.dtype, device=theta.device)
        theta.sub_(theta.clamp(-pull, pull))
