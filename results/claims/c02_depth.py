"""He and orthogonal initialization train a 30-layer ReLU perceptron, Xavier does not.

python results/claims/c02_depth.py [--quick]
"""

from claim import Check, Claim, Measured, main
from training import Arm, Course, final_errors, parts, perceptron

from trainsmith.initialization import he, normal, orthogonal, xavier

CLAIM = Claim(
    number="C2",
    statement="A 30-hidden-layer ReLU perceptron learns MNIST from He or orthogonal weights, not from Xavier's at its "
    "best learning rate; with 5 hidden layers all three do.",
    paper="He et al. 2015, Delving deep into rectifiers, figure 3",
    figure="the 30-layer network initialized by Xavier 'completely stalls', He's converges",
    setup="784-(100)x30-10 and 784-(100)x5-10, zero biases, SGD with momentum 0.9, cosine schedule, batch 128, 1,500 "
    "steps; best of 5 learning rates 0.003 to 0.3 by the mean of 2 tuning seeds on 10,000 validation images; test error of fresh seeds",
    differs="perceptrons on MNIST instead of convolutional networks on ImageNet",
)
RATES = (0.003, 0.01, 0.03, 0.1, 0.3)
START = {"He": he, "orthogonal": lambda w: orthogonal(w, gain=2**0.5), "Xavier": xavier, "N(0, 0.01²)": normal}


def measure(quick: bool) -> Measured:
    data = parts("mnist", 50_000, 10_000)
    course, seeds = Course(60 if quick else 1_500, 128), 2 if quick else 6
    errors, tuning = {}, {}
    for depth in (30, 5):
        arms = {
            f"{name}, {depth} layers": Arm(perceptron(784, *[100] * depth, 10, initialize=fill), RATES)
            for name, fill in START.items()
        }
        found, how = final_errors(arms, data, course, seeds, 1 if quick else 2)
        errors |= found
        tuning |= how
    checks = [
        Check("He, 30 layers: test error below 10 %", errors["He, 30 layers"], most=10),
        Check("orthogonal, 30 layers: test error below 10 %", errors["orthogonal, 30 layers"], most=10),
        Check("Xavier, 30 layers: test error above 30 %", errors["Xavier, 30 layers"], least=30),
        Check("N(0, 0.01²), 30 layers: at chance, above 80 %", errors["N(0, 0.01²), 30 layers"], least=80),
        Check("He, 5 layers: below 4 %", errors["He, 5 layers"], most=4),
        Check("Xavier, 5 layers: below 4 %", errors["Xavier, 5 layers"], most=4),
    ]
    return Measured(checks, {f"test error, {k}, %": v for k, v in errors.items()}, seeds, {"tuning": tuning})


if __name__ == "__main__":
    main(CLAIM, measure)
