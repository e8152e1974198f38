"""A deep ensemble: the same network from 16 seeds, trained as one population, their probabilities averaged.

Lakshminarayanan, Pritzel & Blundell 2017, Simple and scalable predictive uncertainty estimation using deep
ensembles, section 2.4.

python examples/deep_ensemble.py
"""

import torch
from torch import nn

import trainsmith
from trainsmith.data import load, split


def network(rate: float = 0.1) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 100), nn.ReLU(), nn.Dropout(rate), nn.Linear(100, 10))


def main(steps: int = 300) -> None:
    digits = load("digits")
    train, held_out = (torch.from_numpy(part) for part in split(digits, seed=0))
    population = trainsmith.Population(network, members=16, lr=3e-3)
    population.fit(digits.x[train], digits.y[train], steps=steps, batch_size=64)
    probabilities = population.outputs(digits.x[held_out]).softmax(-1)
    single = (probabilities.argmax(-1) == digits.y[held_out]).double().mean(1)
    ensemble = (probabilities.mean(0).argmax(-1) == digits.y[held_out]).double().mean()
    print(population.plan)
    print(f"members alone {single.mean():.4f} (from {single.min():.4f} to {single.max():.4f}), ensemble {ensemble:.4f}")
    torch.save(population.member(0).state_dict(), "member.pt")  # an ordinary nn.Module


if __name__ == "__main__":
    main()
