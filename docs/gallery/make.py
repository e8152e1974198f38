"""Make the gallery: `python docs/gallery/make.py [NAME ...]`, with MNIST, CIFAR-10 and Shakespeare in $TRAINSMITH_DATA.

Each study is one command, which is also what its report says; its page becomes NAME.html here.
"""

import argparse
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from torch.nn.functional import avg_pool2d

from trainsmith.data import load
from trainsmith.data.mnist import data_folder

HERE = Path(__file__).parent
COMMANDS = {
    "tabular": "compare breast-cancer --techniques sgd,momentum,adamw,lion,muon,schedule-free-adamw --trials 4 "
    "--steps 100",
    "mnist": "compare mnist --techniques muon,batch,dropout --trials 4 --steps 300 --batch-size 64",
    "cifar10": "compare cifar10-small.npz --network cnn.py:cnn --techniques muon,group --trials 2 --seeds 6 "
    "--steps 150",
    "text": "compare shakespeare.txt --techniques lion,muon --trials 4 --steps 200",
}
TRAINING, TEST, CHARACTERS = 5_000, 2_000, 100_000


def cifar10_small(path: Path) -> None:
    """The first pictures of CIFAR-10's training and test parts, each 2 x 2 pixels averaged."""
    whole = load("cifar10")
    x_test, y_test = whole.test.open()
    parts = {"x": whole.x[:TRAINING], "x_test": x_test[:TEST]}
    names = np.array(whole.classes)
    arrays = {name: avg_pool2d(pictures, 2).numpy() for name, pictures in parts.items()}
    np.savez_compressed(path, **arrays, y=names[whole.y[:TRAINING]], y_test=names[y_test[:TEST]])


def prepared(folder: Path) -> None:
    """Put what the commands name into the folder."""
    shutil.copy(HERE / "cnn.py", folder)
    cifar10_small(folder / "cifar10-small.npz")
    text = (data_folder() / "tinyshakespeare" / "input.txt").read_text(encoding="utf-8")
    (folder / "shakespeare.txt").write_text(text[:CHARACTERS], encoding="utf-8")


def main() -> None:
    """Run the studies that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=", ".join(COMMANDS))
    parser.add_argument("--folder", type=Path, help="where the studies are kept, to go on after an interruption")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    prepared(folder)
    program = Path(sys.executable).with_name("trainsmith")
    for name in given.names or COMMANDS:
        command = [str(program), *shlex.split(COMMANDS[name]), "--out", name]
        subprocess.run(command, cwd=folder, check=True)
        shutil.copy(folder / name / "report.html", HERE / f"{name}.html")


if __name__ == "__main__":
    main()
