"""A hundred labels of MNIST: what learns from the other images, by name, beside the labels alone.

python results/few_labels.py [--seeds 10]

One study, asked as `trainsmith compare mnist --labels 100 --techniques ... ` would ask it, test part included. The record
keeps its rows and what each technique came to at equal cost.
"""

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

import trainsmith
from trainsmith.data import load

NAMES = ("pseudo-label", "entropy-minimization", "pi-model", "mean-teacher", "vat", "fixmatch")
LABELS, STEPS, BATCH = 100, 600, 32
RECORD = Path(__file__).with_suffix(".json")


def row_of(row):
    same = row.equal_cost
    return {
        "technique": "labels alone" if row.is_baseline else row.technique,
        "setting": dict(row.values),
        "validation accuracy": asdict(row.score),
        "minus labels alone": None if row.difference is None else asdict(row.difference),
        "p": None if row.difference is None else row.p,
        "verdict": row.words,
        "at the range's end": list(row.edges),
        "scores": list(row.scores),
        "at equal cost": None
        if same is None
        else {"steps": same.steps, "minus labels alone": asdict(same.difference), "p": same.p, "verdict": same.words},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--data-dir", type=Path, help="where the files of MNIST are")
    options = parser.parse_args()
    began, cpu = time.perf_counter(), time.process_time()
    data = load("mnist", data_dir=options.data_dir)
    found = trainsmith.compare(
        "mlp", data, techniques=NAMES, labels=LABELS, seeds=options.seeds, steps=STEPS, batch_size=BATCH, processes=1
    )
    study = found.study
    record = {
        "question": "with 100 labels of MNIST, is learning from the other images better than the labels alone?",
        "asked": f"trainsmith compare mnist --labels {LABELS} --techniques {','.join(NAMES)} --seeds {options.seeds} "
        f"--steps {STEPS} --batch-size {BATCH}",
        "data": study.about,
        "network": study.network,
        "baseline": str(study.baseline),
        "smallest difference worth having": study.delta,
        "rows, best first": [row_of(row) for row in study.rows],
        "test": asdict(study.test),
        "receipt": asdict(study.receipt),
        "plan": study.plan["words"],
        "fresh seeds": study.plan["seeds"],
        "seconds": round(time.perf_counter() - began),
        "seconds of CPU": round(time.process_time() - cpu),
        "environment": {**study.environment, "command": f"python results/few_labels.py --seeds {options.seeds}"},
    }
    RECORD.write_text(json.dumps(record, indent=1) + "\n")
    print(found.table())


if __name__ == "__main__":
    main()
