"""torch's random functions, drawn from keys: what each gives, in distribution, as torch documents it.

Every function here takes `key`, which gives the key of the next place, and then the arguments of torch's
function. Where torch's takes a generator or an `out`, that is refused: the noise must come from the seed.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from trainsmith.errors import InvalidInput
from trainsmith.luck.attention import written_out
from trainsmith.luck.noise import chance, gaussian, integers, quantile, uniform, words

NextKey = Callable[[], Tensor]
SELU_LIMIT = -1.7580993408473766
"""What SELU tends to, -scale * alpha (Klambauer et al. 2017): where alpha dropout puts dropped units."""


def refuse_own_noise(name: str, options: dict[str, Any]) -> None:
    """Raises InvalidInput for a generator or an output tensor of the caller's."""
    for option in ("generator", "out"):
        if options.get(option) is not None:
            raise InvalidInput(
                f"the network calls {name} with {option}=, so its noise would not come from the member's seed; leave "
                f"{option} away, or draw what is to stay fixed before training and keep it as a buffer."
            )


def _size(args: tuple[Any, ...], options: dict[str, Any]) -> torch.Size:
    given = options.get("size", args)
    return torch.Size(given[0] if len(given) == 1 and not isinstance(given[0], int) else given)


def _placed(x: Tensor, options: dict[str, Any]) -> Tensor:
    device = options.get("device")
    return x if device is None else x.to(device)


def rand(key: NextKey, *size: Any, **options: Any) -> Tensor:
    """torch.rand."""
    dtype = options.get("dtype") or torch.get_default_dtype()
    return _placed(uniform(_size(size, options), key(), dtype), options)


def randn(key: NextKey, *size: Any, **options: Any) -> Tensor:
    """torch.randn."""
    dtype = options.get("dtype") or torch.get_default_dtype()
    return _placed(gaussian(_size(size, options), key(), dtype), options)


def rand_like(key: NextKey, x: Tensor, **options: Any) -> Tensor:
    """torch.rand_like."""
    return _placed(uniform(x.shape, key(), options.get("dtype") or x.dtype), options)


def randn_like(key: NextKey, x: Tensor, **options: Any) -> Tensor:
    """torch.randn_like."""
    return _placed(gaussian(x.shape, key(), options.get("dtype") or x.dtype), options)


def randint(key: NextKey, *args: Any, **options: Any) -> Tensor:
    """torch.randint, over a range of at most 2**31 numbers."""
    size, args = (options["size"], args) if "size" in options else (args[-1], args[:-1])
    drawn = _between(key, torch.Size(size), *_range(args, options, "low", "high"))
    return _placed(drawn.to(options.get("dtype") or torch.int64), options)


def randint_like(key: NextKey, x: Tensor, *args: Any, **options: Any) -> Tensor:
    """torch.randint_like, over a range of at most 2**31 numbers."""
    drawn = _between(key, x.shape, *_range(args, options, "low", "high"))
    return _placed(drawn.to(options.get("dtype") or x.dtype), options)


def _range(args: tuple[Any, ...], options: dict[str, Any], low: str, high: str) -> tuple[int, int]:
    given = [*(options[n] for n in (low,) if n in options), *args, *(options[n] for n in (high,) if n in options)]
    return (0, given[0]) if len(given) == 1 else (given[0], given[1])


def _between(key: NextKey, size: torch.Size, low: int, high: int) -> Tensor:
    if not 0 < high - low <= 2**31:
        raise InvalidInput(f"random whole numbers need a range of 1 to 2**31 numbers; got {low} to {high} (excluded).")
    return integers(size, key(), high - low) + low


def randperm(key: NextKey, n: int, **options: Any) -> Tensor:
    """torch.randperm: the order of random words."""
    order = words(torch.Size((n,)), key()).argsort(stable=True)
    return _placed(order.to(options.get("dtype") or torch.int64), options)


def normal(key: NextKey, mean: Any, std: Any = 1.0, size: Any = None, **options: Any) -> Tensor:
    """torch.normal."""
    like = next((t for t in (mean, std) if isinstance(t, Tensor)), None)
    if like is None:
        return randn(key, size, **options) * std + mean
    shape = torch.broadcast_shapes(*(t.shape for t in (mean, std) if isinstance(t, Tensor)))
    return gaussian(shape, key(), like.dtype) * std + mean


