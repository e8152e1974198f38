"""The mean prediction of five networks beats the mean and the best of them; bagging beats its own members.

python results/claims/c13_ensemble.py [--quick]
"""

import numpy as np
import torch
from claim import Check, Claim, Measured, main
from training import TUNING_SEED, Arm, Course, Part, best_rate, errors, parts, perceptron

import trainsmith
from trainsmith.regularization import average_probabilities, bootstrap

CLAIM = Claim(
    number="C13",
    statement="Five networks that differ in their seed alone, their probabilities averaged, err less than the mean "
    "one and than the one that is best on the test data; five on bootstrap samples err less together than alone.",
    paper="Lakshminarayanan, Pritzel & Blundell 2017, Deep ensembles, section 3; Breiman 1996, Bagging predictors",
    figure="MNIST and others: the error falls as networks are added",
    setup="784-100-100-10 ReLU, SGD with momentum 0.9, cosine, batch 100, 1,500 steps, 10,000 MNIST images; best of "
    "4 learning rates on 10,000 validation images; 8 groups of 5 networks; test error",
    differs="smaller networks, 10,000 training images, no adversarial training; a seed is a group of five",
)
RATES, MEMBERS, EXAMPLES = (0.01, 0.03, 0.1, 0.3), 5, 10_000


def group_errors(population: trainsmith.Population, test: Part, groups: int) -> dict[str, np.ndarray]:
    alone = errors(population, test).reshape(groups, MEMBERS)
    outputs = torch.cat([population.outputs(x) for x in test.x.split(1_000)], 1)
    together = []
    for logits in outputs.split(MEMBERS):
        together.append(100 * float((average_probabilities(logits).argmax(-1) != test.y).double().mean()))
    return {"mean member": alone.mean(1), "best member": alone.min(1), "together": np.array(together)}


def measure(quick: bool) -> Measured:
    data = parts("mnist", EXAMPLES, 10_000)
    course, groups = Course(60 if quick else 1_500, 100), 2 if quick else 8
    arm = Arm(perceptron(784, 100, 100, 10), RATES)
    rate, tried = best_rate(arm, data, course, 2)
    samples = {"own seeds": None, "bootstrap samples": bootstrap(EXAMPLES, groups * MEMBERS, TUNING_SEED)}
    figures, ready = {}, {}
    for name, examples in samples.items():
        seeds = list(range(groups * MEMBERS))
        ready[name] = trainsmith.Population(arm.network, optimizer=arm.optimizer, lr=rate, seeds=seeds)
        ready[name].fit(data.train.x, data.train.y, course.steps, 100, schedule=course.rate, examples=examples)
    test = data.test()
    for name, population in ready.items():
        figures |= {f"{name}, {k}": v for k, v in group_errors(population, test, groups).items()}
    together, bagged = figures["own seeds, together"], figures["bootstrap samples, together"]
    checks = [
        Check("mean member minus five together, points", figures["own seeds, mean member"] - together, least=0),
        Check("best member minus five together, points", figures["own seeds, best member"] - together, least=0),
        Check("bagging: mean member minus five together", figures["bootstrap samples, mean member"] - bagged, least=0),
    ]
    figures = {f"{name}, test error, %": v for name, v in figures.items()}
    figures["five bootstrap samples minus five seeds, together, points"] = bagged - together
    return Measured(checks, figures, groups, {"tuning": {"lr": rate, "validation error of each lr": tried}})


if __name__ == "__main__":
    main(CLAIM, measure)
