"""Every module class of torch.nn: how it is made, what it takes in, and what else each constructor argument may be."""

import copy
import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

NOT_NETWORKS = {
    "Container": "removed from torch but for its name",
    "DataParallel": "spreads a batch over devices; give the network inside it",
    "Module": "the base class of all",
    "ModuleDict": "holds modules and has no forward pass",
    "ModuleList": "holds modules and has no forward pass",
    "ParameterDict": "holds parameters and has no forward pass",
    "ParameterList": "holds parameters and has no forward pass",
    "RNNBase": "the base class of RNN, LSTM and GRU",
    "RNNCellBase": "the base class of the recurrent cells",
    "SyncBatchNorm": "runs on accelerators in several processes only",
}
NOT_VARIED = {
    "device": "every member of a population lies on one device",
    "process_group": "only SyncBatchNorm has it",
    "options": "how LinearCrossEntropyLoss cuts its work in pieces",
    "size_average": "deprecated for reduction",
    "reduce": "deprecated for reduction",
    "min_value": "deprecated for min_val",
    "max_value": "deprecated for max_val",
    "args": "Identity and others take anything and keep nothing",
    "kwargs": "Identity and others take anything and keep nothing",
}
ONE_VALUE = {
    *((f"{lazy}ConvTranspose{d}d", "padding_mode") for lazy in ("", "Lazy") for d in (1, 2, 3)),
    *((name, "mode") for name in ("RNN", "LSTM", "GRU")),
    *((name, "proj_size") for name in ("RNN", "GRU")),
}
"""Arguments of which torch takes one value only."""
N = 4


@dataclass
class Case:
    """kwargs: constructor arguments. shape: of one example's input. feed: the module's arguments from (n, *shape).

    others: other values of constructor arguments, where OTHERS and the rule there give none.
    """

    kwargs: dict[str, Any] = field(default_factory=dict)
    shape: tuple[int, ...] = (4, 8)
    feed: Callable[[Tensor], tuple[Any, ...]] = lambda h: (h,)
    others: dict[str, Any] = field(default_factory=dict)


def indices(h):
    return h.detach().abs().mul(1000).long() % 5


def classes(h):
    return indices(h).flatten(1).sum(1) % 3


def pair(h):
    return h[:, 0], h[:, 1]


def targets(h):
    return h[:, :3, 0], classes(h)


def signs(h):
    return torch.where(classes(h) > 0, 1.0, -1.0)


def own(function):
    return lambda h: (h[:, 0], function(h))


def of_dimension(d):
    shape = (4, *{1: (8,), 2: (4, 4), 3: (4, 4, 4)}[d])
    pool = getattr(functional, f"max_pool{d}d")
    conv = {"in_channels": 4, "out_channels": 4, "kernel_size": 3}
    kinds = {
        "AdaptiveAvgPool": Case({"output_size": 2}),
        "AdaptiveMaxPool": Case({"output_size": 2}),
        "AvgPool": Case({"kernel_size": 2}),
        "MaxPool": Case({"kernel_size": 2}),
        "LPPool": Case({"norm_type": 2.0, "kernel_size": 2}, feed=lambda h: (h.abs() + 0.1,)),
        "BatchNorm": Case({"num_features": 4}),
        "InstanceNorm": Case({"num_features": 4, "affine": True}),
        "LazyBatchNorm": Case(),
        "LazyInstanceNorm": Case({"affine": True}),
        "Conv": Case(conv, others={"groups": 2}),
        "ConvTranspose": Case({**conv, "stride": 2}, others={"groups": 2}),
        "LazyConv": Case({"out_channels": 4, "kernel_size": 2}, others={"groups": 2}),
        "LazyConvTranspose": Case({"out_channels": 4, "kernel_size": 3, "stride": 2}, others={"groups": 2}),
        "CircularPad": Case({"padding": 1}),
        "ConstantPad": Case({"padding": 1, "value": 0.5}),
        "ReflectionPad": Case({"padding": 1}),
        "ReplicationPad": Case({"padding": 1}),
        "ZeroPad": Case({"padding": 1}),
        "Dropout": Case(),
        "MaxUnpool": Case({"kernel_size": 2}, feed=lambda h: pool(h, 2, return_indices=True)),
    }
    for name, case in kinds.items():
        case.shape = shape
        yield f"{name}{d}d", case
    if d > 1:
        sizes = {"kernel_size": 2, "output_size": 2}
        yield (
            f"FractionalMaxPool{d}d",
            Case(sizes, shape, others={"output_ratio": 0.5, "_random_samples": torch.rand(4, 4, d)}),
        )


