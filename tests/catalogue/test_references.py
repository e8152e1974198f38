"""Every technique has a reference from its paper in tests/reference; here are those that no test of a room has."""

import ast
import importlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from reference import activation, classifier, hidden, initialization, noise, normalization
from trainsmith import activation as ours_activation
from trainsmith import initialization as ours_initialization
from trainsmith import normalization as ours_normalization
from trainsmith import regularization as ours
from trainsmith.catalogue import techniques
from trainsmith.network.plain import Residual
from uniform_draws import drawing

FOLDER = Path(__file__).parents[1] / "reference"


def of(module, names):
    """References that have the names of their techniques."""
    return {f"{module}.{name.replace('-', '_')}": name for name in names.split()}


REFERENCES = {
    "initialization.spread": "normal xavier he he-fan-out he-uniform he-uniform-fan-out glorot-normal glorot-uniform "
    "lecun-uniform torch-default uniform",
    "initialization.gram_schmidt": "orthogonal",
    "initialization.delta": "delta-orthogonal",
    "initialization.truncated": "truncated-normal",
    "initialization.unit_variance": "lsuv",
    "initialization.class_prior": "class-prior",
    "initialization.fixup_factor": "fixup",
    "normalization.batch": "batch ghost-batch",
    "normalization.layer": "layer",
    "normalization.group": "group instance",
    "normalization.rms": "rms",
    "normalization.renormalized": "batch-renorm",
    "normalization.weight_norm": "weight-norm",
    "normalization.standardized_filters": "weight-standardization",
    "normalization.spectral": "spectral-norm",
    "normalization.standardized": "standardization",
    "normalization.min_max": "min-max",
    "normalization.robust": "robust",
    "normalization.whitened": "pca-whitening zca-whitening",
    "activation.maxout": "maxout",
    "activation.crelu": "crelu",
    "activation.leaky_relu": "leaky-relu prelu",
    **of("activation", "sigmoid tanh relu elu hard-sigmoid selu gelu gelu-tanh silu softplus mish glu swiglu geglu"),
    **of("optimizer", "sgd momentum rmsprop adam"),
    "optimizer.nesterov_look_ahead": "nesterov",
    **of("optimizer_adaptive", "moving-average adagrad adadelta rmsprop-centred adamw amsgrad nadam radam adamax lion"),
    "optimizer_adaptive.schedule_free": "schedule-free-sgd schedule-free-adamw",
    **of("optimizer_matrix", "lars lamb adafactor muon soap"),
    "clipping.by_value": "clip-by-value",
    "clipping.by_norm": "clip-by-norm",
    "clipping.adaptive": "adaptive-clipping",
    **of("schedule", "constant-rate cosine linear-decay warm-up stable-decay one-cycle plateau"),
    "schedule.staircase": "step-decay",
    "schedule.exponential": "exponential-decay",
    "regularization.l2": "l2",
    "regularization.elastic_net": "l1 elastic-net",
    "regularization.orthogonality": "orthogonality",
    "regularization.dropout": "dropout monte-carlo-dropout drop-connect",
    "regularization.label_smoothing": "label-smoothing",
    "regularization.stopped_after": "early-stopping early-stopping-retrain",
    "regularization.max_norm": "max-norm",
    "regularization.soft_threshold": "soft-threshold",
    "early_stopping.continued": "early-stopping-continue",
    "dropped.spatial_dropout": "spatial-dropout",
    "dropped.alpha_dropout": "alpha-dropout",
    "dropped.drop_block": "drop-block",
    "dropped.pooled": "stochastic-pooling",
    "dropped.dropped_moments": "drop-connect-gaussian",
    "hidden.dropped_branches": "stochastic-depth",
    "hidden.activity_l1": "activity-l1",
    "hidden.activity_kl": "activity-kl",
    "hidden.k_winners": "k-winners",
    "hidden.mean_prediction": "deep-ensemble bagging",
    "hidden.snapshot_rate": "snapshot-ensemble",
    "hidden.soft_tying": "soft-tying",
    "hidden.tied_autoencoder": "tied-weights",
    "hidden.weight_decay": "weight-decay",
    "averaging.exponential": "weight-ema",
    "averaging.mean_from": "polyak-averaging swa",
    "augmentation.shifted": "shift",
    "augmentation.cutout": "cutout",
    "augmentation.sampled": "rotation zoom rand-augment",
    "augmentation.cutmix": "cutmix",
    "augmentation.confidence_penalty": "confidence-penalty",
    "noise.flipped": "flip",
    "noise.added": "input-noise weight-noise",
    "noise.gradient_deviation": "gradient-noise",
    "noise.exchanged": "swap-noise",
    "noise.hidden": "feature-dropout",
    "second_task.reconstruction": "auxiliary-reconstruction",
    "second_task.rotation": "auxiliary-rotation",
    "second_task.weighed_by_uncertainty": "auxiliary-reconstruction-uncertainty auxiliary-rotation-uncertainty",
    "semi_supervised.pseudo_label": "pseudo-label",
    "semi_supervised.fixmatch": "fixmatch",
    "semi_supervised.entropy": "entropy-minimization",
    "semi_supervised.squared_difference": "pi-model",
    "semi_supervised.teacher": "mean-teacher",
    "semi_supervised.divergence": "vat",
    "classifier.fgsm": "fgsm-training fgsm-training-l2",
    "classifier.pgd": "pgd-training pgd-training-l2",
    "classifier.trades": "trades trades-l2",
    "classifier.sam": "sam",
    "classifier.gradient_penalty": "gradient-penalty",
    "classifier.r_drop": "r-drop",
    "classifier.mixed": "mixup manifold-mixup",
}
PLAIN = {"identity", "zeros", "constant", "zero-residual", "rezero", "none"}
"""x itself, one number everywhere, a branch times 0: nothing to be written out."""


