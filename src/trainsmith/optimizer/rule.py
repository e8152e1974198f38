"""An update rule, written once for one tensor, as an ordinary PyTorch optimizer.

A rule is two functions of values. `coefficients` turns the hyper-parameters and the step number into the
numbers of this step, in double precision; `update` moves a tensor and what is kept for it in place. Both are
written for one network and work unchanged on a population, where each coefficient is a column with one
value a member.
"""

import contextlib
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar, overload

import torch
from torch import Tensor
from torch._utils import _flatten_dense_tensors, _unflatten_dense_tensors

from trainsmith.errors import InvalidInput
from trainsmith.optimizer.stored import BETAS, SPARSE, check_state, names_kept, paired

JOINED = 2**13
"""Parameters of up to this many numbers are moved together: for them a call costs more than its arithmetic."""
BLOCK = 2**16
"""So many numbers of a larger parameter pass through all operations of a rule before the next ones, on a CPU: what they
need stays in its caches. A thread has so many at a time."""


class Optimizer(torch.optim.Optimizer):
    """The ordinary PyTorch optimizer around a rule: param groups, state_dict and schedulers as usual.

    moments: the names of the tensors the rule keeps for each parameter, zero at the start and shaped like it.
    coefficients: coefficients(t, **hyperparameters) gives the numbers of step t (from 1) as a dict: floats,
    or float64 tensors with one value a member. update: update(theta, g, *moments, **coefficients) moves theta
    and the moments in place, given the gradient g, which it leaves as it is.

    linear: the step is linear in the gradients, so that complex parameters need nothing of their own.

    per_tensor: the rule looks at a parameter as a whole (its norm, its rows, its matrix). What it keeps is then
    given by `kept`, and its update is called for each parameter as update(theta, g, *kept, axes, **coefficients):
    the last `axes` axes are the parameter's own, those before are members, and a coefficient is a float or a
    tensor (members, 1, ..., 1).

    evaluated: evaluated(theta, *kept, **coefficients) gives the weights to evaluate and export, where a rule has
    others than those it trains; `eval` puts them into the parameters and `train` takes them out again.
    scheduled: False for a rule that wants a constant learning rate. of_hidden: True for a rule of hidden layers, which
    moves a network's input and output layers otherwise; a training in a population leaves these to it as `outside`.

    fused: fused(t, parameters, gradients, *kept, **hyperparameters) takes step t of many parameters at once by
    PyTorch's own single-pass kernel, where that has the same formula: it rounds in another order. A population on a
    CPU runs it too, so that both have the same bits; `fused = None` in a subclass brings `update` back.

    Numbers called beta1 and beta2 are kept in the param groups as torch keeps its own, as `betas`, which torch's
    schedulers of momentum look for; and `betas=(beta1, beta2)` gives both, as to torch's optimizers.
    """

    moments: ClassVar[tuple[str, ...]] = ()
    linear: ClassVar[bool] = False
    per_tensor: ClassVar[bool] = False
    coefficients: ClassVar[Callable[..., dict[str, Any]]]
    update: ClassVar[Callable[..., None]]
    evaluated: ClassVar[Callable[..., Tensor] | None] = None
    scheduled: ClassVar[bool] = True
    of_hidden: ClassVar[bool] = False
    fused: ClassVar[Callable[..., None] | None] = None

    together: ClassVar[dict[str, tuple[str, ...]]] = {"betas": BETAS}
    _numbers: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def kept(cls, shape: torch.Size) -> dict[str, tuple[int, ...]]:
        """Names and shapes of what the rule keeps for a parameter of this shape, zero at the start."""
        return {name: tuple(shape) for name in cls.moments}

    @classmethod
    def kept_outside(cls, shape: torch.Size) -> dict[str, tuple[int, ...]]:
        """The same for a parameter of no hidden layer, where the rule tells them apart."""
        return cls.kept(shape)

    def __init_subclass__(cls) -> None:
        # not self.defaults: torch adds entries of its own to it when an optimizer is loaded
        cls._numbers = tuple(inspect.signature(cls.coefficients).parameters)[1:]

    def __init__(self, params: Iterable[Any], **hyperparameters: float) -> None:
        self._flat: dict[tuple[int, ...], tuple[list[Tensor], list[tuple[Tensor, ...]]]] = {}
        super().__init__(params, paired(hyperparameters))

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As torch's, which has its compiler leave this alone and would import it, if nobody has, only for that.

        A group may give beta1 or beta2 of its own, or torch's betas.
        """
        if isinstance(param_group, dict):
            paired(param_group, self.defaults)
        add = torch.optim.Optimizer.add_param_group
        (add if "torch._dynamo" in sys.modules else inspect.unwrap(add))(self, param_group)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._flat = {}
        check_state(state, type(self).__name__, self._numbers, self._kept)
        super().__setstate__(state)
        for group in self.param_groups:
            paired(group)

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step on every parameter that has a gradient; `closure`, if given, recomputes the loss first, which is
        returned. (torch calls that loss a float; it is a scalar tensor in every training loop.)
        """
        if any("trained" in state for state in self.state.values()):
            raise InvalidInput("the parameters hold the weights for evaluation: call train() before step().")
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            numbers = self._values(group)
            for t, parameters in self._batches(group):
                if self.fused is not None and _plain(parameters, numbers):
                    gradients = [p.grad for p in parameters]
                    kept = zip(*map(self._tensors, parameters), strict=True)
                    self.fused(t, parameters, gradients, *map(list, kept), **numbers)
                    continue
                coefficients = self.coefficients(t, **numbers)
                for some in _small_and_large(parameters) if self.fused is not None else [parameters]:
                    self._move(some, coefficients)
        return loss

    def _batches(self, group: dict[str, Any]) -> list[tuple[int, list[Tensor]]]:
        """The step number and the parameters of each update: small parameters together, large ones one by one."""
        batches: dict[Any, list[Tensor]] = {}
        for theta in group["params"]:
            if theta.grad is None:
                continue
            state = self.state[theta]
            if not state:
                self._check(theta, theta.grad)
                state["step"] = 0
                state.update((name, theta.new_zeros(s)) for name, s in self._kept(group, theta).items())
            state["step"] = t = int(state["step"]) + 1
            like = theta.shape if self.per_tensor else None
            joined = theta.numel() <= JOINED or self.fused is not None
            key = (t, theta.dtype, theta.device, like) if joined else (t, id(theta))
            batches.setdefault(key, []).append(theta)
        return [(key[0], parameters) for key, parameters in batches.items()]

    def _check(self, theta: Tensor, g: Tensor) -> None:
        if g.is_sparse:
            raise InvalidInput(SPARSE)
        if theta.is_complex() and not self.linear:
            raise InvalidInput(
                f"{type(self).__name__} needs real parameters; got {theta.dtype}. Train torch.view_as_real of it, or "
                "take torch.optim's."
            )

    def _values(self, group: dict[str, Any]) -> dict[str, Any]:
        """The rule's numbers, by their own names, as a param group has them now."""
        betas = dict(zip(BETAS, paired(group).get("betas", ()), strict=False))
        values = {key: betas[key] if key in betas else group[key] for key in self._numbers}
        return {key: v.view(()) if isinstance(v, Tensor) and v.numel() == 1 else v for key, v in values.items()}

    def _kept(self, group: dict[str, Any], theta: Tensor) -> dict[str, tuple[int, ...]]:
        return self.kept(theta.shape)

    def _tensors(self, theta: Tensor) -> list[Tensor]:
        """What is kept for a parameter, in the order of the rule's names."""
        return [self.state[theta][name] for name in names_kept(self.state[theta])]

    def _move(self, parameters: list[Tensor], coefficients: dict[str, Any]) -> None:
        theta, g = parameters[0], parameters[0].grad
        axes = {"axes": theta.ndim} if self.per_tensor else {}
        if len(parameters) == 1:
            for tensors in self._blocks([theta, g, *self._tensors(theta)]):  # type: ignore[list-item]
                self.update(*tensors, **axes, **coefficients)
            return
        theta, g = self._join(parameters), self._join([p.grad for p in parameters if p.grad is not None])
        self.update(theta, g, *self._joined(parameters), **axes, **coefficients)
        torch._foreach_copy_(parameters, list(self._parts(theta, parameters)))

    def _blocks(self, tensors: Sequence[Tensor]) -> Iterable[Sequence[Tensor]]:
        return [tensors] if self.per_tensor or len(tensors) == 2 else blocks(tensors)

    def _join(self, tensors: Sequence[Tensor]) -> Tensor:
        """Several parameters' tensors as one: end to end, or stacked like members for a rule that sees each whole."""
        return torch.stack(list(tensors)) if self.per_tensor else _flatten_dense_tensors(tensors)

    def _parts(self, joined: Tensor, like: Sequence[Tensor]) -> tuple[Tensor, ...]:
        return joined.unbind() if self.per_tensor else _unflatten_dense_tensors(joined, like)

    def _joined(self, parameters: list[Tensor]) -> list[Tensor]:
        """What is kept for some parameters, each as one tensor of which the parameters' own are views."""
        key = tuple(map(id, parameters))
        own = list(zip(*map(self._tensors, parameters), strict=True))
        flat, views = self._flat.get(key, ([], []))
        if [list(map(id, tensors)) for tensors in own] != [list(map(id, tensors)) for tensors in views]:
            flat = [self._join(tensors) for tensors in own]
            views = [self._parts(f, parameters) for f in flat]
            self._flat = {ids: kept for ids, kept in self._flat.items() if not set(ids).intersection(key)}
            self._flat[key] = flat, views  # in the place of all that its parameters had before
            for i, theta in enumerate(parameters):
                names = names_kept(self.state[theta])
                self.state[theta].update((name, view[i]) for name, view in zip(names, views, strict=True))
        return flat

    @torch.no_grad()
    def eval(self) -> None:
        """Put the weights to evaluate and export into the parameters; nothing where the rule has no others.

        A second call does nothing. state_dict, taken now, still knows the trained weights.
        """
        for group in self.param_groups:
            for theta in group["params"]:
                state = self.state.get(theta, {})
                if self.evaluated is None or not state or "trained" in state:
                    continue
                coefficients = self.coefficients(int(state["step"]), **self._values(group))
                weights = self.evaluated(theta, *self._tensors(theta), **coefficients)
                state["trained"] = theta.detach().clone()
                theta.copy_(weights)

    @torch.no_grad()
    def train(self) -> None:
        """Put the weights that are trained back into the parameters; a second call does nothing."""
        for theta, state in self.state.items():
            if "trained" in state:
                theta.copy_(state.pop("trained"))

    @contextlib.contextmanager
    def evaluating(self) -> Iterator[None]:
        """`with optimizer.evaluating():` evaluates inside and trains on after it."""
        self.eval()
        try:
            yield
        finally:
            self.train()


