"""One member trained alone by the plain PyTorch loop: the slow, obvious twin of a population."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.func import functional_call

from trainsmith.errors import InvalidInput
from trainsmith.luck import Luck, first_pass, noise_keys, noiseless, silent, unmoved
from trainsmith.luck.widest import widest
from trainsmith.optimizer import recompute_statistics
from trainsmith.population.members.learner import Learner
from trainsmith.population.members.objective import in_training, predictions
from trainsmith.population.program.kernels import Rate
from trainsmith.population.program.stretch import one_by_one
from trainsmith.population.program.tensors import first_names
from trainsmith.population.training.taken import tensors_of
from trainsmith.regularization import Averaging, SnapshotEnsemble

if TYPE_CHECKING:
    from trainsmith.population.training.observer import Observer


DRAWS_LATE = (
    "the network draws noise at some steps and drew none in a first pass, so that no seed reaches it; let it draw "
    "from its first step on, e.g. by dropout with p=0."
)


DRAWS_BACKWARDS = (
    "the network draws noise in its backward pass, where no seed reaches it: torch.utils.checkpoint draws dropout "
    "masks anew there, and an autograd.Function may draw. Take the checkpoints out, which spare memory alone; draw in "
    "forward."
)


class Alone:
    """Trains one member as anybody would: module, backward, optimizer.step(). No vmap, no stacked tensors.

    It draws its luck by the same rule, so it must get what the member gets in a population. It serves the
    receipt, and networks that cannot be batched.
    """

    def __init__(self, member: Learner) -> None:
        self.members = [member]
        self.module = in_training(member.objective)
        named = [(name, p) for name, p in self.module.named_parameters() if p.requires_grad]
        self.trained = [p for _, p in named]
        self.clipped = [p for name, p in named if name not in member.spared]
        self.optimizer = member.optimizer(named, member.numbers)
        self.average: Averaging | None = None
        self.refreshed: dict[str, Tensor] = {}
        self.observer: Observer | None = None
        self.writes = True
        """Whether the network writes to its inputs, which are others' too; a first pass tells."""
        self.looked = False
        self.widest: dict[torch.Size, int] = {}

    def step(self, number: int, rate: Rate, x: Tensor, y: Tensor) -> Tensor:
        """One step on x (1, n, ...), y (1, n), as a population's; the loss (1,) before it."""
        member = self.members[0]
        (rate,) = rate if isinstance(rate, list) else [rate]
        if number == 1 and member.average is not None:
            self.average = type(member.average)(**member.average.numbers)
            self.average.attach(self.optimizer, member.length)
        if self.average is not None:
            self.average.steps = member.length  # which a second call of fit changes
        self.refreshed = {}
        if self.observer is not None:
            self.observer.before_alone(self, number)
        with self._luck(number, x[0], y[0]):
            loss = self.module(self._own(x[0]), y[0])
        for p in self.trained:
            p.grad = None  # zero_grad() imports torch's compiler
        self._backward(loss)
        for p in self.trained:
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
        for group in self.optimizer.param_groups:
            group["lr"] = member.numbers["lr"] * (rate if member.rule.scheduled else 1.0)
        if member.clipping is not None:
            member.clipping(**member.limits)(self.clipped)
        self.optimizer.step()
        if isinstance(self.module.network, SnapshotEnsemble) and member.length is not None:
            self.module.network.take(number, member.length)
        return loss.detach()[None]

    def _backward(self, loss: Tensor) -> None:
        """The gradients; the first time it is looked whether that draws noise, which no seed would reach."""
        if self.looked:
            loss.backward()
            return
        try:
            with noiseless():
                loss.backward()
        except InvalidInput as error:
            raise InvalidInput(DRAWS_BACKWARDS) from error
        self.looked = True

    def ahead(self, number: int) -> int:
        """Steps are taken one by one."""
        return 1

    def stretch(self, number: int, rates: Sequence[Rate], x: Tensor, y: Tensor, chosen: Tensor) -> Tensor:
        """Several steps, as a population's."""
        return one_by_one(self, number, rates, x, y, chosen)

    def _own(self, x: Tensor) -> Tensor:
        return x.clone() if self.writes else x

    def _luck(self, number: int, x: Tensor, y: Tensor) -> contextlib.AbstractContextManager[object]:
        if not hasattr(self, "places"):
            counter, self.writes = first_pass(self.module, x, y)
            self.places, self.host = counter.calls, counter.host
        if self.places == 0:
            return unmoved(DRAWS_LATE)
        return self._keyed(number, x.device)

    def _keyed(self, number: int, device: torch.device) -> Luck:
        """The member's luck at a step, also of a network that draws more often at some steps than at others."""

        def keys(places: int) -> Tensor:
            return noise_keys([self.members[0].seed], number, places)[0].to(device)

        return Luck(keys(self.places), self.host, keys)

    @contextlib.contextmanager
    def _evaluating(self) -> Iterator[None]:
        """The network has the weights and running statistics to evaluate meanwhile."""
        buffers = dict(self.module.network.named_buffers())
        before = {name: buffers[name].clone() for name in self.refreshed}
        averaged = self.average.evaluating() if self.average is not None else self.optimizer.evaluating()
        with averaged:
            for name, b in self.refreshed.items():
                buffers[name].copy_(b)
            yield
        for name, b in before.items():
            buffers[name].copy_(b)

    def refresh(self, x: Tensor) -> None:
        """Take the running statistics of the weights to evaluate from x (1, batches, n, ...), until the next step."""
        network = self.module.network
        before = {name: b.clone() for name, b in network.named_buffers()}
        self.refreshed = {}
        with self._evaluating(), self._keyed(0, x.device):
            recompute_statistics(network, x[0])
        for name, b in network.named_buffers():
            if name.rpartition(".")[2].startswith("running_"):
                self.refreshed[name] = b.clone()
            b.copy_(before[name])

    def outputs(self, x: Tensor) -> Tensor:
        """Network outputs in evaluation mode (1, n, outputs) for x (1, n, ...)."""
        modes = {m: m.training for m in self.module.modules()}
        self.module.eval()
        with torch.no_grad(), silent(self.module), self._evaluating():
            outputs = predictions(functional_call(self.module.network, self._scored(), (self._own(x[0]),)))[None]
        for module, mode in modes.items():
            module.training = mode
        return outputs

    def numbers(self, x: Tensor) -> int:
        """How many the largest tensor of an evaluation has for one example (n, ...)."""
        if x.shape[1:] not in self.widest:
            self.widest[x.shape[1:]] = widest(self.module.network, x)
        return self.widest[x.shape[1:]]

    def state(self, k: int) -> dict[str, Tensor]:
        """A copy of the network's state_dict."""
        with self._evaluating():
            scored, first = self._scored(), first_names(self.module.network)
            found = self.module.network.state_dict()
            return {name: scored.get(first.get(name, name), t).detach().clone() for name, t in found.items()}

    def tensors(self, k: int) -> dict[str, Tensor]:
        """A copy of every parameter and buffer of the network, by name."""
        with self._evaluating():
            found = {**tensors_of(self.module.network), **self._scored()}
            return {name: t.detach().clone() for name, t in found.items()}

    def _scored(self) -> dict[str, Tensor]:
        """What to score and export in place of some of the network's tensors: a teacher's."""
        if not self.module.scores_others:
            return {}
        state = {**dict(self.module.named_parameters()), **dict(self.module.named_buffers())}
        scored = self.module.scored({name: t.detach() for name, t in state.items()})
        return {n.removeprefix("network."): t for n, t in scored.items() if n.startswith("network.")}

    def keep(self, which: list[int]) -> None:
        """There is one member: it goes on, or nothing does."""
