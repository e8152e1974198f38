"""Devices without double precision, as Apple's: an inspection there gives the numbers that it gives elsewhere."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from inspection.make_network import draws
from trainsmith.inspection import inspect
from trainsmith.inspection.passes.double import doubled, share


class Single(Tensor):
    """A tensor as on a device that has no double precision: what would give one fails, until it is on the host."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        given = [v for v in tree_leaves((args, kwargs)) if v is torch.float64]
        if func is Tensor.double or given:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        if func in (Tensor.cpu, Tensor.numpy, Tensor.tolist):
            with torch._C.DisableTorchFunctionSubclass():
                found = func(args[0])
            return found.as_subclass(Tensor) if isinstance(found, Tensor) else found
        return super().__torch_function__(func, types, args, kwargs)

    def __deepcopy__(self, memo):
        made = self.detach().clone().requires_grad_(self.requires_grad)
        if isinstance(self, nn.Parameter):
            made._is_param = True
        return memo.setdefault(id(self), made)


def moved(module):
    """The module with its parameters and buffers there."""
    for m in module.modules():
        for name, p in m._parameters.items():
            if p is not None:
                m._parameters[name] = nn.Parameter(p.detach().as_subclass(Single))
        for name, b in m._buffers.items():
            m._buffers[name] = None if b is None else b.as_subclass(Single)
    return module


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(12, 16),
        nn.BatchNorm1d(16),
        nn.Tanh(),
        nn.Linear(16, 16),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Linear(16, 3),
    )


def test_the_fake_device_has_no_double_precision():
    there = torch.ones(3).as_subclass(Single)
    for refused in (
        lambda: there.double(),
        lambda: (there + 1).to(torch.float64),
        lambda: there.sum(dtype=torch.float64),
    ):
        with pytest.raises(TypeError, match="float64"):
            refused()
    assert doubled(there).dtype is torch.float64
    assert type(doubled(there)) is Tensor
    assert share(there > 0) == 1


@pytest.mark.parametrize("whole", [False, True], ids=["a pass", "with optimizer and held-back data"])
def test_an_inspection_there_gives_the_same(whole):
    x, held = draws(120, 12), draws(60, 12, seed=4)
    y, truth = (t[:, :3].argmax(1) for t in (x, held))

    def looked(module, there):
        more = {"optimizer": torch.optim.Adam(module.parameters(), 1e-3), "validation": there((held, truth))}
        return inspect(module, there((x, y)), **({**more, "steps": 6} if whole else {}), batch_size=30)

    here = looked(network(), lambda t: t)
    other = looked(moved(network()), lambda t: tree_map(lambda v: v.as_subclass(Single), t))
    assert other.to_dict() == here.to_dict()
