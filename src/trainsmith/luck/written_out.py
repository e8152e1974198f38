"""What some of torch's functions are replaced by where vmap has no rule for them, or a wrong one."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from trainsmith.luck import DRAWING, opened
from trainsmith.luck.attention import written_out
from trainsmith.luck.embedding import embedding, of_table

REPLACED: dict[Callable[..., Any], Callable[..., Tensor]] = {
    functional.scaled_dot_product_attention: written_out,
    functional.embedding: embedding,
    torch.embedding: of_table,
}


class WrittenOut(TorchFunctionMode):
    """While active, on this thread, these functions are replaced, also inside of torch's own that may attend."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func not in DRAWING:
            return REPLACED.get(func, func)(*args, **(kwargs or {}))
        super().__enter__()  # torch turns modes off inside its own functions
        try:
            return opened(func)(*args, **(kwargs or {}))
        finally:
            super().__exit__(None, None, None)
