"""watch inside other libraries' trainers: a callback for Lightning, one for Hugging Face's Trainer."""

from typing import Any

import torch

from trainsmith.errors import InvalidInput
from trainsmith.watching import Watch


class Watching:
    """What both callbacks do. watch: the training's `Watch`, None before it began; it stays after its end."""

    def __init__(self, every: int = 16, warn: bool = True, tensorboard: Any = None) -> None:
        super().__init__()
        self.every, self.warn, self.tensorboard = every, warn, tensorboard
        self.watch: Watch | None = None

    def _start(self, model: torch.nn.Module, optimizer: Any) -> None:
        while isinstance(inside := getattr(optimizer, "optimizer", None), torch.optim.Optimizer):
            optimizer = inside  # as accelerate wraps it
        self._stop()  # a training that was broken off may never have told its end
        self.watch = Watch(model, optimizer, self.every, self.warn)
        if self.tensorboard is not None:
            self.watch.tensorboard(self.tensorboard)
        self.watch.start()

    def _stop(self) -> None:
        if self.watch is not None:
            self.watch.stop()


def lightning_callback(every: int = 16, warn: bool = True, tensorboard: Any = None) -> Any:
    """A `lightning.pytorch.Callback` that watches the training: Trainer(callbacks=[callback]), then callback.watch.

    every, warn: as for `trainsmith.watch`. tensorboard: as for its `tensorboard`. With several optimizers the first is
    followed. Raises InvalidInput without the package lightning.
    """
    try:
        from lightning.pytorch import Callback
    except ImportError as error:
        raise InvalidInput("this callback needs the package lightning: pip install 'trainsmith[lightning]'.") from error

    class LightningWatch(Watching, Callback):
        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            self._start(pl_module, trainer.optimizers[0])

        def on_train_end(self, trainer: Any, pl_module: Any) -> None:
            self._stop()

        def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
            self._stop()

    return LightningWatch(every, warn, tensorboard)


def transformers_callback(every: int = 16, warn: bool = True, tensorboard: Any = None) -> Any:
    """A `transformers.TrainerCallback` that watches the training: Trainer(callbacks=[callback]), then callback.watch.

    every, warn: as for `trainsmith.watch`. tensorboard: as for its `tensorboard`. Raises InvalidInput without the
    package transformers.
    """
    try:
        from transformers import TrainerCallback
    except ImportError as error:
        raise InvalidInput(
            "this callback needs the package transformers: pip install 'trainsmith[transformers]'."
        ) from error

    class TransformersWatch(Watching, TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            self._start(given["model"], given["optimizer"])

        def on_train_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            self._stop()

    return TransformersWatch(every, warn, tensorboard)