def bernoulli(key: NextKey, x: Tensor, p: float | None = None, **options: Any) -> Tensor:
    """torch.bernoulli."""
    if p is not None:
        return chance(x.shape, key(), p).to(x.dtype)
    return (uniform(x.shape, key(), torch.float32) < x).to(x.dtype)


def multinomial(key: NextKey, p: Tensor, num_samples: int, replacement: bool = False, **options: Any) -> Tensor:
    """With E exponential, argmax p / E draws a class with probability p, and the largest k draw without replacement."""
    if replacement:
        races = p[..., None, :].expand(*p.shape[:-1], num_samples, p.shape[-1])
        return (races / quantile("exponential", races.shape, key(), p.dtype)).argmax(-1)
    return (p / quantile("exponential", p.shape, key(), p.dtype)).topk(num_samples, -1).indices


def _checked(p: float) -> float:
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    return p


def dropout(key: NextKey, x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """torch.dropout and functional.dropout."""
    if not training or _checked(p) == 0:
        return x
    scale = _kept(key, x, x.shape, p)
    return x.mul_(scale) if inplace else x * scale


def _kept(key: NextKey, x: Tensor, shape: torch.Size, p: float) -> Tensor:
    kept = chance(shape, key(), 1 - p).to(x.dtype)
    return kept / (1 - p) if p < 1 else kept


def feature_dropout(key: NextKey, x: Tensor, p: float, train: bool, inplace: bool = False) -> Tensor:
    """torch.feature_dropout: whole channels, the second axis."""
    if not train or _checked(p) == 0:
        return x
    scale = _kept(key, x, _features(x), p)
    return x.mul_(scale) if inplace else x * scale


def _features(x: Tensor) -> torch.Size:
    return torch.Size((*x.shape[:2], *(1 for _ in x.shape[2:])))


def alpha_dropout(
    key: NextKey, x: Tensor, p: float, train: bool, inplace: bool = False, features: bool = False
) -> Tensor:
    """Klambauer et al. 2017, Self-normalizing neural networks, section 2: mean 0 and variance 1 are kept."""
    if not train or _checked(p) == 0:
        return x
    kept = chance(_features(x) if features else x.shape, key(), 1 - p).to(x.dtype)
    a = 1 / math.sqrt((1 - p) * (1 + p * SELU_LIMIT**2)) if p < 1 else 0.0
    scale, shift = kept * a, (1 - kept) * (SELU_LIMIT * a) - SELU_LIMIT * a * p
    return x.mul_(scale).add_(shift) if inplace else x * scale + shift


def native_dropout(key: NextKey, x: Tensor, p: float, train: bool | None) -> tuple[Tensor, Tensor]:
    """torch.native_dropout: the result and what was kept."""
    if train is False or p == 0:
        return x.clone(), torch.ones_like(x, dtype=torch.bool)
    kept = chance(x.shape, key(), 1 - _checked(p))
    return x * (kept.to(x.dtype) / (1 - p) if p < 1 else kept.to(x.dtype)), kept


def rrelu(
    key: NextKey, x: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """torch.rrelu: slopes for what is not positive."""
    if not training:
        return functional.leaky_relu(x, (lower + upper) / 2, inplace)
    slope = uniform(x.shape, key(), x.dtype) * (upper - lower) + lower
    result = torch.where(x <= 0, x * slope, x)
    return x.copy_(result) if inplace else result


def attention(
    key: NextKey, query: Tensor, keys: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> Tensor:  # fmt: skip
    """Scaled dot-product attention (Vaswani et al. 2017, equation 1), the weights dropped out as torch does."""
    if dropout_p == 0:
        return functional.scaled_dot_product_attention(
            query, keys, value, attn_mask, 0.0, is_causal, scale=scale, enable_gqa=enable_gqa
        )
    return written_out(
        query, keys, value, attn_mask, 0.0, is_causal, scale, enable_gqa, lambda w: dropout(key, w, dropout_p)
    )


def _in_place(draw: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def filled(key: NextKey, x: Tensor, *args: Any, **options: Any) -> Tensor:
        return x.copy_(draw(key, x, *args, **options))

    return filled


def _uniform(key: NextKey, x: Tensor, a: float = 0.0, b: float = 1.0, **options: Any) -> Tensor:
    low, high = options.get("from", a), options.get("to", b)
    return uniform(x.shape, key(), x.dtype) * (high - low) + low


def _normal(key: NextKey, x: Tensor, mean: float = 0.0, std: float = 1.0, **options: Any) -> Tensor:
    return gaussian(x.shape, key(), x.dtype) * std + mean


def _log_normal(key: NextKey, x: Tensor, mean: float = 1.0, std: float = 2.0, **options: Any) -> Tensor:
    return _normal(key, x, mean, std).exp()


def _exponential(key: NextKey, x: Tensor, lambd: float = 1.0, **options: Any) -> Tensor:
    return quantile("exponential", x.shape, key(), x.dtype) / lambd


def _cauchy(key: NextKey, x: Tensor, median: float = 0.0, sigma: float = 1.0, **options: Any) -> Tensor:
    return quantile("cauchy", x.shape, key(), x.dtype) * sigma + median


def _geometric(key: NextKey, x: Tensor, p: float, **options: Any) -> Tensor:
    return (quantile("exponential", x.shape, key()) / -math.log1p(-p)).floor() + 1


def _random(key: NextKey, x: Tensor, *bounds: Any, **options: Any) -> Tensor:
    if bounds or "to" in options:
        return _between(key, x.shape, *_range(bounds, options, "from", "to"))
    if x.dtype.is_floating_point:  # all the whole numbers that the type can tell apart
        return _between(key, x.shape, 0, round(2 / torch.finfo(x.dtype).eps) + 1)
    return _between(key, x.shape, 0, torch.iinfo(x.dtype).max + 1)


def _bernoulli(key: NextKey, x: Tensor, p: Any = 0.5, **options: Any) -> Tensor:
    if isinstance(p, Tensor):
        return uniform(x.shape, key(), torch.float32) < p
    return chance(x.shape, key(), p)


def _also_in_place(draw: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda key, *args: draw(key, *args, inplace=True)


KEYED: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.rand: rand,
    torch.randn: randn,
    torch.rand_like: rand_like,
    torch.randn_like: randn_like,
    torch.randint: randint,
    torch.randint_like: randint_like,
    torch.randperm: randperm,
    torch.normal: normal,
    torch.bernoulli: bernoulli,
    torch.multinomial: multinomial,
    torch.dropout: dropout,
    torch.dropout_: _also_in_place(dropout),
    torch.native_dropout: native_dropout,
    torch.feature_dropout: feature_dropout,
    torch.feature_dropout_: _also_in_place(feature_dropout),
    torch.alpha_dropout: alpha_dropout,
    torch.alpha_dropout_: _also_in_place(alpha_dropout),
    torch.feature_alpha_dropout: lambda key, x, p, train: alpha_dropout(key, x, p, train, features=True),
    torch.feature_alpha_dropout_: lambda key, x, p, train: alpha_dropout(key, x, p, train, True, True),
    torch.rrelu: rrelu,
    torch.rrelu_: _also_in_place(rrelu),
    functional.dropout: dropout,
    functional.rrelu: rrelu,
    functional.scaled_dot_product_attention: attention,
    Tensor.bernoulli: bernoulli,
    Tensor.multinomial: multinomial,
    Tensor.bernoulli_: _in_place(_bernoulli),
    Tensor.uniform_: _in_place(_uniform),
    Tensor.normal_: _in_place(_normal),
    Tensor.log_normal_: _in_place(_log_normal),
    Tensor.exponential_: _in_place(_exponential),
    Tensor.cauchy_: _in_place(_cauchy),
    Tensor.geometric_: _in_place(_geometric),
    Tensor.random_: _in_place(_random),
}
"""What each of torch's random functions becomes while a network runs with Luck."""