def test_every_technique_has_a_reference_and_these_know_nothing_of_ours():
    named = [name for names in REFERENCES.values() for name in names.split()]
    assert len(named) == len(set(named))
    assert {*named, *PLAIN} == {t.name for t in techniques()}
    for reference in REFERENCES:
        module, name = reference.split(".")
        assert callable(getattr(importlib.import_module(f"reference.{module}"), name))
    for file in FOLDER.glob("*.py"):
        imports = [n for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, (ast.Import, ast.ImportFrom))]
        names = {a.name for n in imports for a in n.names} | {str(getattr(n, "module", "")) for n in imports}
        assert not any(n.split(".")[0] in ("trainsmith", "torch") for n in names), file.name


DRAW = np.random.default_rng(3)
W, B = DRAW.normal(size=(3, 4)), DRAW.normal(size=3)
X, Y = DRAW.uniform(0.2, 0.8, size=(5, 4)), np.array([0, 1, 2, 1, 0])
x, y = torch.from_numpy(X), torch.from_numpy(Y)


def linear():
    layer = nn.Linear(4, 3).double()
    layer.load_state_dict({"weight": torch.from_numpy(W.copy()), "bias": torch.from_numpy(B.copy())})
    return layer


def close(ours, reference, rtol=1e-9):
    found = ours.detach().numpy() if isinstance(ours, torch.Tensor) else ours
    np.testing.assert_allclose(found, reference, rtol=rtol, atol=1e-12)


def loss_of(technique, network=None, **more):
    return technique.double()(network or linear(), functional.cross_entropy, x, y, **more)


@pytest.mark.parametrize("norm", ["inf", "2"])
def test_attacks_on_a_softmax_regression_are_the_papers(norm):
    close(ours.fgsm(linear(), x, y, 0.3, norm=norm), classifier.fgsm(W, B, X, Y, 0.3, norm))
    for steps in (1, 7):
        moved = ours.pgd(linear(), x, y, 0.3, step=0.1, steps=steps, norm=norm, random_start=False)
        close(moved, classifier.pgd(W, B, X, Y, 0.3, norm, 0.1, steps))


def test_adversarial_trainings_are_the_papers_losses_at_these_examples():
    both = ours.FGSMTraining(0.25, 0.25), ours.FGSMTrainingL2(0.125, 0.25)  # the root mean square of 4 numbers
    for technique, norm in zip(both, ("inf", "2"), strict=True):
        moved = classifier.fgsm(W, B, X, Y, 0.25, norm)
        clean, adversarial = (classifier.cross_entropy(classifier.outputs(W, B, z), Y) for z in (X, moved))
        close(loss_of(technique), 0.25 * clean + 0.75 * adversarial)
    for technique, norm in ((ours.PGDTraining(0.25, 5), "inf"), (ours.PGDTrainingL2(0.125, 5), "2")):
        with pytest.MonkeyPatch.context() as patch:  # the random start is at x
            patch.setattr(torch, "rand_like", lambda z: torch.full_like(z, 0.5 if norm == "inf" else 0.0))  # noqa: B023
            patch.setattr(torch, "randn_like", torch.ones_like)
            moved = classifier.pgd(W, B, X, Y, 0.25, norm, 2.5 * 0.25 / 5, 5)
            close(loss_of(technique), classifier.cross_entropy(classifier.outputs(W, B, moved), Y))


