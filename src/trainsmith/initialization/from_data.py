"""Initializations that look at training data before the first step."""

from typing import Any

import torch
from torch import Tensor, nn

from trainsmith.catalogue import POSITIVE, Hyperparameter, technique
from trainsmith.errors import InvalidInput
from trainsmith.initialization.layers import NetworkInitialization, calls_in_turn, outputs_of, weight_layers
from trainsmith.initialization.orthogonal import orthogonal

MOST_ROUNDS = 20


@technique(
    "initialization",
    "network",
    name="lsuv",
    tolerance=Hyperparameter("deviation from variance 1 that is left as it is", (0.01, 0.5), "log", POSITIVE),
)
class LSUV(NetworkInitialization):
    """LSUV: orthogonal weights, scaled layer by layer until each one's outputs have variance 1 on a batch.

        w orthogonal with gain 1
        then for each layer in order, while |Var(w h) - 1| > tolerance:  w = w / sqrt(Var(w h))

    Paper: Mishkin & Matas 2015, All you need is a good init, Algorithm 1.

    Differs: 1. The variance is over all outputs of a layer on up to 512 training examples, before the activation, as in
    the authors' code. 2. At most 20 rounds a layer, as there; for layers that are linear in their weight one does.
    3. A layer whose outputs do not vary, or whose weight another module makes at each call, is left as it is.

    Pitfall: inputs must be scaled before. It is blind to a layer's mean: behind ReLU, means still grow.

    Helps: activation functions for which no one has worked out a gain, and networks with odd parts. Not where a
    normalization follows every layer, or where its batch is unlike the others.

    >>> import torch
    >>> from trainsmith.initialization import LSUV
    >>> x = torch.randn(99, 9)
    >>> network = torch.nn.Sequential(torch.nn.Linear(9, 20), torch.nn.GELU(), torch.nn.Linear(20, 3))
    >>> round(LSUV(0.01)(network, x)(x).var().item(), 1)
    1.0
    """

    def __init__(self, tolerance: float = 0.1) -> None:
        self.tolerance = tolerance

    def fill(self, weight: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """An orthogonal weight with gain 1."""
        return orthogonal(weight, 1.0, generator=generator)

    def finish(self, network: nn.Module, x: Tensor, targets: Tensor | None = None) -> None:
        """Scale the layers in one pass of x: each sees its inputs after those before it were scaled."""
        held = {layer: layer.weight for layer in weight_layers(network)}

        def scale(layer: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
            hooks.pop(layer).remove()  # a layer that is called again keeps the scale of its first call
            weight: Any = held[layer]
            for _ in range(MOST_ROUNDS if layer.weight is weight else 0):
                variance = output.double().var(correction=0)
                if not variance.isfinite() or variance <= 0 or (variance - 1).abs() <= self.tolerance:
                    break
                weight.div_(variance.sqrt().to(weight))
                output = layer.forward(*args)
            return output

        hooks = {layer: layer.register_forward_hook(scale) for layer in held}
        try:
            outputs_of(network, x)
        finally:
            for hook in hooks.values():
                hook.remove()


@technique("initialization", "network", name="class-prior", aliases=("output-bias",))
class ClassPrior(NetworkInitialization):
    """Class prior: the last bias starts at the logarithm of the classes' frequencies in the training data.

        w as he;   last bias[c] = ln((n_c + 1) / (n + classes))

    Paper: Lin, Goyal, Girshick, He & Dollár 2017, Focal loss for dense object detection, sections 3.3 and 4.1 (for
    two classes); Bishop 2006, Pattern recognition and machine learning, equation 4.63 (softmax of log priors).

    Differs: 1. Counts are raised by one, so that a class that is missing in the training data has a logarithm.

    Pitfall: none on balanced classes, and no use. It is for cross-entropy: with classes weighted in the loss, the
    weighted frequencies would be right.

    Helps: rare classes: the first steps are not spent on learning how rare they are. Not where classes are about
    equally frequent: it changes nothing then.

    >>> import torch
    >>> from trainsmith.initialization import ClassPrior
    >>> network = ClassPrior()(torch.nn.Linear(5, 2), torch.randn(8, 5), torch.tensor([0, 0, 0, 0, 0, 0, 0, 1]))
    >>> network.bias.softmax(0).tolist()
    [0.800000011920929, 0.20000000298023224]
    """

    def finish(self, network: nn.Module, x: Tensor, targets: Tensor | None = None) -> None:
        """Set the bias of the weight layer that is called last."""
        if targets is None or targets.is_floating_point():
            raise InvalidInput("class-prior needs targets that are classes, (n,) whole numbers from 0; there are none.")
        called, outputs = calls_in_turn(network, weight_layers(network), x[:2])
        bias: Any = called[-1].bias if called else None
        if bias is None or bias.shape != outputs.shape[1:] or targets.max() >= len(bias):
            raise InvalidInput("class-prior needs a last layer with a bias for each class; the network has none.")
        counts = torch.bincount(targets, minlength=len(bias)).double() + 1
        with torch.no_grad():
            bias.copy_((counts / counts.sum()).log())