def _small_and_large(parameters: list[Tensor]) -> list[list[Tensor]]:
    """The small ones together, and the large ones one by one: joined, they would be copied there and back."""
    small = [p for p in parameters if p.numel() <= JOINED]
    return [small] * bool(small) + [[p] for p in parameters if p.numel() > JOINED]


def _plain(parameters: Sequence[Tensor], numbers: dict[str, Any]) -> bool:
    """Whether PyTorch's single-pass CPU kernels can take these parameters and numbers."""
    dense = not torch.compiler.is_compiling() and all(  # which makes kernels of its own
        p.device.type == "cpu" and p.dtype in (torch.float32, torch.float64) and p.is_contiguous()
        and p.grad is not None and p.grad.is_contiguous() and p.grad.dtype == p.dtype
        for p in parameters
    )  # fmt: skip
    return dense and not any(isinstance(n, Tensor) for n in numbers.values()) and numbers.get("eps", 1) > 0


def blocks(tensors: Sequence[Tensor]) -> Iterable[Sequence[Tensor]]:
    """A parameter's tensors in pieces that fit into the caches, for a rule that takes each number for itself."""
    size = BLOCK * torch.get_num_threads()
    small = tensors[0].numel() <= 2 * size or tensors[0].device.type != "cpu"
    if small or not all(t.is_contiguous() for t in tensors):
        return [tensors]
    return zip(*(t.view(-1).split(size) for t in tensors), strict=True)


