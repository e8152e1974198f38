"""PyTorch's single-pass CPU kernels moving all members, each with its own numbers, in one call of TorchScript."""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from trainsmith.optimizer import SGD, AdaGrad, Adam, AdamW, AMSGrad, Momentum, Nesterov, Optimizer, RMSprop
from trainsmith.population.program.layout import in_order
from trainsmith.population.program.unlocked import Inexpressible, script

Tensors = list[Tensor]
Rate = float | list[float]
"""The factor on the learning rate in a step, of all members or of each."""

_STEPS = "[torch.full([], t)] * len(w[k])"


def _adam(
    moments: str = "m[k], v[k]", top: str = "none", beta1: str = "beta1[k]", beta2: str = "beta2[k]",
    decay: str = "0.0", steps: str = _STEPS,
) -> str:  # fmt: skip
    return (
        f"torch._fused_adamw_(w[k], g[k], {moments}, {top}, {steps}, lr=lr[k], beta1={beta1}, beta2={beta2}, "
        f"weight_decay={decay}, eps=eps[k], amsgrad={top != 'none'}, maximize=False)"
    )


def _momentum(nesterov: bool) -> str:
    """The kernel takes no velocity where none is kept."""
    return f"""if momentum[k] == 0.0:
            torch._foreach_copy_(v[k], g[k])
            torch._foreach_add_(w[k], g[k], alpha=-lr[k])
        else:
            torch._fused_sgd_(
                w[k], g[k], v[k], weight_decay=0.0, momentum=momentum[k], lr=lr[k], dampening=0.0,
                nesterov={nesterov}, maximize=False, is_first_step=False
            )"""


CALLS: dict[type[Optimizer], str] = {
    SGD: "torch._foreach_add_(w[k], g[k], alpha=-lr[k])",
    Momentum: _momentum(nesterov=False),
    Nesterov: _momentum(nesterov=True),
    Adam: _adam(),
    AdamW: _adam(decay="weight_decay[k]"),
    AMSGrad: _adam(top="top[k]"),
    RMSprop: _adam("g[k], s[k]", beta1="0.0", beta2="alpha[k]", steps="[torch.full([], float('inf'))] * len(w[k])"),
    AdaGrad: f"torch._fused_adagrad_(w[k], g[k], s[k], {_STEPS}, lr=lr[k], lr_decay=0.0, weight_decay=0.0, "
    "eps=eps[k], maximize=False)",
}
"""By rule what moves member k, in TorchScript: what the rule's `fused` does. w, g and what is kept, by its names, hold
each member's tensors; hyper-parameters, by theirs, each member's number. t is the step."""


def source(rule: type[Optimizer], names: Iterable[str]) -> str:
    """`move(t, w, g, *kept, *numbers)` of the rule, in TorchScript; the numbers by these names."""
    stacks = ", ".join(f"{name}: List[List[Tensor]]" for name in ("w", "g", *rule.moments))
    numbers = ", ".join(f"{name}: List[float]" for name in names)
    return f"""
def move(t: float, {stacks}, {numbers}):
    none: List[Tensor] = []
    for k in range(len(w)):
        {CALLS[rule]}
"""


class Kernel:
    """A rule's own single-pass kernel, called for one member after another with its own numbers.

    source: `move` in TorchScript, which takes the step, the stacks and the numbers. moves: that, where it is possible.
    """

    def __init__(
        self,
        rule: type[Optimizer],
        numbers: dict[str, list[float]],
        parameters: Tensors,
        gradients: Tensors,
        kept: Sequence[Tensors],
    ) -> None:
        stacks = (parameters, gradients, *([k[i] for k in kept] for i in range(len(kept[0]))))
        self.stacks = [[[in_order(t[k]).view(-1) for t in stack] for k in range(len(stack[0]))] for stack in stacks]
        self.rule, self.numbers, self.source = rule, numbers, source(rule, numbers)
        self.moves: Callable[..., None] | None = None
        with contextlib.suppress(Inexpressible):
            self.moves = script(self.source, "move")

    def rates(self, rate: Rate) -> list[float]:
        """Each member's learning rate where it is multiplied by `rate`."""
        lr = self.numbers["lr"]
        return [own * r for own, r in zip(lr, rate if isinstance(rate, list) else [rate] * len(lr), strict=True)]

    def __call__(self, t: int, rate: Rate) -> None:
        numbers = {**self.numbers, "lr": self.rates(rate)}
        if self.moves is not None:
            self.moves(float(t), *self.stacks, *numbers.values())
            return
        fused: Any = self.rule.fused
        for k, tensors in enumerate(zip(*self.stacks, strict=True)):
            fused(t, *tensors, **{name: values[k] for name, values in numbers.items()})


def kernel_of(
    rule: type[Optimizer],
    numbers: dict[str, list[float]],
    parameters: Tensors,
    gradients: Tensors,
    kept: Sequence[Tensors],
) -> Kernel | None:
    """What moves these members by a single-pass kernel.

    None where there is none, where it divides 0 by 0, or where a member's numbers lie with gaps between them.
    """
    kinds = {(p.device.type, p.dtype) for p in parameters}
    here = kinds in ({("cpu", torch.float32)}, {("cpu", torch.float64)}) and min(numbers.get("eps", [1.0])) > 0
    dense = all(in_order(t[0]).is_contiguous() for t in (*parameters, *gradients))
    return Kernel(rule, numbers, parameters, gradients, kept) if rule in CALLS and here and dense else None
