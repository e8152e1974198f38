"""trainsmith.Population against what else trains many small networks: loops, pools, vmap, modelbatch, JAX ...

    python benchmarks/population.py [--task 1 ...] [--rounds 5] [--quick] [--json results/population.json]
    python benchmarks/population.py --grow members|depth|width [--json results/population_members.json]

Every competitor lives in a process of its own, gets the same initial weights, batches and learning rates, takes
a few steps before the clock starts, and is then called in turn, round after round. A ratio above 1 says how many
times as long as trainsmith a competitor took in the same round. What everybody does is in competitors.py, the
tasks are in tasks.py.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import time
import traceback
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent))
from competitors import COMPETITORS, CORES, PERCEPTRONS_ONLY
from tasks import WARM_UP, Task, _digits, mlp, peak, tasks

from trainsmith.comparison.environment import describe_environment

GROWTH = {
    "members": [1, 4, 16, 64, 256, 1024],
    "depth": [1, 2, 4, 8, 16],
    "width": [16, 32, 64, 128, 256, 512],
}


def serve(name: str, number: str, changes: dict[str, Any], pipe: Connection) -> None:
    """In a child: make the competitor, then train a round each time it is told to."""
    started, competitor = time.perf_counter(), None
    try:
        task = grown(number, changes) if "grow" in changes else replace(tasks(False, 1)[number](), **changes)
        competitor = COMPETITORS[name](task)
        pipe.send({"prepared": time.perf_counter() - started, "first": competitor.losses})
        while pipe.recv() == "round":
            before, started = sum(os.times()[:4]), time.perf_counter()
            losses = competitor.round()
            seconds = time.perf_counter() - started
            samples = getattr(competitor, "samples", lambda: task.steps * task.batch_size)()
            pipe.send({
                "seconds": seconds, "losses": losses, "samples": samples, "setting": competitor.setting,
                "cpu_seconds": sum(os.times()[:4]) - before, "megabytes": memory(),
            })  # fmt: skip
    except Exception:
        pipe.send({"error": traceback.format_exc().strip().splitlines()[-1][:300]})
    finally:
        if competitor is not None:
            competitor.close()


def memory() -> float:
    """Peak resident megabytes of this process and its children (Linux)."""
    found = 0.0
    for process in [os.getpid(), *(p.pid for p in multiprocessing.active_children() if p.pid)]:
        try:
            status = Path(f"/proc/{process}/status").read_text()
        except OSError:
            continue
        found += next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0.0)
    return found


def contest(task: Task, names: list[str], changes: dict[str, Any], console: Console) -> dict[str, Any]:
    """All rounds of one task: every competitor in turn, in each round."""
    context = multiprocessing.get_context("spawn")
    pipes, processes, results = {}, [], {}
    for name in names:
        here, there = context.Pipe()
        process = context.Process(target=serve, args=(name, task.number, changes, there))
        process.start()
        processes.append(process)
        answer = here.recv()
        results[name] = {"prepared_seconds": answer.get("prepared"), "first_losses": answer.get("first"), "rounds": []}
        if "error" in answer:
            results[name]["error"] = answer["error"]
            console.print(f"  {name}: {answer['error']}", style="red")
        else:
            pipes[name] = here
    rounds = []
    for _ in range(task.rounds):
        rounds.append({"load": os.getloadavg()[0], "peak_gflops": peak(CORES) / 1e9})
        for name, pipe in pipes.items():
            pipe.send("round")
            answer = pipe.recv()
            results[name]["rounds"].append(answer)
    for pipe in pipes.values():
        pipe.send("end")
    for process in processes:
        process.join()
    return {"rounds": rounds, "competitors": summarize(task, results, rounds)}


def summarize(task: Task, results: dict[str, Any], rounds: list[dict[str, float]]) -> dict[str, Any]:
    flops = task.flops()
    ours = results["trainsmith"]["rounds"]
    reference = results.get("loop", {}).get("first_losses")
    for name, result in results.items():
        done = result["rounds"]
        if not done or "error" in done[-1]:
            continue
        speeds = [task.members * r["samples"] / r["seconds"] for r in done]
        ratios = [
            (r["seconds"] / r["samples"]) / (o["seconds"] / o["samples"]) for r, o in zip(done, ours, strict=True)
        ]
        share = [s / task.batch_size * flops / 1e9 / p["peak_gflops"] for s, p in zip(speeds, rounds, strict=True)]
        result |= {
            "samples_x_members_per_second": statistics.median(speeds),
            "slowest_and_fastest": [min(speeds), max(speeds)],
            "times_as_long_as_trainsmith": statistics.median(ratios),
            "ratio_spread": [min(ratios), max(ratios)],
            "share_of_matrix_peak": statistics.median(share),
            "megabytes": max(r["megabytes"] for r in done),
            "setting": done[-1]["setting"],
        }
        if reference and name != "scikit-learn":
            pairs = zip(result["first_losses"], reference, strict=True)
            result["deviation_from_loop"] = max(abs(a - b) / abs(b) for a, b in pairs)
    return results


def table(task: Task, outcome: dict[str, Any], console: Console) -> None:
    shown = Table(title=f"{task.name}, {task.members} members {task.note}", title_justify="left")
    for column in ("competitor", "k samples x members / s", "times as long", "of peak", "MB", "start, s", "deviation"):
        shown.add_column(column, justify="left" if column == "competitor" else "right")
    for name, r in outcome["competitors"].items():
        if "samples_x_members_per_second" not in r:
            shown.add_row(name, "failed")
            continue
        low, high = r["ratio_spread"]
        shown.add_row(
            name,
            f"{r['samples_x_members_per_second'] / 1e3:,.1f}",
            f"{r['times_as_long_as_trainsmith']:.2f} [{low:.2f}, {high:.2f}]",
            f"{r['share_of_matrix_peak']:.0%}",
            f"{r['megabytes']:,.0f}",
            f"{r['prepared_seconds']:.1f}",
            f"{r['deviation_from_loop']:.1e}" if "deviation_from_loop" in r else "-",
        )
    console.print(shown)
    console.print("trainsmith:", outcome["competitors"]["trainsmith"].get("setting"), highlight=False)


def grown(number: str, changes: dict[str, Any]) -> Task:
    """The task of --grow: a perceptron on digits whose members, depth or width is `value`."""
    what, value = changes["grow"], changes["value"]
    widths = {"depth": (64,) * (value + 1), "width": (64, value, value)}.get(what, (64, 64, 64))
    x, y, _note = _digits()
    members = value if what == "members" else 64
    steps = max(5, min(100, 6400 // members))
    return Task(
        number, f"digits, {what} {value}", mlp(*widths, 10), x, y, 64, members, steps, changes["rounds"], (*widths, 10)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", nargs="+", choices=list("12345"), default=list("12345"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="four members, two steps, one round: does it all run?")
    parser.add_argument("--competitors", nargs="+", choices=list(COMPETITORS), default=list(COMPETITORS))
    parser.add_argument("--grow", choices=list(GROWTH))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    console, rounds, outcomes = Console(width=130), 1 if options.quick else options.rounds, {}
    if options.grow:
        for value in GROWTH[options.grow][: 2 if options.quick else None]:
            changes = {"grow": options.grow, "value": value, "rounds": rounds}
            task = grown("1", changes)
            outcomes[task.name] = contest(task, ["trainsmith", "loop"], changes, console)
            table(task, outcomes[task.name], console)
            for result in outcomes[task.name]["competitors"].values():
                result.pop("first_losses", None)  # a thousand numbers that the deviation sums up
            write(options.json, outcomes)
    else:
        for number in options.task:
            task = tasks(options.quick, rounds)[number]()
            names = [n for n in options.competitors if task.widths or n not in PERCEPTRONS_ONLY]
            names = ["trainsmith", *(n for n in names if n != "trainsmith")]
            changes = {"members": task.members, "steps": task.steps, "rounds": rounds}
            outcomes[task.name] = contest(task, names, changes, console)
            table(task, outcomes[task.name], console)
            write(options.json, outcomes)


def write(path: Path | None, outcomes: dict[str, Any]) -> None:
    """The record so far."""
    if path is None:
        return
    record = {
        "command": " ".join(["python", *sys.argv]),
        "warm_up_steps": WARM_UP,
        "tasks": outcomes,
        "environment": {**describe_environment(), "command": "", "cores": CORES},
    }
    path.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
