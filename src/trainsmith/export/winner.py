"""Export: the winning recipe's network as source, weights, a script that scores it, and a README."""

import statistics
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from trainsmith.catalogue import Run
from trainsmith.comparison import Study
from trainsmith.data import Dataset
from trainsmith.errors import InvalidInput
from trainsmith.export.source import write_source
from trainsmith.network import Factory
from trainsmith.population import make_member

EVALUATE = '''"""Score the network on the examples of an .npz file with arrays x and y."""

import sys

import numpy as np
import torch
from safetensors.torch import load_file

from model import build


def main(path):
    network = build()
    network.load_state_dict(load_file("weights.safetensors"))
    network.eval()
    with np.load(path, allow_pickle=False) as data:
        x, y = torch.from_numpy(data["x"]), torch.from_numpy(data["y"])
    with torch.no_grad():
        outputs = network(x)
{score}


main(sys.argv[1] if len(sys.argv) > 1 else "test.npz")
'''
ACCURACY = '    print(f"accuracy {(outputs.argmax(-1) == y).double().mean():.6f} on {len(y)} examples")'
BALANCED = """    right = (outputs.argmax(-1) == y).double()
    found = torch.stack([right[y == c].mean() for c in y.unique()])
    print(f"balanced accuracy {found.mean():.6f} on {len(y)} examples")"""
MICRO_F1 = """    predicted, true = outputs > 0, y > 0.5
    score = 2 * (predicted & true).sum() / (predicted.sum() + true.sum())
    print(f"micro F1 {score:.6f} on {len(y)} examples")"""
R2 = """    centre, scale = torch.tensor({centre!r}), torch.tensor({scale!r})
    y = (y - centre) / scale  # the network predicts standardized numbers
    errors = (outputs.reshape(y.shape) - y).square().mean(0).sum()
    print(f"R2 {{1 - errors / y.var(0, correction=0).sum():.6f}} on {{len(y)}} examples")"""
SCORES = {"classification": ACCURACY, "balanced": BALANCED, "multilabel": MICRO_F1}

README = """# The winner of a comparison on {data}

{recipe}

`model.py` builds the network in plain PyTorch, `weights.safetensors` are the trained weights of the seed
with the median validation score, and

    python evaluate.py test.npz

prints its {metric} on the test examples: {score:.6f}.
The mean of the recipe's {seeds} seeds was {mean:.4f} [{low:.4f}, {high:.4f}].
"""


def export_winner(study: Study, network: str | Factory, dataset: Dataset, folder: Path) -> Path:
    """Write model.py, weights.safetensors, evaluate.py, test.npz, requirements.txt, README.md into `folder`.

    The weights are those of the fresh seed with the median validation score. Running evaluate.py, which
    needs no trainsmith, prints the score in the README. Raises InvalidInput if the network cannot be
    written as source or no run of the winner finished.
    """
    best = study.best()
    finished = {seed: s for seed, s in zip(study.plan["seeds"], best.scores, strict=True) if seed in study.states}
    if not finished:
        raise InvalidInput("no run of the winning recipe finished: there are no weights to export.")
    middle = statistics.median_low(finished.values())
    seed = next(seed for seed, s in finished.items() if s == middle)
    member = make_member(Run(best.trial, seed), network, dataset)
    trained = member.objective.network
    trained.load_state_dict({name: torch.from_numpy(np.array(t)) for name, t in study.states[seed].items()})
    source = write_source(trained.eval(), dataset.x[:2])
    x, y = dataset.test.open()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.py").write_text(source.text)
    save_file({k: v.contiguous() for k, v in source.network.state_dict().items()}, folder / "weights.safetensors")
    np.savez_compressed(folder / "test.npz", x=x.numpy(), y=y.numpy())
    standard = (v.tolist() if isinstance(v, torch.Tensor) else v for v in (member.centre, member.scale))
    score = SCORES.get(dataset.task) or R2.format(**dict(zip(("centre", "scale"), standard, strict=True)))
    (folder / "evaluate.py").write_text(EVALUATE.format(score=score))
    (folder / "requirements.txt").write_text("torch\nnumpy\nsafetensors\n")
    with torch.no_grad():
        outputs = source.network.eval()(x)
    (folder / "README.md").write_text(
        README.format(
            data=study.data, recipe=best.recipe, metric=study.metric, seeds=len(best.scores),
            score=member.rules.score(outputs, member.targets(y))[1],
            mean=study.test.score.mean, low=study.test.score.low, high=study.test.score.high,
        )
    )  # fmt: skip
    return folder
