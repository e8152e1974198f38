"""Weights from N(0, 0.01²) do not move in 2,000 steps of SGD; Xavier's and He's do, He's fastest.

python results/claims/c07_small_weights.py [--quick]
"""

import torch
from claim import Check, Claim, Measured, main
from training import parts, perceptron

import trainsmith
from trainsmith.initialization import he, normal, xavier

CLAIM = Claim(
    number="C7",
    statement="A five-layer ReLU perceptron does not learn MNIST in 2,000 steps of SGD(0.01) from N(0, 0.01²); from "
    "Xavier's weights it does, from He's faster.",
    paper="He et al. 2015, Delving deep into rectifiers, section 2.2",
    figure="He's initialization converges earlier than Xavier's at 22 layers; with standard deviation 0.01 the gradients "
    "of deep networks vanish",
    setup="784-100-100-100-100-10, zero biases, SGD at a constant 0.01, batch 128, 2,000 steps, all 60,000 images but "
    "10,000; training loss, mean over the last 200 steps and over all (the area under the curve)",
)
START = {"N(0, 0.01²)": normal, "Xavier": xavier, "He": he}


def measure(quick: bool) -> Measured:
    data = parts("mnist", 50_000, 10_000)
    steps, seeds = (80, 2) if quick else (2_000, 8)
    last, area = {}, {}
    for name, fill in START.items():
        network = perceptron(784, *[100] * 4, 10, initialize=fill)
        population = trainsmith.Population(network, seeds, optimizer="sgd", lr=0.01)
        losses = population.fit(data.train.x, data.train.y, steps, 128).losses
        last[name], area[name] = losses[-steps // 10 :].mean(0).numpy(), losses.mean(0).numpy()
    start = float(torch.log(torch.tensor(10.0)))
    checks = [
        Check("N(0, 0.01²): the loss is still ln 10, to 1 %", last["N(0, 0.01²)"], 0.99 * start, 1.01 * start),
        Check("Xavier: final loss below 0.5", last["Xavier"], most=0.5),
        Check("He: final loss below 0.5", last["He"], most=0.5),
        Check("Xavier's area under the loss curve less He's", area["Xavier"] - area["He"], least=0),
    ]
    figures = {f"final training loss, {k}": v for k, v in last.items()}
    return Measured(checks, figures | {f"mean loss over all steps, {k}": v for k, v in area.items()}, seeds)


if __name__ == "__main__":
    main(CLAIM, measure)
