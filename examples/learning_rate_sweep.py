"""64 learning rates at once: the same network, the same luck, 64 values of Adam's learning rate.

python examples/learning_rate_sweep.py
"""

import torch
from torch import nn

import trainsmith
from trainsmith.data import load


def network() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def main(steps: int = 300) -> None:
    digits = load("digits")
    rates = torch.logspace(-4, 0, 64)
    population = trainsmith.Population(network, lr=rates, seeds=0)
    fit = population.fit(digits.x, digits.y, steps=steps, batch_size=64)
    print(population.plan)
    for rate, loss in list(zip(rates.tolist(), fit.final().tolist(), strict=True))[::7]:
        print(f"lr {rate:8.5f}   final loss {loss:8.4f}")
    best = int(fit.final().nan_to_num(float("inf")).argmin())
    print(f"lowest final loss at lr {rates[best]:.5f}; {len(fit.ended)} members diverged and were taken out")


if __name__ == "__main__":
    main()
