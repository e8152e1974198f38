"""A user's own network in an export: what its factory made, before techniques were put in, and how to call it."""

import functools
import inspect
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from trainsmith.data import Dataset
from trainsmith.errors import InvalidInput
from trainsmith.export.harvest import is_at_hand
from trainsmith.export.source import Origin, Source, write_source
from trainsmith.network import Factory, families_taken, named_factory
from trainsmith.network.factory import takes_shape

NOTHING = {
    "activation": "nn.ReLU",
    "normalization": "lambda features: nn.Identity()",
    "regularization": "nn.Identity",
}
"""What an exported factory is given for a family; the layers that a technique makes then take these places."""


@dataclass
class Recorder:
    """A factory that notes the modules of what it made, while they are there.

    It has the factory's signature, so that it is called as the factory would be.
    """

    factory: Factory
    made: WeakKeyDictionary[nn.Module, tuple[str, str]] = field(default_factory=WeakKeyDictionary)

    def __post_init__(self) -> None:
        functools.update_wrapper(self, self.factory, updated=())

    def __call__(self, *args: Any, **options: Any) -> nn.Module:
        module = self.factory(*args, **options)
        if isinstance(module, nn.Module):
            self.made.update({m: (name, repr(m)) for name, m in module.named_modules() if not _is_technique(m)})
        return module

    def source(self, network: nn.Module, example: Tensor, dataset: Dataset, costs: bool) -> Source:
        """The network's source: its own layers written out where all are known, else from the factory's source."""
        try:
            return write_source(network, example, costs=costs)
        except InvalidInput:
            shape = f"{dataset.input_shape}, {dataset.outputs}" if takes_shape(self.factory) else ""
            given = [f"{family}={NOTHING[family]}" for family in families_taken(self.factory)]
            arguments = ", ".join([*filter(None, [shape]), *given])
            factory = inspect.unwrap(self.factory)
            if not hasattr(factory, "__qualname__"):
                raise InvalidInput(
                    f"a network made by a {type(factory).__name__} cannot be written as source; give a function that "
                    "is defined at the top of a file."
                ) from None
            source = write_source(network, example, Origin(factory, arguments, self.made), costs)
            return replace(source, about=_told(factory))


def _told(factory: Factory) -> str:
    """In words, whether a factory's source is copied or imported."""
    module, name = sys.modules[factory.__module__], factory.__qualname__
    if not is_at_hand(module):
        return f" with {name} of the package {module.__name__}, which is imported"
    file = Path(str(getattr(module, "__file__", "a notebook"))).name
    return f" with the source of {name}, copied from {file}, and puts the techniques in"


def recorder(network: str | Factory) -> Recorder:
    """The network's factory, recorded."""
    return Recorder(named_factory(network) if isinstance(network, str) else network)


def _is_technique(module: nn.Module) -> bool:
    """Whether a factory was given this module, or a sequence of such."""
    if type(module) is nn.Sequential:
        return len(module) > 0 and all(_is_technique(child) for child in module)
    return type(module).__module__.startswith("trainsmith.") and hasattr(type(module), "plain")
