"""The training's part of an export: a script that trains as a run did, and the techniques that torch lacks."""

import copy
import functools
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from trainsmith.catalogue import Role, Run, Technique
from trainsmith.data import Dataset
from trainsmith.errors import InvalidInput
from trainsmith.export.harvest import Harvest
from trainsmith.export.optimizers import of_torch
from trainsmith.export.readable import readable
from trainsmith.export.scores import loss_source, metric_of, score_source
from trainsmith.export.source import WHOLE
from trainsmith.export.template import filled
from trainsmith.initialization import weight_layers
from trainsmith.optimizer import SCHEDULES, Optimizer, Plateau, constant_rate, recompute_statistics, warm_up
from trainsmith.optimizer.schedule import PLATEAU
from trainsmith.population import FIRST_LOSSES, Member, Training
from trainsmith.population.members.held_back import afterwards
from trainsmith.population.training.course import STATISTICS_ON
from trainsmith.regularization import OwnAugmentation, SnapshotEnsemble, UntilMatched, mixed_loss

OWN = ("data", "model", "techniques", "train")
LAYERS = ("layer", "parametrization", "activation", "input", "nothing")
"""Roles that are written into model.py."""


@dataclass
class Script:
    """train.py and techniques.py as they are being put together for one run.

    member: the run, made ready to train. output: what takes the predictions out of what the network returns, such as
    ".logits". stored: whether the first weights are read from a file instead of drawn.
    """

    run: Run
    member: Member
    training: Training
    dataset: Dataset
    output: str = ""
    stored: bool = False
    harvest: Harvest = field(default_factory=Harvest)
    imports: dict[str, None] = field(default_factory=dict)
    objects: list[tuple[str, str]] = field(default_factory=list)

    def write(self, title: Mapping[str, str], from_model: tuple[str, ...] = ()) -> dict[str, str]:
        """The files' texts by their names. title: "data" and "recipe" in words; from_model: what else model.py has.

        Raises InvalidInput for a recipe with a technique whose source cannot stand alone.
        """
        parts = self._parts()
        text = filled("train.py.jinja", **parts, **title, techniques=list(self.imports))
        if from_model:
            text = text.replace("from model import build", f"from model import build, {', '.join(from_model)}")
        files = {"train.py": readable(text, OWN)}
        if self.imports:
            about = '"""The techniques of the recipe that torch lacks, in torch alone."""\n\n'
            files["techniques.py"] = readable(about + self.harvest.text)
        return files

    def _parts(self) -> dict[str, Any]:
        member, training = self.member, self.training
        several = {plural: [self._object(t) for t in self._techniques(role)] for role, plural in SEVERAL.items()}
        one = {
            name: next((self._object(t) for t in self._techniques(role)), None) for role, name in AT_MOST_ONE.items()
        }
        if one["mixing"]:
            self._imported(mixed_loss)
        restated = None
        if member.restated:
            restated = STATISTICS_ON
            self._imported(recompute_statistics)
        losses = [self._object(t, "loss_of") for t in self._techniques("loss")]
        standard = [v.tolist() if isinstance(v, torch.Tensor) else v for v in (member.centre, member.scale)]
        wrapped = any(isinstance(v, list) for v in standard)
        regresses = self.dataset.task in ("regression", "autoencoding")
        return {
            **several,
            **one,
            **self._start(),
            **self._watching(),
            "restated": restated,
            "networks": member.networks if member.networks > 1 else None,
            "resampled": getattr(member.objective.network, "resampled", False),
            "snapshots": isinstance(member.objective.network, SnapshotEnsemble),
            "seed": self.run.seed,
            "steps": training.steps,
            "batch_size": training.batch_size,
            "optimizer": self._optimizer(),
            "lr": repr(member.numbers["lr"]),
            "factor": self._factor(),
            "averages": one["average"] or ("optimizer" if member.rule.evaluated is not None else None),
            "standardized": regresses,
            "centre": f"torch.tensor({standard[0]})" if wrapped else standard[0],
            "scale": f"torch.tensor({standard[1]})" if wrapped else standard[1],
            "loss": None if losses else loss_source(self.dataset, member),
            "score": score_source(self.dataset),
            "metric": metric_of(member),
            "classifies": self.dataset.classifies,
            "fitted": [name for name, t in self._made() if hasattr(t.make, "fit")],
            "activity": any(hasattr(m, "cost") and hasattr(m, "take") for m in member.objective.network.modules()),
            "output": self.output,
            "pooled": member.objective.unlabelled,
            "teacher": member.objective.scores_others,
            "headed": self._headed,
            "trained": self._trained,
            "held": self._held,
            "still": self._still,
            "grouped": any(getattr(m, "groups", 1) > 1 for m in weight_layers(member.objective.network)),
            "spared": _layers(member.spared),
            "outside": _layers(member.outside),
            "labels": self.dataset.labels,
            "further": self.dataset.unlabelled is not None,
            "first": FIRST_LOSSES,
            "objects": self.objects,
        }

    def _imported(self, thing: Any) -> str:
        """The name under which train.py imports a technique."""
        name = self.harvest.add(thing)
        self.imports[name] = None
        return name

    def _techniques(self, role: Role) -> list[Technique]:
        return [t for t in self.run.trial.recipe.techniques() if t.role == role and t.name not in self.member.skipped]

    def _made(self) -> Iterator[tuple[str, Technique]]:
        for role in (*SEVERAL, "mixing", "pass"):
            yield from ((_variable(t), t) for t in self._techniques(role))

    def _numbers(self, technique: Technique) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self.run.trial.of(technique).items())

    def _object(self, technique: Technique, name: str | None = None) -> str:
        """The variable that holds the technique, made when train.py is read."""
        name = name or _variable(technique)
        made = _class_of(technique)
        if issubclass(made, OwnAugmentation):
            own, call = made(), self.harvest.add_held(made().call)
            self.imports[call] = None
            self.objects.append((name, f"{self._imported(OwnAugmentation)}({call}, each={own.each})"))
            return name
        self.objects.append((name, f"{self._imported(made)}({self._numbers(technique)})"))
        return name

    def _optimizer(self) -> str:
        optimizer = self.run.trial.recipe.one("optimizer")
        numbers = {n: repr(v) for n, v in self.run.trial.of(optimizer).items()} | {"lr": "LEARNING_RATE"}
        call = of_torch(optimizer.name, self._trained, numbers)
        if call is not None:
            return call
        groups = "groups" if self.member.outside else self._trained
        return f"{self._imported(optimizer.make)}({groups}, {', '.join(f'{n}={v}' for n, v in numbers.items())})"

    def _factor(self) -> str:
        """The schedule's factor at a step, as a call."""
        rule: type[Optimizer] = self.member.rule
        factor, step = "", "before + step" if afterwards(self.member.stopping) == "on" else "step"
        schedule, numbers = self._schedule()
        if rule.scheduled and schedule is not constant_rate:
            given = "".join(f", {name}={value!r}" for name, value in numbers.items())
            factor = f"{self._imported(schedule)}({step}, STEPS{given})"
        for average in self._techniques("average") if self.member.pace is not None else ():
            factor = f"{_variable(average)}.pace({step}, STEPS, {factor or 1.0}, **{_variable(average)}.numbers)"
        if isinstance(self.member.objective.network, SnapshotEnsemble) and rule.scheduled:
            factor = "network.pace(step, STEPS, 1.0)"
        return " * ".join([*filter(None, [factor]), *["plateau.factor"] * self._watches])

    def _schedule(self) -> tuple[Any, Mapping[str, float]]:
        """The function of the schedule, the recipe's own or the training's, and its numbers."""
        for own in self._techniques("schedule"):
            return (constant_rate, {}) if inspect.isclass(own.make) else (own.make, self.run.trial.of(own))
        schedule = SCHEDULES.get(self.training.schedule, warm_up)
        takes = "warmup" in inspect.signature(schedule).parameters
        return schedule, {"warmup": self.training.warmup} if takes else {}

    @property
    def _headed(self) -> str:
        """The variable of the technique that has weights of its own beside the network's, if one has."""
        return next((_variable(t) for t in self._techniques("pass") if hasattr(t.make, "with_head")), "")

    @property
    def _trained(self) -> str:
        """What makes the parameters that are trained."""
        network = "[p for p in network.parameters() if p.requires_grad]" if self._held else "network.parameters()"
        return f"[*{network}, *{self._headed}.parameters()]" if self._headed else network

    @property
    def _held(self) -> bool:
        """Whether the network's owner froze weights."""
        return any(not p.requires_grad for p in self.member.objective.network.parameters())

    @property
    def _still(self) -> bool:
        """Whether its owner left layers in evaluation mode."""
        network = self.member.objective.network
        return network.training and not all(m.training for m in network.modules())

    @property
    def _watches(self) -> bool:
        if own := self._techniques("schedule"):
            return inspect.isclass(own[0].make)
        return self.training.schedule == PLATEAU and self.member.rule.scheduled

    def _start(self) -> dict[str, Any]:
        """How the first weights come about."""
        if self.stored:
            return {"stored": True, "fill": "", "fill_numbers": "", "input": "", "kept": ""}
        if isinstance(self.member.objective.network, WHOLE):
            raise InvalidInput("several networks draw their weights one by one.")
        chosen = self.run.trial.recipe.one("initialization")
        norm = self.run.trial.recipe.one("normalization")
        if chosen.role != "weights":
            raise InvalidInput(f"{chosen.name} looks at the whole network.")
        numbers = f", {self._numbers(chosen)}" if chosen.hyperparameters else ""
        fill = self._imported(chosen.make)
        fitted, kept = "", ""
        if norm.role == "input":
            fitted = f"{self._imported(norm.make)}({self._numbers(norm)})"
            kept = _kept(self.member.objective.network[0])  # type: ignore[index]
        return {"stored": False, "fill": fill, "fill_numbers": numbers, "input": fitted, "kept": kept}

    def _watching(self) -> dict[str, Any]:
        """What looks at the losses on the way."""
        stopping = self._techniques("stopping")
        for technique in stopping:
            self._object(technique, "stopping")
        if self._watches:
            own = self._techniques("schedule")
            self.objects.append(("plateau", f"{self._imported(Plateau)}({self._numbers(own[0]) if own else ''})"))
        if afterwards(self.member.stopping) == "on":
            self._imported(UntilMatched)
        keeping = ["plateau", *(_variable(t) for role in ("pass", "average") for t in self._techniques(role))]
        return {
            "watch_share": self.member.stopping.fraction if stopping else None,
            "afterwards": afterwards(self.member.stopping),
            "renewed": [(name, made) for name, made in self.objects if name in keeping],
            "checks": self.training.checks if stopping or self._watches else None,
            "plateau": self._watches,
        }


