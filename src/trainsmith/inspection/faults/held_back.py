"""Held-back data: whether what a network learns holds for them, and whether they are apart from the training's."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from trainsmith.errors import InvalidInput
from trainsmith.inspection.faults.fault import Finding, finding
from trainsmith.inspection.faults.trials import own_luck, train
from trainsmith.inspection.passes.copying import copy_of
from trainsmith.inspection.passes.given import called, count, has_rows, labelled, some, tensors
from trainsmith.inspection.passes.prepared import with_dense_gradients
from trainsmith.inspection.passes.record import Loss, first_tensor, reason_of
from trainsmith.network.host import seeded_host

FITTED_EXAMPLES, FITTING_STEPS = 512, 250
LEARNED = 0.02
"""Share of the first loss at which a batch counts as learned, and the fitting ends."""
AGREEMENT = 3.0
"""Standard errors by which predictions for held-back examples must agree with their targets better than by chance."""
SECOND = 4.0
"""From so many on trees say that there is a signal, though the network found none: chance does so once in 30,000."""
HELD_EXAMPLES = 30
"""Fewer held-back examples than these say nothing."""


def of_labels(
    module: nn.Module, x: Any, y: Tensor, validation: tuple[Any, Tensor], loss: Loss | None, size: int
) -> Iterator[Finding]:
    """Whether what a copy learns of a few examples holds for those held back, better than chance does."""
    held, truth = validation
    if truth.shape[1:] != y.shape[1:] or truth.is_floating_point() != y.is_floating_point():
        raise InvalidInput(
            f"held-back targets must be like the batch's, {tuple(y.shape)} of {y.dtype}; got {tuple(truth.shape)} of "
            f"{truth.dtype}."
        )
    if y.ndim > 2 or (y.ndim == 2 and not y.is_floating_point()):
        return
    (x, y), (held, truth) = labelled(x, y), labelled(held, truth)
    if len(truth) < HELD_EXAMPLES or not len(y):
        return
    few, targets = some(x, slice(FITTED_EXAMPLES)), y[:FITTED_EXAMPLES]
    best: tuple[float, nn.Module] | None = None
    for rate in (1e-3, 1e-2):
        network = with_dense_gradients(copy_of(module, module)).train()
        trained = [p for p in network.parameters() if p.requires_grad]
        if not trained:
            return
        with own_luck(module):
            done = train(
                network,
                torch.optim.Adam(trained, rate),
                few,
                targets,
                loss,
                min(size, 64),
                FITTING_STEPS,
                LEARNED,
                "are there labels to learn",
            )
        if best is None or done.end < best[0]:
            best = (done.end, network)
    assert best is not None
    with torch.no_grad():
        try:
            seen, unseen = (first_tensor(called(best[1].eval(), inputs)) for inputs in (few, held))
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            raise InvalidInput(f"the network cannot take the held-back inputs: {reason_of(error)}.") from error
    if seen is None or unseen is None or not (_comparable(seen, targets) and _comparable(unseen, truth)):
        return
    fitted, agreement = _agreement(seen, targets), _agreement(unseen, truth)
    if not fitted > 2 * AGREEMENT or agreement > AGREEMENT:
        return
    others = _agreement(trees(few, targets, held), truth)
    if others > SECOND:  # the network cannot make use of a signal that is there
        return
    words = (
        f"labels carry no signal: the network learns {count(few)} examples (it agrees with their targets by "
        f"{fitted:.1f} standard errors more than by chance), but of {count(held)} held back only by "
        f"{agreement:.1f}; less than {AGREEMENT:g} is chance. Trees grown on the same examples agree by {others:.1f}, "
        f"where {SECOND:g} would speak against it."
    )
    yield finding("labels carry no signal", "targets", "agreement, standard errors", agreement, AGREEMENT, words)


def _comparable(outputs: Tensor, y: Tensor) -> bool:
    """Whether outputs say of each target a number, or how likely each class is."""
    return outputs.numel() == y.numel() or (not y.is_floating_point() and outputs.shape[:-1] == y.shape)


def trees(x: Any, y: Tensor, held: Any) -> Tensor:
    """What extremely randomized trees say of `held` that were grown on x and y: shares of classes, or numbers.

    They take any numbers, of any scale, and need no setting: a second opinion on whether there is something to learn.
    Source: Geurts, Ernst & Wehenkel 2006, Extremely randomized trees.
    """
    with seeded_host([0]):  # its import draws random numbers
        from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    a, b = (torch.cat([t.reshape(len(t), -1).float() for t in _with_rows(v)], 1).nan_to_num() for v in (x, held))
    known = (y if y.is_floating_point() else y.long()).detach().cpu().numpy()
    if y.is_floating_point():
        wanted = known if y[0].numel() > 1 else known.reshape(-1)  # a single column is asked for as a plain list
        grown = ExtraTreesRegressor(random_state=0).fit(a, wanted).predict(b)
        return torch.from_numpy(grown).reshape(len(b), *y.shape[1:])
    forest = ExtraTreesClassifier(random_state=0).fit(a, known)
    shares = torch.zeros(len(b), int(known.max()) + 1)
    shares[:, torch.from_numpy(forest.classes_)] = torch.from_numpy(forest.predict_proba(b)).float()
    return shares


def _agreement(outputs: Tensor, y: Tensor) -> float:
    """Standard errors by which predictions agree with targets beyond what their frequencies alone give.

    Numbers, such as a single logit for two classes: sqrt(n) times their correlation. Classes: with p_k and q_k the
    shares of class k among predictions and targets, pairing at random lets a share e = sum_k p_k q_k agree, of variance
    (sum_k p_k q_k (1 - p_k) (1 - q_k) + sum_{k != l} p_k q_k p_l q_l) / (n - 1), that of a table with fixed margins.
    """
    n, outputs, y = len(y), outputs.detach().cpu(), y.cpu()
    if outputs.numel() == y.numel():
        pair = torch.stack([outputs.flatten().double(), y.flatten().double()])
        value = float(torch.corrcoef(pair)[0, 1])
        return 0.0 if math.isnan(value) else value * n**0.5
    y, guess, classes = y.long(), outputs.argmax(-1), int(max(outputs.shape[-1], int(y.max()) + 1))
    p, q = (torch.bincount(v, minlength=classes).double() / n for v in (guess, y))
    e = (p * q).sum()
    variance = ((p * q * (1 - p) * (1 - q)).sum() + e**2 - (p * q).square().sum()) / (n - 1)
    a = (guess == y).double().mean()
    return float((a - e) / variance.sqrt()) if variance > 0 else 0.0


REPEATED, TIMES = 0.01, 3
"""Share of held-back examples that may be among the trained ones, or so many times the share of trained ones that are
there twice, if that is more; and at least so many of them."""


def of_splits(x: Any, validation: tuple[Any, Any]) -> Iterator[Finding]:
    """Held-back examples that are among those trained on, more than repetitions among these explain."""
    trained, held = (rows_of(inputs) for inputs in (x, validation[0]))
    known = set(trained)
    repeated = 1 - len(known) / len(trained)
    both = sum(row in known for row in held)
    allowed = max(REPEATED, TIMES * repeated)
    if both < TIMES or both <= allowed * len(held):
        return
    share = both / len(held)
    words = (
        f"{both:,} of {len(held):,} held-back examples ({share:.1%}) are also among those trained on, where "
        f"{repeated:.1%} of these are there twice; up to {allowed:.1%} would be no surprise."
    )
    yield finding("leak between the splits", "inputs", "repeated examples", share, allowed, words)


def rows_of(inputs: Any) -> list[bytes]:
    """Each example's numbers as bytes."""
    numbers = (t.reshape(len(t), -1).contiguous() for t in _with_rows(inputs))
    parts = [t.view(torch.uint8).numpy() for t in numbers]  # NumPy does not have every type
    return [b"".join(part[i].tobytes() for part in parts) for i in range(len(parts[0]))]


def _with_rows(inputs: Any) -> list[Tensor]:
    """The tensors of inputs that have a row for each example, on the host."""
    return [t.detach().cpu() for t in tensors(inputs) if has_rows(t, count(inputs))]