PLAIN = [
    "AlphaDropout",
    "CELU",
    "Dropout",
    "ELU",
    "FeatureAlphaDropout",
    "Flatten",
    "GELU",
    "GLU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "Identity",
    "LeakyReLU",
    "LogSigmoid",
    "Mish",
    "PReLU",
    "RReLU",
    "ReLU",
    "ReLU6",
    "SELU",
    "SiLU",
    "Sigmoid",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
]
IMAGE = (4, 4, 4)
TOKENS = {"d_model": 8, "nhead": 2, "dim_feedforward": 8, "batch_first": True}


def layer(kind, **others):
    return kind(**{**TOKENS, **others})


CASES: dict[str, Case] = {
    **{name: Case() for name in PLAIN},
    **{name: Case({"dim": 1}) for name in ("LogSoftmax", "Softmax", "Softmin")},
    **dict(c for d in (1, 2, 3) for c in of_dimension(d)),
    "AdaptiveLogSoftmaxWithLoss": Case(
        {"in_features": 8, "n_classes": 6, "cutoffs": [2, 4]},
        feed=own(classes),
        others={"cutoffs": [2], "n_classes": 7},
    ),
    "BCELoss": Case(feed=lambda h: (h[:, 0].sigmoid(), h[:, 1].detach().sigmoid())),
    "BCEWithLogitsLoss": Case(feed=lambda h: (h[:, 0], h[:, 1].detach().sigmoid())),
    "Bilinear": Case({"in1_features": 8, "in2_features": 8, "out_features": 3}, feed=pair),
    "CTCLoss": Case(
        feed=lambda h: (
            h.transpose(0, 1).log_softmax(-1),
            indices(h)[:, 0, :2] + 1,
            torch.full((len(h),), 4),
            torch.full((len(h),), 2),
        )
    ),
    "ChannelShuffle": Case({"groups": 2}, IMAGE, others={"groups": 4}),
    "CosineEmbeddingLoss": Case(feed=lambda h: (*pair(h), signs(h))),
    "CosineSimilarity": Case(feed=pair),
    "CrossEntropyLoss": Case(feed=targets),
    "CrossMapLRN2d": Case({"size": 2}, IMAGE),
    "Embedding": Case({"num_embeddings": 5, "embedding_dim": 3}, feed=lambda h: (indices(h),)),
    "EmbeddingBag": Case(
        {"num_embeddings": 5, "embedding_dim": 3}, feed=lambda h: (indices(h)[:, 0],), others={"mode": "sum"}
    ),
    "Fold": Case({"output_size": 4, "kernel_size": 2}, (4, 9), others={"output_size": 5, "kernel_size": 1}),
    "GRU": Case({"input_size": 8, "hidden_size": 4, "batch_first": True}),
    "GRUCell": Case({"input_size": 8, "hidden_size": 4}, (8,)),
    "GaussianNLLLoss": Case(feed=lambda h: (h[:, 0], h[:, 1], h[:, 2].exp())),
    "GroupNorm": Case({"num_groups": 2, "num_channels": 4}, others={"num_groups": 4, "num_channels": 8}),
    "HingeEmbeddingLoss": Case(feed=lambda h: (h[:, 0, 0], signs(h))),
    "HuberLoss": Case(feed=pair),
    "KLDivLoss": Case({"reduction": "batchmean"}, feed=lambda h: (h[:, 0].log_softmax(-1), h[:, 1].softmax(-1))),
    "L1Loss": Case(feed=pair),
    "LSTM": Case({"input_size": 8, "hidden_size": 4, "batch_first": True}),
    "LSTMCell": Case({"input_size": 8, "hidden_size": 4}, (8,)),
    "LayerNorm": Case({"normalized_shape": 8}),
    "LazyLinear": Case({"out_features": 3}),
    "Linear": Case({"in_features": 8, "out_features": 3}),
    "LinearCrossEntropyLoss": Case(
        {"in_features": 8, "num_classes": 3},
        feed=own(classes),
        others={"weight": torch.ones(3), "ignore_index": 1, "out_features": (2,)},
    ),
    "LocalResponseNorm": Case({"size": 2}, IMAGE),
    "MSELoss": Case(feed=pair),
    "MarginRankingLoss": Case(feed=lambda h: (h[:, 0, 0], h[:, 1, 0], signs(h))),
    "MultiLabelMarginLoss": Case(
        feed=lambda h: (h[:, 0, :3], torch.stack([classes(h), *[-torch.ones_like(classes(h))] * 2], 1))
    ),
    "MultiLabelSoftMarginLoss": Case(feed=lambda h: (h[:, 0, :3], functional.one_hot(classes(h), 3).float())),
    "MultiMarginLoss": Case(feed=targets, others={"p": 2}),
    "MultiheadAttention": Case(
        {"embed_dim": 8, "num_heads": 2, "dropout": 0.2, "batch_first": True},
        feed=lambda h: (h, h, h),
        others={"embed_dim": 4, "num_heads": 4, "kdim": 3, "vdim": 3},
    ),
    "NLLLoss": Case(feed=lambda h: (h[:, 0, :3].log_softmax(-1), classes(h))),
    "NLLLoss2d": Case(shape=IMAGE, feed=lambda h: (h[:, :3].log_softmax(1), indices(h)[:, 0] % 3)),
    "PairwiseDistance": Case(feed=pair),
    "PixelShuffle": Case({"upscale_factor": 2}, IMAGE),
    "PixelUnshuffle": Case({"downscale_factor": 2}, IMAGE),
    "PoissonNLLLoss": Case(feed=lambda h: (h[:, 0], h[:, 1].exp())),
    "RMSNorm": Case({"normalized_shape": 8}),
    "RNN": Case({"input_size": 8, "hidden_size": 4, "batch_first": True}),
    "RNNCell": Case({"input_size": 8, "hidden_size": 4}, (8,)),
    "Sequential": Case(),
    "SmoothL1Loss": Case(feed=pair),
    "SoftMarginLoss": Case(feed=lambda h: (h[:, 0, 0], signs(h))),
    "Softmax2d": Case(shape=IMAGE),
    "Threshold": Case({"threshold": 0.1, "value": 0.5}),
    "Transformer": Case(
        {**TOKENS, "num_encoder_layers": 1, "num_decoder_layers": 1},
        feed=lambda h: (h, h),
        others={"nhead": 4, "d_model": 4, "custom_encoder": nn.Identity(), "custom_decoder": nn.Identity()},
    ),
    "TransformerDecoder": Case(
        {"decoder_layer": layer(nn.TransformerDecoderLayer), "num_layers": 1},
        feed=lambda h: (h, h),
        others={"decoder_layer": layer(nn.TransformerDecoderLayer, norm_first=True), "norm": nn.LayerNorm(8)},
    ),
    "TransformerDecoderLayer": Case(TOKENS, feed=lambda h: (h, h), others={"nhead": 4, "d_model": 4}),
    "TransformerEncoder": Case(
        {"encoder_layer": layer(nn.TransformerEncoderLayer), "num_layers": 1},
        others={"encoder_layer": layer(nn.TransformerEncoderLayer, norm_first=True), "norm": nn.LayerNorm(8)},
    ),
    "TransformerEncoderLayer": Case(TOKENS, others={"nhead": 4, "d_model": 4}),
    "TripletMarginLoss": Case(feed=lambda h: (h[:, 0], h[:, 1], h[:, 2])),
    "TripletMarginWithDistanceLoss": Case(feed=lambda h: (h[:, 0], h[:, 1], h[:, 2])),
    "Unflatten": Case({"dim": 1, "unflattened_size": (2, 2)}, others={"unflattened_size": (4, 1)}),
    "Unfold": Case({"kernel_size": 2}, IMAGE),
    "Upsample": Case({"scale_factor": 2}, IMAGE, others={"mode": "bilinear"}),
    "UpsamplingBilinear2d": Case({"scale_factor": 2}, IMAGE),
    "UpsamplingNearest2d": Case({"scale_factor": 2}, IMAGE),
}
OTHERS: dict[str, Any] = {
    "dtype": torch.float64,
    "reduction": "sum",
    "padding_mode": "circular",
    "nonlinearity": "relu",
    "activation": "gelu",
    "approximate": "tanh",
    "divisor_override": 3,
    "dim": 2,
    "stride": 3,
    "size": 3,
    "eps": 0.05,
    "p": 0.3,
    "weight": torch.tensor([1.0, 2.0, 3.0]),
    "pos_weight": torch.tensor(2.0),
    "ignore_index": 1,
    "padding_idx": 1,
    "max_norm": 0.5,
    "proj_size": 2,
    "dropout": 0.3,
    "output_ratio": 0.5,
    "align_corners": True,
    "recompute_scale_factor": True,
    "distance_function": functional.l1_loss,
    "momentum": 0.3,
    "_weight": torch.ones(5, 3),
}