SEVERAL: dict[Role, str] = {
    "augmentation": "augmentations",
    "perturbation": "perturbations",
    "penalty": "penalties",
    "gradient": "gradients",
    "constraint": "constraints",
}
"""The roles of which a recipe may have several techniques, with their plurals, as the template calls them."""


AT_MOST_ONE: dict[Role, str] = {
    "mixing": "mixing", "clipping": "clipping", "pass": "own_pass", "average": "average",
}  # fmt: skip
"""The roles of which it has one or none, as the template calls them."""


def _variable(technique: Technique) -> str:
    return technique.name.replace("-", "_")


def _layers(names: frozenset[str]) -> list[str]:
    """The paths in the network of the layers that parameters of these names belong to."""
    return sorted({n.removeprefix("network.").rpartition(".")[0] for n in names if n.startswith("network.")})


def _kept(fitted: nn.Module) -> str:
    """The state of the plain module for a fitted normalization of inputs, as a dict of the attributes of `fitted`."""
    own, pairs = fitted.state_dict(), []
    for name, wanted in fitted.plain().state_dict().items():  # type: ignore[operator]
        same = [n for n, t in own.items() if t.shape == wanted.shape and torch.equal(t, wanted)]
        if not same:
            raise InvalidInput(f"{type(fitted).__name__} does not keep the {name} of its plain module.")
        pairs.append(f'"{name}": fitted.{name if name in same else same[0]}')
    return f"{{{', '.join(pairs)}}}"


def _class_of(technique: Technique) -> Any:
    if isinstance(technique.make, functools.partial) or not inspect.isclass(technique.make):
        raise InvalidInput(f"{technique.name} is not a class with a source, so it cannot be exported.")
    return technique.make


def output_of(network: nn.Module, x: torch.Tensor) -> str:
    """What takes the predictions out of what the network returns for inputs x."""
    trial = copy.deepcopy(network).eval()  # whose own modes, what its owner froze among them, stay what they are
    with torch.no_grad():
        output = trial(x)
    if hasattr(output, "logits"):
        return ".logits"
    return "[0]" if isinstance(output, (tuple, list)) else ""
