"""Each of torch's random functions is drawn from the member's key, or refused: none passes unseen."""

import pytest
import torch
from torch import Tensor
from torch.func import vmap
from torch.nn import functional

from random_calls import COMPOSED_CALLS, KEYED_CALLS, REFUSED_CALLS
from trainsmith.errors import InvalidInput
from trainsmith.luck import LSTMS, Luck, counting, noise_keys
from trainsmith.luck.keyed import KEYED

X = torch.ones(2, 12)
KERNELS = {
    "_cudnn_rnn": "lstm",
    "_cudnn_init_dropout_state": "lstm",
    "_lstm_mps": "lstm",
    "_cudnn_attention_forward": "attention",
    "_cudnn_attention_backward": "attention",
    "_fill_mem_eff_dropout_mask_": "attention",
    "_fused_sdp_choice": "attention",
    "_nested_tensor_softmax_with_shape": "attention",
    "_scaled_dot_product_attention_math": "attention",
    "_triton_scaled_dot_attention": "attention",
    "miopen_rnn": "lstm",
    "_efficient_attention_forward": "attention",
    "_flash_attention_forward": "attention",
    "_flash_attention_forward_no_dropout_inplace": "attention",
    "_fused_dropout": "dropout",
    "_scaled_dot_product_attention_math_for_mps": "attention",
    "_scaled_dot_product_cudnn_attention": "attention",
    "_scaled_dot_product_cudnn_attention_backward": "attention",
    "_scaled_dot_product_efficient_attention": "attention",
    "_scaled_dot_product_efficient_attention_backward": "attention",
    "_scaled_dot_product_flash_attention": "attention",
    "_scaled_dot_product_flash_attention_for_cpu": "attention",
    "_scaled_dot_product_fused_attention_overrideable": "attention",
    "rrelu_with_noise_functional": "rrelu",
}
"""What torch itself calls, on one device or another, behind a function that is keyed or refused."""
OUT_OF_PLACE_ONLY_INSIDE = {"cauchy", "exponential", "geometric", "log_normal", "normal_functional", "uniform"}
"""Operators with no function of their own: Tensor.cauchy_ and the like are what there is."""


def marked():
    """The names of all operators of which torch marks an overload as drawing from a generator."""
    registered = torch._C._dispatch_get_all_op_names()
    for name in sorted({n.removeprefix("aten::").split(".")[0] for n in registered if n.startswith("aten::")}):
        packet = getattr(torch.ops.aten, name, None)
        overloads = [getattr(packet, o) for o in packet.overloads()] if packet is not None else []
        if any(torch.Tag.nondeterministic_seeded in o.tags for o in overloads):
            yield name


def public(name):
    """Every way by which Python code calls the operator, in place too."""
    for place in (torch, Tensor, functional, torch._C._nn):
        for spelling in dict.fromkeys((name, f"{name.removesuffix('_')}_", name.removesuffix("_"))):
            if callable(function := getattr(place, spelling, None)):
                yield spelling, function


def test_every_function_that_torch_marks_as_random_is_keyed_or_refused():
    for name in marked():
        ways = list(public(name))
        if not ways:
            assert name in KERNELS or name in OUT_OF_PLACE_ONLY_INSIDE, f"{name} is new: key or refuse it"
        for spelling, function in ways:
            seen = function in KEYED or function in LSTMS or spelling in REFUSED_CALLS or spelling in COMPOSED_CALLS
            assert seen or name in KERNELS, f"{spelling} is new: key or refuse it"
    assert set(KEYED_CALLS) == set(KEYED), "each keyed function is called in these tests"


def under(luck, call):
    with luck:
        return call(X.clone())


CALLS = {**{getattr(f, "__qualname__", str(f)): call for f, call in KEYED_CALLS.items()}, **COMPOSED_CALLS}


@pytest.mark.parametrize("name", CALLS)
def test_a_keyed_call_follows_its_key_and_nothing_else(name):
    call = CALLS[name]
    with counting() as counter:
        call(X.clone())
    assert counter.calls >= 1
    keys = noise_keys([1, 2], 3, counter.calls + 1)
    before = torch.get_rng_state()
    first, again, other = (under(Luck(k), call) for k in (keys[0], keys[0], keys[1]))
    assert torch.equal(torch.get_rng_state(), before), "torch's own generator was not drawn from"
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    with Luck(keys[0]):
        call(X.clone())
        shifted = call(X.clone()) if counter.calls == 1 else None
    assert shifted is None or not torch.equal(shifted, first), "the second place draws another noise"


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # of fractional pooling under vmap
@pytest.mark.parametrize("name", CALLS)
def test_a_member_draws_the_same_bits_alone_and_in_any_population(name):
    call = CALLS[name]
    keys = noise_keys(range(5), 1, 3)

    def member(key, x):
        with Luck(key):
            return call(x)

    together = vmap(member, randomness="error")(keys, X.expand(5, *X.shape))
    some = vmap(member, randomness="error")(keys[[3, 1]], X.expand(2, *X.shape))
    for k in range(5):
        assert torch.equal(together[k], under(Luck(keys[k]), call))
    assert torch.equal(some, together[[3, 1]])


@pytest.mark.parametrize("name", REFUSED_CALLS)
@pytest.mark.parametrize("luck", [counting, lambda: Luck(noise_keys([0], 1, 4)[0])], ids=["counting", "training"])
def test_what_is_not_keyed_is_refused_in_a_sentence(luck, name):
    with pytest.raises(InvalidInput, match=r"^(the network|dropout=0\.5 inside|random whole numbers)[^\n]*\.$"):
        under(luck(), REFUSED_CALLS[name])


def test_the_first_pass_names_the_operation():
    with pytest.raises(InvalidInput, match=r"draws noise with the operation aten\.poisson.*use dropout"):
        under(counting(), torch.poisson)
    with pytest.raises(InvalidInput, match=r"inside LSTM cannot be drawn.*num_layers=1 and nn\.Dropout between"):
        under(counting(), REFUSED_CALLS["lstm"])


def test_recurrent_layers_without_dropout_between_are_let_through():
    for kind in (torch.nn.LSTM, torch.nn.GRU, torch.nn.RNN):
        network = kind(4, 4, 2, batch_first=True)
        packed = torch.nn.utils.rnn.pack_sequence([torch.ones(3, 4), torch.ones(2, 4)])
        with counting() as counter:
            network(X.view(2, 3, 4))
            network(packed)
        assert counter.calls == 0


def test_a_network_that_draws_more_often_than_at_first_is_refused():
    with pytest.raises(InvalidInput, match="drew noise 2 times in a first pass and now draws more often"):
        under(Luck(noise_keys([0], 1, 2)[0]), lambda x: [torch.rand(3) for _ in range(3)])
