"""Attention as vmap can batch it, in plain operations, and where it cannot; torch's fused kernels have no such rule."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional


def written_out(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
    dropout: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:  # fmt: skip
    """softmax(scale * query key' + mask) value, arguments and shapes as torch's (Vaswani et al. 2017, equation 1).

    dropout: what drops weights out, in place of torch's own dropout with dropout_p. As in torch a query that sees
    nothing at all gets 0.
    """
    if enable_gqa:
        key, value = (t.repeat_interleave(query.shape[-3] // t.shape[-3], -3) for t in (key, value))
    scores = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=query.device).tril()
    seeing = None
    if attn_mask is not None:
        hidden = ~attn_mask if attn_mask.dtype == torch.bool else attn_mask == -math.inf
        seeing = ~hidden.all(-1, keepdim=True)
        if attn_mask.dtype != torch.bool:
            scores = scores + attn_mask.masked_fill(hidden, 0)
        scores = scores.masked_fill(hidden & seeing, -math.inf)
    weights = scores.softmax(-1)
    if seeing is not None and not is_causal:
        weights = weights * seeing.to(weights.dtype)
    if dropout is not None:
        weights = dropout(weights)
    elif dropout_p:
        weights = functional.dropout(weights, dropout_p)
    return weights @ value


def nests(module: nn.Module) -> bool:
    """Whether in evaluation torch may give this module's padded places 0, by nested tensors, as vmap cannot do.

    In training, and wherever a gradient is taken, torch leaves numbers there, which a network may average.
    """
    return isinstance(module, nn.TransformerEncoder) and bool(getattr(module, "use_nested_tensor", False))
