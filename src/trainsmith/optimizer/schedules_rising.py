"""Schedules that begin with a rise, a warm-up: the learning rate is small where the gradients are least to be trusted.

Each is a function factor(step, steps, **numbers) of the step, from 1, and the training's length: what the learning
rate is multiplied by at that step.
"""

from trainsmith.catalogue import FRACTION, Hyperparameter, Interval, technique
from trainsmith.optimizer.steps import SHARE, WARMUP, check_step, half_cosine, rise_of


@technique("optimizer", "schedule", aliases=("cosine-annealing", "cosine-decay"), warmup=WARMUP)
def cosine(step: int, steps: int, warmup: float = 0.05) -> float:
    """Cosine: up in a line over the first steps, then down to 0 by half a cosine.

        r = max(1, round(warmup T))
        factor_t = t / r                                           up to step r
        factor_t = (1 + cos(pi (t - r) / (T - r + 1))) / 2         behind it

    Paper: Loshchilov & Hutter 2017, SGDR: stochastic gradient descent with warm restarts, equation 5, one period; the
    rise of Goyal et al. 2017, Accurate, large minibatch SGD, section 2.2.

    Differs: 1. One period without restarts. 2. The 0 lies one step behind the last, so that every step moves. 3. With
    torch's LinearLR and CosineAnnealingLR the rise ends one step before the fall starts, here where it starts.

    Pitfall: a training cut off on the way is worse than one whose schedule ends there: a longer training needs its own
    cosine from the start.

    Helps: nearly everywhere; the usual choice where the length of the training is known. Not where a training may be
    cut off or go on.

    >>> from trainsmith.optimizer import cosine
    >>> [round(cosine(step, 4, warmup=0.5), 4) for step in (1, 2, 3, 4)]
    [0.5, 1.0, 0.75, 0.25]
    """
    rise = rise_of(step, steps, warmup)
    return step / rise if step <= rise else half_cosine(1.0, 0.0, (step - rise) / (steps - rise + 1))


@technique("optimizer", "schedule", name="linear-decay", aliases=("linear",), warmup=WARMUP)
def linear_decay(step: int, steps: int, warmup: float = 0.05) -> float:
    """Linear decay: up in a line over the first steps, then down to 0 in a line.

        r = max(1, round(warmup T))
        factor_t = t / r                               up to step r
        factor_t = (T - t + 1) / (T - r + 1)           behind it

    Paper: Goodfellow, Bengio & Courville 2016, Deep Learning, section 8.3.1, equation 8.14, down to 0 at the end;
    Defazio, Cutkosky, Mehta & Mishchenko 2023, Optimal linear decay learning rate schedules and further refinements,
    section 2, where it is optimal for the last weights.

    Differs: 1. The 0 lies one step behind the last, so that every step moves.

    Pitfall: as of every schedule that ends at 0, a training cut off on the way is worse than a whole shorter one.

    Helps: where a cosine does; language models end lower with it (Bergsma et al. 2025, Straight to zero). Not where a
    training may be cut off or go on.

    >>> from trainsmith.optimizer import linear_decay
    >>> [linear_decay(step, 4, warmup=0.25) for step in (1, 2, 3, 4)]
    [1.0, 0.75, 0.5, 0.25]
    """
    rise = rise_of(step, steps, warmup)
    return step / rise if step <= rise else (steps - step + 1) / (steps - rise + 1)


@technique(
    "optimizer",
    "schedule",
    name="warm-up",
    aliases=("warmup", "linear-warmup"),
    warmup=Hyperparameter(WARMUP.meaning, (0.0, 0.5), "linear", SHARE, tuned=True),
)
def warm_up(step: int, steps: int, warmup: float = 0.05) -> float:
    """Warm-up: up in a line over the first steps, then constant.

        factor_t = min(1, t / r),   r = max(1, round(warmup T))

    Paper: Goyal et al. 2017, Accurate, large minibatch SGD: training ImageNet in 1 hour, section 2.2, unnumbered
    (gradual warmup).

    Differs: 1. It rises from 1 / r, the paper's from the rate of one machine.

    Pitfall: what it helps is the size of the first steps; where those were not too large it only costs steps. In the
    place of a study's schedule it does not fall.

    Helps: large learning rates, large batches, Adam's first steps, and transformers with the norm behind each branch.
    Not where the first steps were not too long: it only costs steps then.

    >>> from trainsmith.optimizer import warm_up
    >>> [warm_up(step, 4, warmup=0.5) for step in (1, 2, 3, 4)]
    [0.5, 1.0, 1.0, 1.0]
    """
    return min(1.0, step / rise_of(step, steps, warmup))


