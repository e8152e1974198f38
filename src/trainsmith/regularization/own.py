"""An augmentation of the user's own, in a study or a population."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from trainsmith.catalogue import Technique, enter
from trainsmith.errors import InvalidInput


class OwnAugmentation(nn.Module):
    """Calls what the user gave on the examples of a step, in training only.

    call: of x (n, ...), a batch, to a tensor of the same shape: a function, or a module such as kornia's.
    """

    def __init__(self, call: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.call = call

    def forward(self, x: Tensor) -> Tensor:
        """The augmented batch (n, ...). Raises InvalidInput for one of another shape."""
        if not self.training:
            return x
        y = self.call(x)
        if not isinstance(y, Tensor) or y.shape != x.shape:
            got = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
            raise InvalidInput(
                f"an augmentation must return a batch of the shape it was given, {tuple(x.shape)}; got {got}."
            )
        return y.to(x.dtype)


def augmentation(call: Any, name: str | None = None) -> Technique:
    """Enter the user's own augmentation in the catalogue, for `compare` and `Population`.

    call: x (n, ...), the examples of a step -> the same shape, drawing with torch's random functions alone, so that
    each member has its own luck. It gets a batch: a transform that draws once for all it is given, as torchvision's do,
    changes all of them alike. One that looks at numbers it drew (`.item()`, `if`) is trained by the loop.
    name: what it is called (default the function's or class's name). The same name again replaces it.

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

    def start(self: OwnAugmentation) -> None:
        OwnAugmentation.__init__(self, call)

    page = f"{title}: an augmentation of your own.\n\n    x' = {found}(x) in training"
    make = type(title, (OwnAugmentation,), {"__init__": start, "__doc__": page, "__module__": "__main__"})
    entry = title.lower().replace("_", "-").replace(" ", "-")
    return enter(Technique(entry, "regularization", "augmentation", make, ()))


__all__ = ["OwnAugmentation", "augmentation"]
