"""What one animal of the zoo is: a network with its data and training, and what is wrong with it."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from zoo.examples import DRAW


@dataclass
class Given:
    """What trainsmith.inspect gets."""

    module: nn.Module
    batch: Any
    loss: Any = None
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """A network by name; fault: the finding that it must give, or "" for a healthy one."""

    fault: str
    name: str
    make: Callable[[], Given]

    def __str__(self) -> str:
        return f"{self.fault or 'healthy'}: {self.name}"

    @property
    def half(self) -> str:
        """ "tuning" or "report", by a hash of the name: thresholds were chosen on the first alone."""
        return ("tuning", "report")[hashlib.sha256(str(self).encode()).digest()[0] % 2]

    def given(self) -> Given:
        """The network and its data, the same every time; the halves draw different weights and examples."""
        DRAW[0] = ("tuning", "report").index(self.half)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int.from_bytes(hashlib.sha256(f"{self.half} {self.name}".encode()).digest()[:4], "big"))
            return self.make()
