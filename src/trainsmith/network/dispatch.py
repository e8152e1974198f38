"""What looks at the operations of a pass, one by one."""

from torch.utils._python_dispatch import TorchDispatchMode


class Watch(TorchDispatchMode):
    """A TorchDispatchMode whose use does not import torch's compiler, which takes longer than most passes."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Whether torch has its compiler leave these operations alone, for which it would import it."""
        return False


__all__ = ["Watch"]