@technique(
    "optimizer",
    "schedule",
    name="stable-decay",
    aliases=("wsd", "warmup-stable-decay", "trapezoidal"),
    warmup=Hyperparameter(WARMUP.meaning, WARMUP.search, WARMUP.scale, SHARE),
    decay=Hyperparameter("share of the steps in which it falls", (0.1, 0.7), "linear", SHARE, tuned=True),
)
def stable_decay(step: int, steps: int, warmup: float = 0.05, decay: float = 0.2) -> float:
    """Warm-up, stable, decay: up in a line, then constant, then down to 0 in a line over the last steps.

        factor_t = min(1, t / r, (T - t + 1) / (f + 1)),   r = max(1, round(warmup T)),   f = max(1, round(decay T))

    Paper: Hu et al. 2024, MiniCPM: unveiling the potential of small language models with scalable training
    strategies, equation 1; with the linear decay of Hägele et al. 2024, Scaling laws and compute-optimal training
    beyond fixed training durations, section 3.

    Differs: 1. The decay is a line to 0, MiniCPM's is exponential. 2. The 0 lies one step behind the last.

    Pitfall: before the decay it looks worse than a cosine at the same step; nothing is to be judged there.

    Helps: trainings of several lengths at the price of the longest: each is a decay from a copy of the stable part. Not
    where trainings are compared before the decay.

    >>> from trainsmith.optimizer import stable_decay
    >>> [round(stable_decay(step, 5, decay=0.4, warmup=0.4), 2) for step in (1, 2, 3, 4, 5)]
    [0.5, 1.0, 1.0, 0.67, 0.33]
    """
    fall = max(1, round(decay * steps))
    return min(1.0, step / rise_of(step, steps, warmup), (steps - step + 1) / (fall + 1))


@technique(
    "optimizer",
    "schedule",
    name="one-cycle",
    aliases=("onecycle", "1cycle", "super-convergence"),
    rise=Hyperparameter("share of the steps in which it rises", (0.1, 0.5), "linear", SHARE, tuned=True),
    start=Hyperparameter("its first value, as a share of the highest", (0.01, 0.2), "log", Interval(0, 1, True, False)),
    final=Hyperparameter("its last value, as a share of the highest", (1e-6, 0.01), "log", FRACTION),
)
def one_cycle(step: int, steps: int, rise: float = 0.3, start: float = 0.04, final: float = 4e-6) -> float:
    """One cycle: from a small learning rate up to the highest and down to nearly 0, both by half a cosine.

        q = rise T - 1
        factor_t = 1 + (start - 1) / 2 (1 + cos(pi (t - 1) / q))                                 up to t = q + 1
        factor_t = final + (1 - final) / 2 (1 + cos(pi (t - 1 - q) / (T - 1 - q)))               behind it

    Paper: Smith & Topin 2018, Super-convergence: very fast training of neural networks using large learning rates,
    section 3, unnumbered.

    Differs: 1. torch.optim.lr_scheduler.OneCycleLR's shape and numbers: half cosines in the place of lines. 2. The
    momentum stays; the paper's falls while the rate rises.

    Pitfall: lr is the highest rate, so that it lies above that of a constant one, and a third of the training is spent
    in reaching it.

    Helps: few steps at high rates, as of convolutional networks with batch normalization; the high rates regularize.
    Not at an lr that was found for a constant rate: it is the highest of all here.

    >>> from trainsmith.optimizer import one_cycle
    >>> [round(one_cycle(step, 5, rise=0.6, start=0.1, final=0.0), 2) for step in (1, 2, 3, 4, 5)]
    [0.1, 0.55, 1.0, 0.5, 0.0]
    """
    check_step(step, steps)
    top = rise * steps - 1
    if step - 1 <= top:
        return half_cosine(start, 1.0, (step - 1) / top if top > 0 else 1.0)
    return half_cosine(1.0, final, (step - 1 - top) / (steps - 1 - top))
