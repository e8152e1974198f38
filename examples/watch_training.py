"""A training loop of one's own under watch: the learning rate is far too high, the network dies, and watch says so.

python examples/watch_training.py
"""

import torch
from torch import nn

import trainsmith
from trainsmith.data import load


def main(steps: int = 300) -> None:
    torch.manual_seed(0)
    digits = load("digits")
    x, y = torch.as_tensor(digits.x).flatten(1), torch.as_tensor(digits.y)
    network = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.3)
    with trainsmith.watch(network, optimizer, every=16) as watched:
        for _ in range(steps):
            batch = torch.randint(len(x), (64,))
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x[batch]), y[batch]).backward()
            optimizer.step()
    print(watched.table())
    print(watched.parameters_frame().pivot(index="step", columns="name", values="update_ratio").iloc[:, ::2])


if __name__ == "__main__":
    main()
