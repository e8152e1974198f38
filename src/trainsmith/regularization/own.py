"""An augmentation of the user's own, in a study or a population."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from trainsmith.catalogue import Technique, enter, remember, spelt
from trainsmith.errors import InvalidInput


class OwnAugmentation(nn.Module):
    """Calls what the user gave on the examples of a step, in training only.

    call: of x (n, ...), a batch, to a tensor of the same shape: a function, or a module such as kornia's.
    each: `call` gets one example (...) at a time.
    """

    def __init__(self, call: Callable[[Tensor], Tensor], each: bool = False) -> None:
        super().__init__()
        self.call, self.each = call, each

    def forward(self, x: Tensor) -> Tensor:
        """The augmented batch (n, ...). Raises InvalidInput for one of another shape."""
        if not self.training:
            return x
        if self.each:
            return torch.stack([self._called(example, "an example") for example in x])
        return self._called(x, "a batch")

    def _called(self, x: Tensor, what: str) -> Tensor:
        y = self.call(x)
        if not isinstance(y, Tensor) or y.shape != x.shape:
            got = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
            raise InvalidInput(
                f"an augmentation must return {what} of the shape it was given, {tuple(x.shape)}; got {got}."
            )
        return y.to(x.dtype)


def augmentation(call: Any, name: str | None = None, each: bool | None = None) -> Technique:
    """Enter the user's own augmentation in the catalogue, for `compare` and `Population`.

    call: x (n, ...), the examples of a step -> the same shape, drawing with torch's random functions alone, so that
    each member has its own luck. One that looks at numbers it drew (`.item()`, `if`), or notes them, as kornia's do, is
    trained by the loop.
    name: what it is called (default the function's or class's name). The same name again replaces it.
    each: call it for one example (...) at a time, if it draws once for all it is given (default: if it is torchvision's
    or has a part of torchvision's, which do).

    Raises InvalidInput for what cannot be called.

    >>> import torch, trainsmith
    >>> from trainsmith.regularization import augmentation
    >>> def darker(x):
    ...     return x * torch.rand(len(x), 1)
    >>> own = augmentation(darker)
    >>> own.name, own.make()(torch.ones(2, 3)).shape
    ('darker', torch.Size([2, 3]))
    >>> # trainsmith.compare("mlp", "digits", techniques=[own]), Population(..., regularizers=[own.make()])
    """
    if not callable(call):
        raise InvalidInput(f"an augmentation must be a function of a batch; got {type(call).__name__}.")
    found = getattr(call, "__name__", type(call).__name__)
    title = name or ("own-augmentation" if found == "<lambda>" else found)
    separate = _draws_once(call) if each is None else each

    def start(self: OwnAugmentation) -> None:
        OwnAugmentation.__init__(self, call, separate)

    return enter(_entry(title, start, f"x' = {found}(x) in training"))


def augmentation_elsewhere(name: str) -> None:
    """Let what was recorded tell of an augmentation that a user entered in another process. Its making is refused."""

    def start(self: OwnAugmentation) -> None:
        raise InvalidInput(
            f"'{name}' is an augmentation of the user's own, which is not known here: enter it first, by "
            f"trainsmith.regularization.augmentation(call, {name!r})."
        )

    remember(_entry(name, start, f"x' = {name}(x) in training"))


def _entry(title: str, start: Callable[[OwnAugmentation], None], formula: str) -> Technique:
    page = f"{title}: an augmentation of your own.\n\n    {formula}"
    make = type(title, (OwnAugmentation,), {"__init__": start, "__doc__": page, "__module__": "__main__"})
    return Technique(spelt(title), "regularization", "augmentation", make, ())


def _draws_once(call: Any) -> bool:
    """Whether it is torchvision's, or a module that holds such."""
    parts = call.modules() if isinstance(call, nn.Module) else [call]
    kinds = {kind for part in parts for kind in type(part).__mro__}
    return any(kind.__module__.startswith("torchvision.transforms") for kind in kinds)


__all__ = ["OwnAugmentation", "augmentation", "augmentation_elsewhere"]
