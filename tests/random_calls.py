"""A call of every random function of torch that is drawn from keys, and of those that are refused."""

import torch
from torch import Tensor, nn
from torch.nn import functional


def ones(*shape):
    return torch.ones(shape)


PROBABILITIES = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.7, 0.1, 0.1, 0.1]])

KEYED_CALLS = {
    torch.rand: lambda x: torch.rand(2, 12),
    torch.randn: lambda x: torch.randn((2, 12)),
    torch.rand_like: lambda x: torch.rand_like(x),
    torch.randn_like: lambda x: torch.randn_like(x),
    torch.randint: lambda x: torch.randint(2, 100, (2, 12)),
    torch.randint_like: lambda x: torch.randint_like(x, 100),
    torch.randperm: lambda x: torch.randperm(24),
    torch.normal: lambda x: torch.normal(x, 2.0),
    torch.bernoulli: lambda x: torch.bernoulli(x / 2),
    torch.multinomial: lambda x: torch.multinomial(PROBABILITIES.repeat(1, 5), 8),
    torch.dropout: lambda x: torch.dropout(x, 0.5, True),
    torch.dropout_: lambda x: torch.dropout_(x.clone(), 0.5, True),
    torch.native_dropout: lambda x: torch.native_dropout(x, 0.5, True)[0],
    torch.feature_dropout: lambda x: torch.feature_dropout(x[..., None], 0.5, True),
    torch.feature_dropout_: lambda x: torch.feature_dropout_(x[..., None].clone(), 0.5, True),
    torch.alpha_dropout: lambda x: torch.alpha_dropout(x, 0.5, True),
    torch.alpha_dropout_: lambda x: torch.alpha_dropout_(x.clone(), 0.5, True),
    torch.feature_alpha_dropout: lambda x: torch.feature_alpha_dropout(x[..., None], 0.5, True),
    torch.feature_alpha_dropout_: lambda x: torch.feature_alpha_dropout_(x[..., None].clone(), 0.5, True),
    torch.rrelu: lambda x: torch.rrelu(-x, 0.1, 0.4, True),
    torch.rrelu_: lambda x: torch.rrelu_(-x, 0.1, 0.4, True),
    functional.dropout: lambda x: functional.dropout(x, 0.5),
    functional.rrelu: lambda x: functional.rrelu(-x, 0.1, 0.4, True),
    functional.scaled_dot_product_attention: lambda x: functional.scaled_dot_product_attention(
        x.view(2, 3, 4), x.view(2, 3, 4), x.view(2, 3, 4), dropout_p=0.5
    ),
    Tensor.bernoulli: lambda x: (x / 2).bernoulli(),
    Tensor.multinomial: lambda x: PROBABILITIES.multinomial(24, replacement=True),
    Tensor.bernoulli_: lambda x: x.clone().bernoulli_(0.5),
    Tensor.uniform_: lambda x: x.clone().uniform_(-1, 1),
    Tensor.normal_: lambda x: x.clone().normal_(1, 2),
    Tensor.log_normal_: lambda x: x.clone().log_normal_(0, 1),
    Tensor.exponential_: lambda x: x.clone().exponential_(2),
    Tensor.cauchy_: lambda x: x.clone().cauchy_(),
    Tensor.geometric_: lambda x: x.clone().geometric_(0.1),
    Tensor.random_: lambda x: x.clone().random_(5, 50),
}
"""x: ones (2, 12)."""

COMPOSED_CALLS = {
    "dropout1d": lambda x: functional.dropout1d(x.view(2, 12, 1), 0.5),
    "dropout2d": lambda x: functional.dropout2d(x.view(2, 12, 1, 1), 0.5),
    "dropout3d": lambda x: functional.dropout3d(x.view(2, 12, 1, 1, 1), 0.5, inplace=False),
    "alpha_dropout": lambda x: functional.alpha_dropout(x, 0.5, True),
    "feature_alpha_dropout": lambda x: functional.feature_alpha_dropout(x.view(2, 12, 1), 0.5, True),
    "gumbel_softmax": lambda x: functional.gumbel_softmax(x),
    "fractional_max_pool2d": lambda x: functional.fractional_max_pool2d(
        torch.arange(144.0).view(1, 1, 12, 12) + 0 * x.view(24, 1, 1), 2, output_size=5
    ),
    "fractional_max_pool3d": lambda x: functional.fractional_max_pool3d(
        torch.arange(512.0).view(1, 1, 8, 8, 8) + 0 * x.view(24, 1, 1, 1), 2, output_size=5, return_indices=True
    )[0],
    "attention with weights": lambda x: multihead(x, True),
    "attention without weights": lambda x: multihead(x, False),
    "nn.init": lambda x: nn.init.xavier_uniform_(x.clone()),
    "low rank": lambda x: torch.svd_lowrank(torch.diag(torch.arange(6.0)), 1)[0],
    "in a distribution": lambda x: torch.distributions.Gumbel(x, 1.0).sample(),
}


def multihead(x, weights):
    x = x.view(2, 3, 4)
    square = torch.eye(4)
    return functional.multi_head_attention_forward(
        x, x, x, 4, 2, square.repeat(3, 1), None, None, None, False, 0.5, square, None, need_weights=weights
    )[0]


def recurrent(kind, **options):
    network = kind(4, 4, 2, dropout=0.5, **options)
    return lambda x: network(x.view(2, 3, 4))[0]


REFUSED_CALLS = {
    "poisson": lambda x: torch.poisson(x),
    "binomial": lambda x: torch.binomial(x * 5, x / 2),
    "_standard_gamma": lambda x: torch.distributions.Gamma(x, x).sample(),
    "_sample_dirichlet": lambda x: torch.distributions.Dirichlet(x).sample(),
    "lstm": recurrent(nn.LSTM),
    "gru": recurrent(nn.GRU),
    "rnn_tanh": recurrent(nn.RNN),
    "rnn_relu": recurrent(nn.RNN, nonlinearity="relu"),
    "rrelu_with_noise": lambda x: torch._C._nn.rrelu_with_noise(-x, x.clone(), 0.1, 0.3, True),
    "rrelu_with_noise_": lambda x: torch._C._nn.rrelu_with_noise_(-x, x.clone(), 0.1, 0.3, True),
    "rand with a generator": lambda x: torch.rand(3, generator=torch.Generator()),
    "rand into out": lambda x: torch.rand(3, out=ones(3)),
    "normal_ with a generator": lambda x: x.clone().normal_(generator=torch.Generator()),
    "too wide a range": lambda x: torch.randint(2**40, (3,)),
    "nn.init": lambda x: nn.init.uniform_(x.clone()),
    "the operator itself": lambda x: torch.ops.aten.bernoulli(x / 2),
    "its overload": lambda x: torch.ops.aten.rand.default([3]),
}
