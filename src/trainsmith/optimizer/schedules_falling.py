"""Schedules that know no rise: the learning rate stays, or falls from the first step on.

Each is a function factor(step, steps, **numbers) of the step, from 1, and the training's length: what the learning
rate is multiplied by at that step.
"""

from trainsmith.catalogue import POSITIVE, Hyperparameter, Interval, technique
from trainsmith.optimizer.steps import FALL, check_step


@technique("optimizer", "schedule", name="constant-rate", aliases=("constant", "constant-learning-rate"))
def constant_rate(step: int, steps: int) -> float:
    """Constant learning rate: the same at every step.

        factor_t = 1

    Paper: Goodfellow, Bengio & Courville 2016, Deep Learning, section 8.3.1, whose equations 8.12 and 8.13 (Robbins &
    Monro 1951) are what a constant rate does not meet.

    Differs: nothing known.

    Pitfall: the noise of the batches does not fade, and the weights wander around a minimum, the wider the larger the
    rate; the best constant rate lies below the best highest rate of a schedule that falls.

    Helps: where the end of the training is not known, and below an average of the weights, which takes the noise out.
    Not where the last weights are the result: the noise stays in them.

    >>> from trainsmith.optimizer import constant_rate
    >>> [constant_rate(step, 4) for step in (1, 2, 3, 4)]
    [1.0, 1.0, 1.0, 1.0]
    """
    check_step(step, steps)
    return 1.0


@technique(
    "optimizer",
    "schedule",
    name="step-decay",
    aliases=("staircase", "step"),
    stairs=Hyperparameter("parts of equal length", (2.0, 6.0), "linear", Interval(1, POSITIVE.high, False, True)),
    gamma=FALL,
)
def staircase(step: int, steps: int, stairs: float = 3, gamma: float = 0.1) -> float:
    """Step decay: the learning rate falls at once by a factor at the start of each part of the training but the first.

        factor_t = gamma^floor(stairs (t - 1) / T)

    Paper: He, Zhang, Ren & Sun 2016, Deep residual learning for image recognition, section 3.4, unnumbered (divided
    by 10 when the error is on a plateau; section 4.2 says after which steps).

    Differs: 1. The falls are spread evenly; the paper's lie at half and at three quarters of the training.

    Pitfall: the loss drops right after a fall whatever the technique, so that a comparison just before and just after
    one comes out differently.

    Helps: long trainings by stochastic gradients; it needs the length of the training, as all that fall do. Not where
    trainings are compared on the way.

    >>> from trainsmith.optimizer import staircase
    >>> [round(staircase(step, 6), 4) for step in (1, 2, 3, 4, 5, 6)]
    [1.0, 1.0, 0.1, 0.1, 0.01, 0.01]
    """
    check_step(step, steps)
    return gamma ** (stairs * (step - 1) // steps)


@technique(
    "optimizer",
    "schedule",
    name="exponential-decay",
    aliases=("exponential",),
    final=Hyperparameter(
        "its last value, as a share of the first", (1e-3, 0.3), "log", Interval(0, 1, True, False), tuned=True
    ),
)
def exponential(step: int, steps: int, final: float = 0.01) -> float:
    """Exponential decay: the learning rate loses the same share of itself at every step.

        factor_t = final^((t - 1) / T)

    Paper: Szegedy, Vanhoucke, Ioffe, Shlens & Wojna 2016, Rethinking the Inception architecture for computer
    vision, section 8, unnumbered.

    Differs: 1. It falls at each step, the paper's every two epochs. 2. It is given by what is left after the last step,
    not by what is lost at one, so that it means the same in a training of any length.

    Pitfall: half of the training passes at rates below the geometric mean of first and last, where little is learned
    if `final` is small.

    Helps: where smooth falling is wanted and no end at 0; it is rarely better than a cosine or a line. Not where the
    training must come to rest: it does not reach 0.

    >>> from trainsmith.optimizer import exponential
    >>> [round(exponential(step, 2, final=0.25), 4) for step in (1, 2)]
    [1.0, 0.5]
    """
    check_step(step, steps)
    return final ** ((step - 1) / steps)
