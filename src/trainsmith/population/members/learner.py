"""A learner: what trains by itself, a network with its loss, its rule and its luck, whatever data it comes to see."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from torch import Tensor

from trainsmith.catalogue import Technique
from trainsmith.errors import InvalidInput
from trainsmith.optimizer import Clipping, Optimizer, with_statistics
from trainsmith.population.members.objective import Objective
from trainsmith.population.members.outer_layers import last_layer, outer_layers
from trainsmith.population.members.pace import Pace
from trainsmith.regularization import Averaging, SnapshotEnsemble


@dataclass
class Learner:
    """What trains: a network with its loss, an update rule with its numbers, and the seed of its luck.

    rule and numbers: the optimizer's class and its hyper-parameters. clipping, limits, spared: what clips gradients, if
    anything, its hyper-parameters, and the names of parameters that it leaves out. outside: of those that are no hidden
    layers'. pace: pace(step, steps, factor) is the factor on the learning rate at a step of a training of so many, in
    place of the schedule's. schedule: its own, by the catalogue's entry and its numbers, in place of the training's.
    average: what averages the weights, if anything. length: the number of steps, where that is known. bucket: see
    bucket_key.
    """

    seed: int
    objective: Objective
    rule: type[Optimizer]
    numbers: dict[str, float]
    bucket: object = field(default=None, kw_only=True)
    clipping: type[Clipping] | None = field(default=None, kw_only=True)
    limits: dict[str, float] = field(default_factory=dict, kw_only=True)
    spared: frozenset[str] = field(default=frozenset(), kw_only=True)
    outside: frozenset[str] = field(default=frozenset(), kw_only=True)
    pace: Pace | None = field(default=None, kw_only=True)
    schedule: tuple[Technique, dict[str, float]] | None = field(default=None, kw_only=True)
    average: Averaging | None = field(default=None, kw_only=True)
    length: int | None = field(default=None, kw_only=True)

    def targets(self, y: Tensor) -> Tensor:
        """Targets in the units the network is trained in."""
        return y

    @property
    def networks(self) -> int:
        """How many networks train side by side, each on its own part of a batch."""
        return self.objective.networks

    def clip_by(self, clipping: type[Clipping], limits: dict[str, float], x: Tensor | None) -> None:
        """Have the gradients clipped. x: a few inputs, which show what is spared; without them nothing is."""
        self.clipping, self.limits = clipping, limits
        if clipping.spares_last_layer and x is not None:
            self.spared = frozenset(f"network.{name}" for name in last_layer(self.objective.network, x))

    def set_apart(self, x: Tensor | None) -> None:
        """Find what is not hidden, if the rule tells it apart. x: as of clip_by."""
        self.outside = outer_layers(self.objective, x) if self.rule.of_hidden and x is not None else frozenset()

    def optimizer(self, named: Iterable[tuple[str, Tensor]], numbers: Mapping[str, float]) -> Optimizer:
        """The rule's optimizer of parameters by the objective's names for them."""
        kinds: tuple[list[Tensor], list[Tensor]] = ([], [])
        for name, p in named:
            kinds[name in self.outside].append(p)
        groups = [{"params": some, "hidden": not outside} for outside, some in enumerate(kinds) if some]
        return self.rule(groups if self.outside else kinds[0], **numbers)

    def snapshot_due(self, step: int) -> int | None:
        """Which snapshot of an ensemble of snapshots is taken after this step, if any."""
        network = self.objective.network
        if not isinstance(network, SnapshotEnsemble) or self.length is None:
            return None
        return network.due(step, self.length)

    @property
    def takes_snapshots(self) -> bool:
        """Whether the weights are kept where a cycle ends."""
        return isinstance(self.objective.network, SnapshotEnsemble)

    @property
    def restated(self) -> bool:
        """Whether running statistics have to be taken anew, because other weights are evaluated than are trained."""
        averaged = self.average is not None or self.rule.evaluated is not None
        return averaged and bool(with_statistics(self.objective.network))

    def checked(self) -> Self:
        """The same. Raises InvalidInput for parts that cannot act together, as two that would each be scored."""
        scored = {
            "a teacher": self.objective.scores_others,
            "snapshots": isinstance(self.objective.network, SnapshotEnsemble),
            "an average of the weights": self.average is not None,
            "an optimizer that averages the weights": self.rule.evaluated is not None,
        }
        if self.networks > 1 and self.objective.passes is not None:
            name = type(self.objective.passes).__name__
            raise InvalidInput(f"{name} and an ensemble cannot act together: it would take several networks for one.")
        if len(found := [name for name, there in scored.items() if there]) > 1:
            raise InvalidInput(
                f"{' and '.join(found)} cannot act together: each would be what is scored; choose one of them."
            )
        return self

    def also_equal(self) -> tuple[object, ...]:
        """What members of one bucket must have in common besides structure and rule."""
        return ()
