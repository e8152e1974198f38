"""When a technique used alone may hand its work to torch's own fused kernel, which takes numbers, not tensors."""

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _get_current_dispatch_mode
from torch.utils.weak import WeakIdKeyDictionary

PLAIN = (Tensor, nn.Parameter)
_READ: WeakIdKeyDictionary = WeakIdKeyDictionary()
"""Of hyper-parameters read once: the version that was read, and its number."""


def kernel_numbers(x: Tensor, module: nn.Module, *names: str, weight: Tensor | None = None) -> list[float] | None:
    """The numbers in the module's 0-d hyper-parameters of these names, for a kernel of torch's that computes the same.

    None: take the formula. A kernel takes one number for all, so the formula it is wherever a hyper-parameter may
    differ by member or must stay a tensor: under vmap and the other transforms of torch.func, while something traces,
    exports or compiles, for tensors of other classes, and where a hyper-parameter is no plain buffer or has a gradient.
    It is the formula, too, where the layer's `weight` has another dtype than x. An accelerator's numbers are read once,
    since reading waits for the device, and again after a change in place.
    """
    if not ordinary() or type(x) not in PLAIN or (weight is not None and weight.dtype != x.dtype):
        return None
    buffers = module._buffers  # module.name takes as long as all the rest here
    numbers = []
    for name in names:
        h = buffers.get(name)
        if type(h) is not Tensor or h.requires_grad:
            return None
        if h.is_cpu:
            numbers.append(h.item())
        elif h.is_meta:
            return None
        else:
            numbers.append(read_once(h))
    return numbers


def ordinary() -> bool:
    """Whether operations are simply carried out: no transform of torch.func, no trace, no mode that watches them."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return False
    return not torch._C._functorch.peek_interpreter_stack() and _get_current_dispatch_mode() is None


def read_once(hyperparameter: Tensor) -> float:
    """The number in a 0-d tensor, taken from memory while the tensor is the same one and unchanged."""
    if hyperparameter.is_inference():  # which has no version
        return hyperparameter.item()
    version, number = _READ.get(hyperparameter, (-1, 0.0))
    if version != hyperparameter._version:
        version, number = hyperparameter._version, hyperparameter.item()
        _READ[hyperparameter] = version, number
    return number
