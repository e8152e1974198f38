"""The faults a network can have: what each is called, where its threshold comes from, and what may help."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    remedies: what may help, a technique as family=name or a change as change=name. advice: what nobody but the user
    can do. untried: why nothing is tried on copies, in one sentence, where nothing is.
    """

    short: str
    source: str
    remedies: tuple[str, ...] = ()
    advice: str = ""
    untried: str = ""


@dataclass(frozen=True)
class Finding:
    """One thing about one layer: what was measured, against what, and where the threshold comes from.

    remedies: what may help and is tried on copies: techniques of the catalogue, as family=name, "optimizer=lr 0.01" for
    another learning rate, and changes to the network or its training, as change=name. advice: what to do besides, and
    why nothing is tried where nothing is, or "". step: of a training, the optimizer step at which it was first seen,
    from 0; None before there was one.
    """

    layer: str
    quantity: str
    value: float
    threshold: float
    source: str
    words: str
    short: str
    remedies: tuple[str, ...] = ()
    advice: str = ""
    step: int | None = None


_INITIALIZED = ("initialization=he", "initialization=xavier", "initialization=lsuv", "normalization=layer")
_SCHOENHOLZ = "Schoenholz et al. 2017, Deep information propagation: trainable depth is about 6 xi"
_FAULTS = (
    Fault("signal vanishes", _SCHOENHOLZ, _INITIALIZED),
    Fault("signal explodes", _SCHOENHOLZ, _INITIALIZED),
    Fault("gradient vanishes", _SCHOENHOLZ, (*_INITIALIZED[1:], "activation=relu")),
    Fault("gradient explodes", _SCHOENHOLZ, (*_INITIALIZED[:2], "normalization=layer", "optimizer=clip-by-norm")),
    Fault(
        "not finite",
        "IEEE 754",
        advice="Look for a division by 0, a root or logarithm of 0, or an overflow here.",
        untried="No technique is tried: none makes a number of what is none.",
    ),
    Fault(
        "dead units",
        "Lu et al. 2019, Dying ReLU and initialization; the null is the share of units that are always on",
        ("activation=leaky-relu", "activation=elu", "initialization=he", "normalization=batch"),
    ),
    Fault(
        "saturated",
        "Glorot & Bengio 2010, section 3: saturation of a layer's outputs",
        ("initialization=xavier", "normalization=layer", "normalization=batch", "activation=relu"),
    ),
    Fault(
        "symmetric units",
        "Goodfellow, Bengio & Courville 2016, Deep Learning, section 8.4: breaking symmetry",
        ("initialization=he", "initialization=xavier", "initialization=orthogonal"),
    ),
    Fault(
        "unscaled inputs",
        "LeCun, Bottou, Orr & Müller 1998, Efficient BackProp, section 4.3: inputs of mean 0 and like spread",
        ("normalization=standardization", "normalization=robust", "normalization=min-max"),
    ),
    Fault(
        "constant inputs",
        "an input that is the same for every example tells no two apart",
        advice="Look at how the data are read: most of what reaches the network does not depend on the example.",
        untried="No technique is tried: none brings back what the data do not hold.",
    ),
    Fault(
        "wrong initial loss",
        "Karpathy, A recipe for training neural networks: verify the loss at initialization",
        ("initialization=class-prior", "initialization=xavier", "initialization=lsuv"),
        "Numbers to predict should be standardized, and the last layer start small.",
    ),
    Fault(
        "missing non-linearity",
        "Goodfellow, Bengio & Courville 2016, Deep Learning, section 6.1: a composition of linear functions is linear",
        ("activation=relu", "activation=gelu", "activation=tanh"),
        "Put an activation function between the two layers.",
    ),
    Fault(
        "learning rate too high",
        "Karpathy, CS231n: ratio of updates to weights; and the losses of the sweep",
        ("optimizer=lr", "optimizer=clip-by-norm"),
    ),
    Fault(
        "learning rate too low",
        "Karpathy, CS231n: ratio of updates to weights; and the losses of the sweep",
        ("optimizer=lr", "optimizer=adam"),
    ),
    Fault(
        "batch norm's statistics",
        "Ioffe & Szegedy 2015, Batch normalization, section 3.1: evaluation uses averages over training",
        ("change=train", "normalization=layer", "normalization=group"),
        "Call .train() on the network before it trains, so that the averages follow the data.",
    ),
    Fault(
        "batch norm's batches",
        "Wu & He 2018, Group normalization: batch normalization's error grows as batches shrink",
        ("normalization=group", "normalization=layer"),
        "Or take larger batches.",
    ),
    Fault(
        "frozen",
        "requires_grad",
        ("change=thaw",),
        "Set requires_grad to True, or take the layer out if that is wanted.",
    ),
    Fault(
        "disconnected",
        "reverse-mode differentiation: no path from the loss to these parameters",
        advice="Look for detach(), .item(), .data, argmax or a layer that forward never calls.",
        untried="No technique is tried: which way the gradient takes is written in the network's code.",
    ),
    Fault(
        "not in the optimizer",
        "torch.optim: parameters that are in no group are not moved",
        ("change=optimizer",),
        "Give the optimizer all of network.parameters(), after the last layer was put in.",
    ),
    Fault(
        "optimizer's state not finite",
        "IEEE 754: NaN and infinity never leave a moving average",
        ("change=optimizer", "optimizer=clip-by-norm"),
        "Make a new optimizer, and clip the gradients or skip steps whose gradients are not finite.",
    ),
    Fault(
        "examples look alike",
        "Daneshmand et al. 2020, Batch normalization provably avoids rank collapse for randomly initialised networks",
        ("normalization=batch", "normalization=layer", "activation=tanh", "activation=elu"),
    ),
    Fault(
        "evaluation differs",
        "Ioffe & Szegedy 2015, Batch normalization, section 3.1: evaluation uses averages over training",
        ("normalization=layer", "normalization=group"),
        "Or pass the training data through once more, in training mode, before evaluating, or raise the momentum.",
    ),
    Fault(
        "cannot learn one batch",
        "Karpathy, CS231n: overfit a tiny subset of the data first",
        ("change=no-end",),
        "Look at what stands between the last layer and the loss, such as a softmax in front of cross-entropy, and for "
        "shapes that broadcast or mix examples.",
    ),
    Fault(
        "batch far too small",
        "McCandlish et al. 2018, An empirical model of large-batch training: batch sizes against the noise scale",
        ("optimizer=lr",),
        "Take larger batches, or add up the gradients of several.",
    ),
    Fault(
        "labels carry no signal",
        "Zhang et al. 2017, Understanding deep learning requires rethinking generalization: random labels are fitted",
        advice="Look at how inputs and targets are paired: shuffled apart, sorted differently, or read off by one.",
        untried="No technique is tried: what no label says of its input no network learns for new ones.",
    ),
    Fault(
        "leak between the splits",
        "Kaufman et al. 2012, Leakage in data mining; the null is the share of repeated training examples",
        advice="Split anew after taking out what is there twice, and keep copies of one example on one side.",
        untried="No technique is tried: not the training is at fault, but what its score says.",
    ),
)
FAULTS = {fault.short: fault for fault in _FAULTS}
"""Every kind of fault by its short name."""


