"""Which inputs a normalization layer takes, in the words of what it says where it is given others."""

from torch import Tensor


def needs_features(what: str, x: Tensor, features: int) -> str:
    """Of x that has other features than the layer, or none, or whole numbers."""
    return (
        f"{what} normalization of {features} features needs floating-point inputs (n, {features}, ...); got "
        f"{x.dtype} of shape {tuple(x.shape)}. The features are on axis 1: move them there, as by x.transpose(1, -1)."
    )
