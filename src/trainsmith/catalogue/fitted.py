"""Modules that are fitted to data."""

from typing import Any

from torch import Tensor, nn

from trainsmith.errors import InvalidInput


class Fitted(nn.Module):
    """A module whose buffers have the shapes of the data that it was fitted to.

    A stored state brings its own shapes, so that one that was not fitted can load it.
    """

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for name, buffer in list(self.named_buffers(recurse=False)):
            stored = state_dict.get(prefix + name)
            if isinstance(stored, Tensor) and stored.shape != buffer.shape:
                setattr(self, name, buffer.new_empty(stored.shape))
        super()._load_from_state_dict(state_dict, prefix, *args)


def refuse_none(x: Tensor) -> None:
    """Raises InvalidInput where there are no examples to be fitted to."""
    if not x.numel():
        raise InvalidInput(f"fitting needs at least one example, x (n, ...); got shape {tuple(x.shape)}.")
