"""One member trained alone by the plain PyTorch loop: the slow, obvious twin of a population."""

import contextlib

import numpy as np
import torch
from torch import Tensor

from trainsmith.population.luck import Luck, counting, noise_keys
from trainsmith.population.member import Member
from trainsmith.population.objective import predictions


class Alone:
    """Trains one member as anybody would: module, backward, optimizer.step(). No vmap, no stacked tensors.

    It draws its luck by the same rule, so it must get what the member gets in a population. It serves the
    receipt, and networks that cannot be batched.
    """

    def __init__(self, member: Member, x: Tensor, y: Tensor) -> None:
        self.members = [member]
        self.x, self.y = x, y
        self.module = member.objective
        self.trained = [p for p in self.module.parameters() if p.requires_grad]
        self.optimizer = member.rule(self.trained, **member.numbers)

    def step(self, number: int, rate: float, chosen: np.ndarray) -> Tensor:
        member = self.members[0]
        index = torch.from_numpy(chosen[0])
        self.module.train()
        with self._luck(number, self.x[index], member.targets(self.y[index])):
            loss = self.module(self.x[index], member.targets(self.y[index]))
        self.optimizer.zero_grad()
        loss.backward()
        for p in self.trained:
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
        for group in self.optimizer.param_groups:
            group["lr"] = member.numbers["lr"] * rate
        self.optimizer.step()
        return loss.detach()[None]

    def _luck(self, number: int, x: Tensor, y: Tensor) -> contextlib.AbstractContextManager[object]:
        if not hasattr(self, "places"):
            counter, states = counting(), {n: b.clone() for n, b in self.module.named_buffers()}
            with torch.no_grad(), counter:
                self.module(x, y)
            self.module.load_state_dict(states, strict=False)
            self.places = counter.calls
        return (
            Luck(noise_keys([self.members[0].seed], number, self.places)[0])
            if self.places
            else contextlib.nullcontext()
        )

    def outputs(self, chosen: np.ndarray) -> Tensor:
        self.module.eval()
        with torch.no_grad():
            return predictions(self.module.network(self.x[torch.from_numpy(chosen[0])]))[None]

    def state(self, k: int) -> dict[str, Tensor]:
        return {name: t.detach().clone() for name, t in self.module.network.state_dict().items()}

    def keep(self, which: list[int]) -> None:
        """There is one member: it goes on, or nothing does."""