def classes_of_torch():
    """All public module classes of torch.nn, by name."""
    return {n: c for n, c in vars(nn).items() if isinstance(c, type) and issubclass(c, nn.Module)}


def make(name, **others):
    """The module, its lazy parts made; others: constructor arguments in place of the case's."""
    case, kind = CASES[name], getattr(nn, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name == "Sequential":
            return kind(nn.Linear(8, 8), *others.get("args", ()))
        instead = {"size": "scale_factor", "output_ratio": "output_size"}  # of which torch takes one
        without = {instead.get(argument) for argument in others}
        module = kind(**copy.deepcopy({**{n: v for n, v in case.kwargs.items() if n not in without}, **others}))
        if name.startswith("Lazy"):
            module(torch.ones(N, *case.shape, dtype=others.get("dtype")))
    return module


def arguments(name):
    """Constructor arguments by name, with another value for each that is varied."""
    kind = nn.RNNBase if name in ("RNN", "LSTM", "GRU") else getattr(nn, name)
    if name == "Sequential":
        return {"args": (nn.ReLU(),)}
    found = {}
    for argument, parameter in inspect.signature(kind).parameters.items():
        if argument in NOT_VARIED or (name, argument) in ONE_VALUE:
            continue
        given = CASES[name].kwargs.get(argument, parameter.default)
        others = CASES[name].others
        found[argument] = others[argument] if argument in others else another(argument, given)
    if name == "RNN":
        found["nonlinearity"] = "relu"
    return found


def another(argument, value):
    """Another value than `value` for a constructor argument."""
    if isinstance(value, bool):
        return not value
    if argument in OTHERS:
        return OTHERS[argument]
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return 2 * value + 0.1
    raise ValueError(f"no other value is known for {argument}={value!r}")


class Probe(nn.Module):
    """A classifier of (n, 12) around one module of torch."""

    def __init__(self, name, module):
        super().__init__()
        self.case = CASES[name]
        self.first, self.inner = nn.Linear(12, torch.Size(self.case.shape).numel()), module

    def forward(self, x):
        out = self.inner(*self.case.feed(self.first(x).view(-1, *self.case.shape)))
        while isinstance(out, (tuple, list)):
            out = out[0]
        numbers = out.to(x.dtype)
        flat = (
            numbers.reshape(len(x), -1)
            if numbers.shape[:1] == x.shape[:1]
            else numbers.reshape(1, -1).expand(len(x), -1)
        )
        places = torch.arange(1, flat.shape[1] + 1, dtype=x.dtype)
        return torch.stack([(flat * torch.cos((k + 1) * places)).sum(1) for k in range(3)], 1) / flat.shape[1] ** 0.5