def root(v: Tensor) -> Tensor:
    """sqrt(v) for v >= 0, also where v is 0 or subnormal, whose plain root takes a CPU ten times as long: below the
    smallest normal number the root is that number's (1.1e-19 in float32), which any epsilon in use outweighs.
    """
    return v.clamp_min(torch.finfo(v.dtype).tiny).sqrt_()


def decay(theta: Tensor, left: Any) -> None:
    """theta = left * theta in place; the number 1 costs no pass."""
    if isinstance(left, Tensor) or left != 1:
        theta.mul_(left)


def pulled(g: Tensor, theta: Tensor, weight_decay: Any) -> Tensor:
    """g + weight_decay * theta in one pass; the number 0 costs none, and gives g itself."""
    if isinstance(weight_decay, Tensor):
        return torch.addcmul(g, theta, weight_decay)
    return torch.add(g, theta, alpha=weight_decay) if weight_decay else g


def step_along(theta: Tensor, direction: Tensor, rate: Any) -> None:
    """theta = theta - rate * direction in place and in one pass; rate is a float or a column."""
    if isinstance(rate, Tensor):
        theta.addcmul_(direction, rate, value=-1)
    else:
        theta.add_(direction, alpha=-rate)


def step_over(theta: Tensor, direction: Tensor, scale: Tensor, rate: Any) -> None:
    """theta = theta - rate * direction / scale in place, for a number in one pass; rate is a float or a column."""
    if isinstance(rate, Tensor):
        theta.addcdiv_(direction * -rate, scale)
    else:
        theta.addcdiv_(direction, scale, value=-rate)
