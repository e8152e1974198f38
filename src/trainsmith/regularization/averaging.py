"""Averages of the weights of a training, which are evaluated and exported in place of the last ones."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from trainsmith.catalogue import FRACTION, POSITIVE, Hyperparameter, technique
from trainsmith.catalogue.half import single
from trainsmith.errors import InvalidInput

START = Hyperparameter("share of the steps that go by before it", (0.1, 0.9), "linear", FRACTION)


class Averaging:
    """An average of the weights after each step: average = average + share (theta - average).

    share(t, steps, **numbers) is the weight of the newest weights at step t, from 1, of a training of `steps` steps:
    a float, or a tensor where a number has one value a member. pace(t, steps, factor, **numbers) is the factor on the
    learning rate in place of the schedule's, if it has one of its own. needs_length: whether `steps` has to be known.
    Averages of half precision are kept in single: a small share of a step would be lost in their rounding.
    """

    needs_length: ClassVar[bool] = False
    share: ClassVar[Callable[..., Any]]
    pace: ClassVar[Callable[..., float] | None] = None

    def __init__(self, **numbers: float) -> None:
        self.numbers = numbers
        self.taken = 0
        self.averages: list[Tensor] = []
        self.trained: list[Tensor] = []
        self.parameters: list[Tensor] = []
        self.steps: int | None = None
        self.network: nn.Module | None = None
        self.optimizer: torch.optim.Optimizer | None = None
        self._hooks: list[Any] = []

    def attach(
        self, optimizer: torch.optim.Optimizer, steps: int | None = None, network: nn.Module | None = None
    ) -> None:
        """From now on average the parameters after each step of `optimizer`, torch's or ours.

        steps: the length of the training. network: whose buffers, running statistics, are kept by `eval` and put back
        by `train`. Raises InvalidInput where the technique has to know `steps` and does not, and for a second optimizer
        of other parameters, whose steps would count as the first one's.
        """
        if steps is None and self.needs_length:
            raise InvalidInput(f"{type(self).__name__} has to know the length of the training; say steps=.")
        found = _trained(optimizer)
        if self.parameters and [*map(id, found)] != [*map(id, self.parameters)]:
            raise InvalidInput(
                f"this {type(self).__name__} averages what another optimizer moves; make one for each optimizer."
            )
        for hook in self._hooks:
            hook.remove()
        self.steps, self.network, self.optimizer, self.parameters = steps, network, optimizer, found
        self._hooks = [
            optimizer.register_step_pre_hook(self._before), optimizer.register_step_post_hook(self._take_in)
        ]  # fmt: skip

    def _before(self, *_: Any) -> None:
        """Averaged weights are no place to take a step from."""
        if self.trained:
            raise InvalidInput("the parameters hold the averaged weights: call train() before step().")

    @torch.no_grad()
    def _take_in(self, *_: Any) -> None:
        self._enter_new()
        self.taken += 1
        weights = [single(p.detach()) for p in self.parameters]
        if self.taken == 1:
            self.averages = [w.clone() for w in weights]
            return
        torch._foreach_lerp_(self.averages, weights, float(self.share(self.taken, self.steps, **self.numbers)))

    def _enter_new(self) -> None:
        """Parameters that the optimizer was given since, or that train since, start from what they are."""
        known = set(map(id, self.parameters))
        new = [p for p in _trained(self.optimizer) if id(p) not in known] if self.optimizer is not None else []
        self.parameters += new
        if self.averages:
            self.averages += [single(p.detach()).clone() for p in new]

    def _buffers(self) -> list[Tensor]:
        return list(self.network.buffers()) if self.network is not None else []

    @torch.no_grad()
    def eval(self) -> None:
        """Put the averages, if there are any yet, into the parameters; a second call does nothing.

        Running statistics were taken at other weights: `recompute_statistics` takes them anew.
        """
        if not self.averages or self.trained:
            return
        self.trained = [t.detach().clone() for t in (*self.parameters, *self._buffers())]
        for p, average in zip(self.parameters, self.averages, strict=True):
            p.copy_(average)

    @torch.no_grad()
    def train(self) -> None:
        """Put what is trained back."""
        if self.trained:
            for t, trained in zip((*self.parameters, *self._buffers()), self.trained, strict=True):
                t.copy_(trained)
            self.trained = []

    @contextlib.contextmanager
    def evaluating(self) -> Iterator[None]:
        """`with average.evaluating():` evaluates the averages inside and trains on after it."""
        self.eval()
        try:
            yield
        finally:
            self.train()

    def state_dict(self) -> dict[str, Any]:
        """How many were taken in, and the averages."""
        return {"taken": self.taken, "averages": self.averages, "trained": self.trained}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state_dict, after `attach`: on the parameters' device, in their precision.

        Raises InvalidInput where its tensors are not those of these parameters.
        """
        own = [single(p.detach()) for p in self.parameters]
        if state["averages"] and [t.shape for t in state["averages"]] != [p.shape for p in own]:
            raise InvalidInput(
                "the stored averages have other shapes than the parameters: attach the optimizer of the same network "
                "before."
            )
        self.taken = state["taken"]
        self.averages = [t.to(p, copy=True) for t, p in zip(state["averages"], own, strict=bool(state["averages"]))]
        self.trained = [t.clone() for t in state["trained"]]


def _trained(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]


