"""Several augmentations of images, drawn at random with one strength."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainsmith.catalogue import Hyperparameter, Interval, technique
from trainsmith.catalogue.half import single
from trainsmith.errors import InvalidInput
from trainsmith.regularization.draws import one_each
from trainsmith.regularization.images import Images, PerExample, affine, moved, rotation, warped
from trainsmith.regularization.inputs import needs_floats, needs_images

CHOICES = ("nothing", "rotation", "shear across", "shear down", "zoom", "shift across", "shift down", "brightness",
           "contrast")  # fmt: skip


@technique(
    "regularization",
    "augmentation",
    name="rand-augment",
    aliases=("randaugment", "random-augment"),
    magnitude=Hyperparameter("strength of every change over its largest", (0.1, 1.0), "linear", Interval(0, 1), True),
)
class RandAugment(nn.Module):
    """RandAugment: in training each image undergoes two changes drawn at random, all with one strength.

        twice: one of nothing, rotation (30 degrees), shear across or down (0.3), zoom (factor 1.35), shift across or
        down (0.3 of the side), brightness, contrast (factor 1.9), at magnitude times what is in brackets, either way;
        in evaluation x' = x

    Paper: Cubuk, Zoph, Shlens & Le 2020, RandAugment: practical automated data augmentation with a reduced search
    space, section 3 and figure 2 (its code).

    Differs: 1. Nine changes of the paper's fourteen and zoom: those that need no palette of 256 levels. 2. The linear
    maps of both rounds are joined, then the image is sampled once; shifts, by whole pixels, come after them and
    brightness and contrast last. 3. magnitude runs to 1, the paper's to 30 with the same ends. 4. What is outside
    is 0.

    Pitfall: with small images and small networks a large magnitude underfits; contrast takes 0 for black.

    Helps: image classification, with one number to tune instead of one for each change. Not at large magnitudes for
    small images and small networks.

    >>> import torch
    >>> from trainsmith.regularization import RandAugment
    >>> RandAugment(0.0)(torch.tensor([[[[1.0, 2.0, 3.0]]]])).tolist()
    [[[[1.0, 2.0, 3.0]]]]
    """

    kinds = ("image",)
    magnitude: Tensor

    def __init__(self, magnitude: float = 0.3) -> None:
        super().__init__()
        self.register_buffer("magnitude", torch.tensor(float(magnitude)))

    def forward(self, x: Images) -> Images:
        """Changed images in training, x itself in evaluation."""
        if not self.training:
            return x
        if x.ndim != 4:
            raise InvalidInput(needs_images("rand-augment", x))
        if not x.is_floating_point():
            raise InvalidInput(needs_floats("rand-augment", x))
        changes = [self._changes(x) for _ in range(2)]
        maps, linear = changes[0][0] @ changes[1][0], changes[0][1] | changes[1][1]
        right, down = (changes[0][2][i] + changes[1][2][i] for i in range(2))
        wide = single(x)
        y = torch.where(_of_images(linear), warped(wide, maps), wide)
        y = moved(y, down, right)
        for *_, gain, contrast in changes:
            y = y * _of_images(gain)
            mean = y.mean((1, 2, 3), keepdim=True)
            y = torch.where(_of_images(contrast == 1), y, mean + (y - mean) * _of_images(contrast))
        return torch.where(self.magnitude > 0, y, wide).to(x.dtype)

    def _changes(
        self, x: Images
    ) -> tuple[Float[Tensor, "n 2 2"], Tensor, tuple[PerExample, PerExample], PerExample, PerExample]:
        """One round: linear maps, whether there is one, shifts right and down, brightness and contrast factors."""
        choice = (one_each(x) * len(CHOICES)).floor()
        amount = (2 * one_each(x) - 1).sign() * self.magnitude

        def of(name: str, largest: float = 1.0) -> PerExample:
            return torch.where(choice == CHOICES.index(name), amount * largest, 0.0)

        height, width = x.shape[-2:]
        zoom = 1.35 ** of("zoom")
        sheared = affine(zoom, of("shear across", 0.3), of("shear down", 0.3), zoom)
        maps = rotation(of("rotation", math.pi / 6)) @ sheared
        shifts = (of("shift across", 0.3 * width).round(), of("shift down", 0.3 * height).round())
        is_linear = (choice >= 1) & (choice <= CHOICES.index("zoom"))
        return maps, is_linear, shifts, 1.9 ** of("brightness"), 1.9 ** of("contrast")


def _of_images(per_example: Tensor) -> Tensor:
    return per_example[:, None, None, None]