@pytest.mark.parametrize("make", [ours.TRADES, ours.TRADESL2])
def test_trades_is_the_papers_at_the_examples_that_it_found(make):
    seen = []
    network = linear()
    network.register_forward_hook(lambda _, args, out: seen.append(args[0]))
    value = loss_of(make(0.25, 3.0, 2), network)
    close(value, classifier.trades(W, B, X, seen[-1].numpy(), Y, 3.0))


def test_sam_is_the_papers_uphill():
    network = linear()
    network.bias.requires_grad_(False)
    value = loss_of(ours.SAM(0.3), network)
    value.backward()
    expected = classifier.sam(W, B, X, Y, float(torch.tensor(0.3)))
    close(value, expected[0])
    close(network.weight.grad, expected[1])


def test_the_gradient_penalty_and_r_drop_are_the_papers():
    close(loss_of(ours.GradientPenalty(0.5)), classifier.gradient_penalty(W, B, X, Y, 0.5))
    network = nn.Sequential(linear(), nn.Dropout(0.5))
    torch.manual_seed(0)
    passes = [network(x).detach().numpy() for _ in range(2)]
    torch.manual_seed(0)
    close(loss_of(ours.RDrop(0.5), network), classifier.r_drop(*passes, Y, 0.5))


def test_mixing_examples_at_the_input_is_the_papers_mixture_of_targets():
    order, share = [1, 3, 0, 2, 4], 0.75
    with pytest.MonkeyPatch.context() as patch:
        for module in ("mixing", "manifold_mixup"):
            patch.setattr(
                f"trainsmith.regularization.{module}.pairing", lambda *_: (torch.tensor(order), torch.tensor(share))
            )
        mixed, other, part = ours.Mixup(1.0).double()(x, y)
        expected = classifier.mixed(W, B, X, Y, order, share)
        close(ours.mixed_loss(functional.cross_entropy, linear()(mixed), y, other, part), expected)
        close(loss_of(ours.ManifoldMixup(1.0)), expected)