@technique(
    "regularization",
    "average",
    name="weight-ema",
    aliases=("ema", "exponential-moving-average"),
    decay=Hyperparameter("share of the average that stays at a step", (0.9, 0.9995), "logit", FRACTION, tuned=True),
)
class WeightEMA(Averaging):
    """Exponential moving average of weights: what is evaluated is a running mean of the weights that are trained.

        average = d average + (1 - d) theta   after each step,   d = min(decay, 1 - 1 / t)

    Paper: Tarvainen & Valpola 2017, Mean teachers are better role models, section 2, with the warm-up of the decay in
    the authors' code.

    Differs: 1. d is 1 - 1 / t, a plain mean, until that reaches the decay; the weights before the first step are not
    part of it, theirs are. 2. Running statistics are taken anew at the average.

    Pitfall: it lags behind by 1 / (1 - decay) steps: with a decay too near to 1 for the length of the training it is
    worse than the last weights, and it adds little to a schedule that ends at 0.

    Helps: with constant learning rates and small batches, for nearly nothing. Not with a schedule that ends at 0, which
    leaves little to average.

    >>> import torch
    >>> from trainsmith.regularization import WeightEMA
    >>> theta = torch.nn.Parameter(torch.zeros(1))
    >>> optimizer, average = torch.optim.SGD([theta], lr=1.0), WeightEMA(decay=0.75)
    >>> average.attach(optimizer)
    >>> for _ in range(2):
    ...     theta.grad = torch.tensor([-1.0])
    ...     optimizer.step()
    >>> with average.evaluating():
    ...     theta.item()
    1.5
    """

    def __init__(self, decay: float = 0.99) -> None:
        super().__init__(decay=decay)

    @staticmethod
    def share(t: int, steps: int | None, *, decay: Any) -> Any:
        mean, new = 1 / t, 1 - decay
        return (mean + new + abs(mean - new)) / 2  # the larger one, for floats and for columns


@technique(
    "regularization",
    "average",
    name="polyak-averaging",
    aliases=("polyak", "polyak-ruppert"),
    start=Hyperparameter(START.meaning, START.search, START.scale, START.domain, tuned=True),
)
class PolyakAveraging(Averaging):
    """Polyak averaging: what is evaluated is the plain mean of the weights after each step.

        average_t = 1 / (t - r) (theta_(r+1) + ... + theta_t),   r = floor(start T);   theta_t itself until then

    Paper: Polyak & Juditsky 1992, Acceleration of stochastic approximation by averaging; Goodfellow, Bengio &
    Courville 2016, Deep Learning, section 8.7.3, unnumbered; from a later step on by Rakhlin, Shamir & Sridharan
    2012, Making gradient descent optimal for strongly convex stochastic optimization.

    Differs: 1. Running statistics are taken anew at the average.

    Pitfall: from the first step on (start 0) it never forgets the beginning, which a network is long past.

    Helps: noisy gradients at a constant learning rate; with a schedule that ends at 0 there is little left to average.
    Not where the mean takes in the first steps, far from the end.

    >>> import torch
    >>> from trainsmith.regularization import PolyakAveraging
    >>> theta = torch.nn.Parameter(torch.zeros(1))
    >>> optimizer, average = torch.optim.SGD([theta], lr=1.0), PolyakAveraging(start=0.25)
    >>> average.attach(optimizer, steps=4)
    >>> for _ in range(4):
    ...     theta.grad = torch.tensor([-1.0])
    ...     optimizer.step()
    >>> with average.evaluating():
    ...     theta.item()
    3.0
    """

    needs_length = True

    def __init__(self, start: float = 0.5) -> None:
        super().__init__(start=start)

    @staticmethod
    def share(t: int, steps: int | None, *, start: Any) -> Any:
        return later_mean(t, steps, start)


def later_mean(t: int, steps: int | None, start: Any) -> Any:
    """1 / n for the n-th weights after the share `start` of the steps; 1 before, so that the average is the weights."""
    if steps is None:
        raise InvalidInput("this average has to know the length of the training: train by `fit`, not step by step.")
    n = t - start * steps // 1
    return 2 / (n + 1 + abs(n - 1))


@technique(
    "regularization",
    "average",
    name="swa",
    aliases=("stochastic-weight-averaging",),
    level=Hyperparameter("factor on the learning rate from then on", (0.03, 1.0), "log", POSITIVE, tuned=True),
    start=START,
)
class SWA(Averaging):
    """Stochastic weight averaging: late in the training the learning rate stays up, and what is evaluated is a mean.

        from step r = floor(start T) on:   lr_t = level lr,   average_t = 1 / (t - r) (theta_(r+1) + ... + theta_t)

    Paper: Izmailov, Podoprikhin, Garipov, Vetrov & Wilson 2018, Averaging weights leads to wider optima and better
    generalization, Algorithm 1 with a constant learning rate.

    Differs: 1. The weights after every step are averaged, the paper's once in an epoch or cycle: the same mean but for
    its noise. 2. Running statistics are those of 500 training examples, the paper's of all.

    Pitfall: the last weights by themselves are worse than with the schedule to its end; only the average is good.
    Alone, set the learning rate by `pace`.

    Helps: longer trainings of networks whose learning rate may stay high; it costs no more than the training. Not in
    short trainings, whose weights are still on their way.

    >>> import torch
    >>> from trainsmith.regularization import SWA
    >>> theta = torch.nn.Parameter(torch.zeros(1))
    >>> optimizer, average = torch.optim.SGD([theta], lr=1.0), SWA(start=0.5)
    >>> average.attach(optimizer, steps=4)
    >>> for _ in range(4):
    ...     theta.grad = torch.tensor([-1.0])
    ...     optimizer.step()
    >>> with average.evaluating():
    ...     theta.item()
    3.5
    """

    needs_length = True

    def __init__(self, level: float = 0.3, start: float = 0.75) -> None:
        super().__init__(level=level, start=start)

    @staticmethod
    def share(t: int, steps: int | None, *, level: Any, start: Any) -> Any:
        return later_mean(t, steps, start)

    @staticmethod
    def pace(t: int, steps: int, factor: float, *, level: float, start: float) -> float:
        return level if t > start * steps // 1 else factor