def finding(
    short: str, layer: str, quantity: str, value: float, threshold: float, words: str,
    remedies: tuple[str, ...] | None = None,
) -> Finding:  # fmt: skip
    """A finding of this kind, with its source, remedies and advice. remedies: in place of those of its kind."""
    fault = FAULTS[short]
    tried = fault.remedies if remedies is None else remedies
    advice = fault.advice if tried else f"{fault.advice} {fault.untried}".strip()
    return Finding(layer, quantity, value, threshold, fault.source, words, short, tried, advice)


def spoken(name: str) -> str:
    """A layer's name in a sentence: one that is a number, as in a sequence, is said to be a layer's."""
    bare = name.split(" (")[0].replace(".", "")
    return f"layer {name}" if bare.isdigit() else name


FIRST = ("not finite", "optimizer's state not finite", "constant inputs", "unscaled inputs", "leak between the splits",
         "labels carry no signal", "disconnected", "not in the optimizer", "frozen", "missing non-linearity",
         "symmetric units", "signal explodes", "signal vanishes", "gradient explodes", "gradient vanishes", "saturated",
         "dead units", "learning rate too high", "learning rate too low", "batch norm's statistics",
         "batch norm's batches", "evaluation differs", "examples look alike", "wrong initial loss",
         "batch far too small", "cannot learn one batch")  # fmt: skip
"""Causes before what follows from them: data, how the network is put together, its weights, its training."""


LISTED = 4
"""So many further places of a finding are named, of more the first ones and the last."""


def ranked(findings: Iterable[Finding]) -> list[tuple[Finding, list[Finding]]]:
    """The first finding of each kind with all of its kind: those of the start before later ones, causes first."""
    kinds: dict[str, list[Finding]] = {}
    for f in findings:
        kinds.setdefault(f.short, []).append(f)
    groups = [(group[0], group) for group in kinds.values()]
    return sorted(groups, key=lambda g: (g[0].step is not None, _place(g[1])))


def summed(findings: Iterable[Finding]) -> list[tuple[Finding, str]]:
    """The first finding of each kind, causes first, and in words: what it is, and where else it is."""
    return [(first, first.words + _elsewhere(group)) for first, group in ranked(findings)]


def _elsewhere(group: list[Finding]) -> str:
    names = [*dict.fromkeys(spoken(f.layer) for f in group if f.layer != group[0].layer)]
    if not names:
        return ""
    listed = ", ".join(names) if len(names) <= LISTED else f"{', '.join(names[: LISTED - 1])} ... {names[-1]}"
    return f" The same in {len(names)} more place{'s' if len(names) > 1 else ''}: {listed}."


def _place(group: list[Finding]) -> float:
    """Where a kind of finding stands. A layer of which every unit is dead passes nothing on, either way: it is why."""
    cut = group[0].short == "dead units" and any(f.value == 1 for f in group)
    return FIRST.index("signal explodes") - 0.5 if cut else FIRST.index(group[0].short)
