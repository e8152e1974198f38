"""`trainsmith compare digits` against the same trainings done by plain PyTorch loops.

    python benchmarks/compare_digits.py [--rounds 3] [--quick] [--json results/compare_digits.json]

Competitors, run alternately in every round:
  trainsmith   the whole of compare: tuning, fresh seeds, evaluations on the way, receipt, test score,
               start of its worker processes
  population   the loops' trainings, no more and no less, as batched populations: the baseline recipe with as
               many seeds; evaluations on the way, receipt and start of the worker processes included
  loop         one process, one run after another: the baseline network, fused Adam, the same batch size,
               steps and number of runs; no evaluation, no techniques
  pool         that loop in one process a core, one thread each; start of the processes included

The loops are given less work than trainsmith does. A ratio above 1 says how many times longer they took.
"""

import argparse
import itertools
import json
import os
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import nn

import trainsmith
from trainsmith.catalogue import Recipe, Run, Trial
from trainsmith.comparison.environment import describe_environment
from trainsmith.comparison.trainings import Trainings
from trainsmith.data import load, split
from trainsmith.luck import batches
from trainsmith.population import Training

TRAINING = Training()


def loop(seeds: list[int]) -> float:
    """Train one plain network per seed; the last loss."""
    torch.set_num_threads(1)
    data = load("digits")
    for seed in seeds:
        torch.manual_seed(seed)
        train, _ = split(data, seed)
        sizes = [64, 100, 100, 100, 100, 100]
        hidden = [m for a, b in itertools.pairwise(sizes) for m in (nn.Linear(a, b), nn.ReLU())]
        network = nn.Sequential(nn.Flatten(), *hidden, nn.Linear(100, 10))
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: TRAINING.rate(min(i + 1, TRAINING.steps)))
        order = torch.from_numpy(batches(seed, train, TRAINING.batch_size, TRAINING.steps))
        for chosen in order:
            loss = nn.functional.cross_entropy(network(data.x[chosen]), data.y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return loss.item()


def pool(seeds: list[int], processes: int) -> None:
    with ProcessPoolExecutor(processes, get_context("spawn")) as executor:
        list(executor.map(loop, [seeds[i :: processes * 4] for i in range(processes * 4)]))


def population(seeds: list[int], processes: int) -> None:
    """The same runs as batched populations."""
    trial = Trial(Recipe(), {"adam.lr": 1e-3})
    trainings = Trainings("mlp", load("digits"), TRAINING, processes, lambda *_: None)
    trainings("", [Run(trial, seed) for seed in seeds])


def timed(work) -> float:  # type: ignore[no-untyped-def]
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="the optimizer family only, one round")
    parser.add_argument("--json", type=Path, default=Path("results/compare_digits.json"))
    options = parser.parse_args()
    processes = os.cpu_count() or 1
    vary = ["optimizer"] if options.quick else None
    rounds = []
    for number in range(1 if options.quick else options.rounds):
        start = time.perf_counter()
        study = trainsmith.compare("mlp", "digits", vary=vary, processes=processes).study
        ours = time.perf_counter() - start
        seeds = list(range(study.plan["runs"]))
        row = {
            "trainsmith_seconds": ours,
            "population_seconds": timed(lambda s=seeds: population(s, processes)),
            "loop_seconds": timed(lambda s=seeds: loop(s)),
            "pool_seconds": timed(lambda s=seeds: pool(s, processes)),
        }
        for competitor in ("loop", "pool"):
            row[f"{competitor}_ratio"] = row[f"{competitor}_seconds"] / ours
            row[f"{competitor}_ratio_population"] = row[f"{competitor}_seconds"] / row["population_seconds"]
        rounds.append(row)
        print(f"round {number + 1}:", {k: round(v, 2) for k, v in row.items()}, flush=True)
    record = {
        "command": "python benchmarks/compare_digits.py" + (" --quick" if options.quick else ""),
        "runs": study.plan["runs"],
        "steps": TRAINING.steps,
        "batch_size": TRAINING.batch_size,
        "processes": processes,
        "rounds": rounds,
        **{f"median_{k}": statistics.median(r[k] for r in rounds) for k in rounds[0] if "ratio" in k},
        "receipt": study.receipt.deviation,
        "environment": {
            **describe_environment(),
            "command": "",
            "cores": processes,
        },
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(record, indent=1) + "\n")
    print("medians:", {k: round(v, 2) for k, v in record.items() if k.startswith("median")})


if __name__ == "__main__":
    main()
