"""Double precision, wherever a tensor lies."""

from torch import Tensor


def doubled(t: Tensor) -> Tensor:
    """A tensor in double precision: on its device, or on the host where the device has none, as Apple's has not."""
    try:
        return t.double()
    except (RuntimeError, TypeError):
        return t.cpu().double()


def share(holds: Tensor) -> float:
    """The share of truths among truth values, exactly."""
    return int(holds.sum()) / holds.numel() if holds.numel() else float("nan")