@pytest.mark.parametrize("shape", [(5, 6), (3, 6, 2, 2)], ids=str)
def test_costs_and_winners_of_activations_are_the_papers(shape):
    h = torch.rand(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    close(ours.ActivityL1(0.5).double().cost(h - 0.5), hidden.activity_l1(h.numpy() - 0.5, 0.5))
    kl = ours.ActivityKL(0.5, target=0.25).double()
    close(kl.cost(h), hidden.activity_kl(h.numpy(), 0.5, 0.25))
    close(ours.KWinners(0.25)(h), hidden.k_winners(h.numpy(), 0.25))


def test_branches_ensembles_and_snapshots_are_the_papers():
    u = torch.rand(5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    with drawing(u):
        close(ours.DropBranch(0.5).double()(x), hidden.dropped_branches(X, u.numpy(), 0.5))
    logits = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    close(ours.average_probabilities(logits), hidden.mean_prediction(logits.numpy()))
    close(ours.averaged(logits, "classes").softmax(-1), hidden.mean_prediction(logits.numpy()))
    for steps in (40, 41):
        rates = [ours.snapshot_rate(t, steps, 4) for t in range(1, steps + 1)]
        close(rates, [hidden.snapshot_rate(t, steps, 4) for t in range(1, steps + 1)])


def test_ties_and_decay_are_the_papers():
    a, b = torch.from_numpy(W), torch.from_numpy(W[::-1].copy())
    close(ours.SoftTying(0.5).double()([a, b, a]), hidden.soft_tying([(W, W[::-1]), (W[::-1], W)], 0.5))
    decayed = a.clone()
    ours.WeightDecay(0.5)([decayed], lr=0.25)
    close(decayed, hidden.weight_decay(W, 0.25, 0.5))
    network = ours.tied_weights(nn.Sequential(linear(), nn.Tanh(), nn.Linear(3, 4).double()))
    nn.init.normal_(network[2].bias)
    close(network(x), hidden.tied_autoencoder(X, W, B, network[2].bias.tolist(), np.tanh))


def test_noise_is_the_papers():
    u, v = (torch.rand(5, 4, generator=torch.Generator().manual_seed(s), dtype=torch.float64) for s in (3, 4))
    n = np.vectorize(noise.normal)(u, v)
    inputs = ours.InputNoise(0.25).double().fit(x)
    with drawing(u, v):
        close(inputs(x), noise.added(X, 0.25, X.std(0), n))
    with drawing(u, v):
        close(ours.WeightNoise(0.25).double()([x])[0], noise.added(X, 0.25, np.ones(4), n))
    gradients = ours.GradientNoise(0.25, 0.5).double()
    for t in range(3):
        w = x.clone().requires_grad_()
        with drawing(u, v):
            gradients([w]).backward()
        close(w.grad, noise.gradient_deviation(0.25, 0.5, t) * n)
    with drawing(v, u):
        close(ours.SwapNoise(0.5)(x), noise.exchanged(X, u.numpy(), v.numpy(), 0.5))
    with drawing(u):
        close(ours.FeatureDropout(0.5).fit(x)(x), noise.hidden(X, X.mean(0), u.numpy(), 0.5))
    images = torch.rand(5, 2, 3, 4, dtype=torch.float64)
    with drawing(u[:, 0]):
        close(ours.Flip(0.5)(images), noise.flipped(images.numpy(), u[:, 0].numpy(), 0.5))


def test_initializations_that_look_at_data_and_networks_are_the_papers():
    priors = ours_initialization.ClassPrior()(linear(), x, y)
    close(priors.bias, initialization.class_prior(Y.tolist(), 3))
    drawn = ours_initialization.orthogonal(torch.empty(3, 4).double(), 1.0, generator=torch.Generator().manual_seed(1))
    layer = linear()
    ours_initialization.LSUV(1e-6)(layer, x, draw=lambda place: torch.Generator().manual_seed(1))
    close(layer.weight, initialization.unit_variance(drawn.numpy(), B, X), 1e-6)
    blocks = [Residual(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))) for _ in range(3)]
    inside = blocks[0].branch[0]
    network = nn.Sequential(*blocks, nn.Linear(4, 2)).double()
    ours_initialization.Fixup()(network, x, draw=lambda place: torch.Generator().manual_seed(place))
    he = ours_initialization.he(torch.empty(4, 4).double(), generator=torch.Generator().manual_seed(0))
    close(inside.weight, he.numpy() * initialization.fixup_factor(3, 2))
    weight = ours_initialization.delta_orthogonal(
        torch.empty(4, 3, 3, 3).double(), generator=torch.Generator().manual_seed(1)
    )
    drawn = torch.randn(4, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    close(weight, 2**0.5 * initialization.delta(drawn.numpy(), (3, 3)))


def test_normalizations_of_weights_and_whitening_are_the_papers():
    layer = ours_normalization.WeightNorm(linear())
    close(layer.effective(), normalization.weight_norm(W, layer.g.tolist()))
    layer.initialize(x)
    g, b = normalization.weight_norm_start(W, X)
    close(layer.g, g)
    close(layer.layer.bias, b)
    close(ours_normalization.SpectralNorm(linear(), 0.5).double().effective(), normalization.spectral(W, 0.5))
    train = torch.from_numpy(DRAW.normal(size=(30, 4)) @ DRAW.normal(size=(4, 4)) + 3)
    for make, back in ((ours_normalization.PCAWhitening, False), (ours_normalization.ZCAWhitening, True)):
        for ridge in (0.0, 0.125):
            close(make(ridge).fit(train)(x), normalization.whitened(train, X, ridge, back), 1e-7)


def test_wide_activation_functions_are_the_papers():
    rows = torch.randn(5, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for pieces in (2, 3):
        close(ours_activation.Maxout(pieces)(rows), [activation.maxout(row, pieces) for row in rows.tolist()])
    close(ours_activation.CReLU()(rows), [activation.crelu(row) for row in rows.tolist()])
