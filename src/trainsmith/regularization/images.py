"""Augmentation of images (n, channels, height, width): each example is changed by itself, anew at each step."""

import math

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn
from torch.nn import functional

from trainsmith.catalogue import FRACTION, Hyperparameter, Interval, technique
from trainsmith.catalogue.half import single
from trainsmith.errors import InvalidInput
from trainsmith.regularization.draws import one_each
from trainsmith.regularization.inputs import needs_floats, needs_images

Images = Shaped[Tensor, "n channels height width"]
"""Of any type where pixels only move or become 0."""
PerExample = Float[Tensor, " n"]


@technique(
    "regularization",
    "augmentation",
    aliases=("horizontal-flip",),
    rate=Hyperparameter("probability that an image is mirrored", (0.1, 0.5), "linear", Interval(0, 1), tuned=True),
)
class Flip(nn.Module):
    """Flip: in training an image is mirrored left to right with a probability.

        x'_ij = x_i,(W-1-j) with probability rate;   in evaluation x' = x

    Paper: Krizhevsky, Sutskever & Hinton 2012, ImageNet classification with deep convolutional neural networks,
    section 4.1, unnumbered (horizontal reflections); Goodfellow et al. 2016, Deep Learning, section 7.4.

    Differs: nothing known.

    Pitfall: it must not change the class: digits and letters are not their mirror images.

    Helps: photographs. Not for digits, letters and whatever else its mirror image is not.

    >>> import torch
    >>> from trainsmith.regularization import Flip
    >>> Flip(1.0)(torch.tensor([[[[1.0, 2.0, 3.0]]]])).tolist()
    [[[[3.0, 2.0, 1.0]]]]
    """

    kinds = ("image",)
    rate: Tensor

    def __init__(self, rate: float = 0.5) -> None:
        super().__init__()
        self.register_buffer("rate", torch.tensor(float(rate)))

    def forward(self, x: Images) -> Images:
        """Images of which some are mirrored, in training; x itself in evaluation."""
        if not self.training:
            return x
        if x.ndim != 4:
            raise InvalidInput(needs_images("flip", x))
        return torch.where(_of_images(one_each(x) < self.rate), x.flip(-1), x)


@technique(
    "regularization",
    "augmentation",
    aliases=("translation", "random-crop"),
    reach=Hyperparameter("largest shift over the side", (0.05, 0.25), "linear", Interval(0, 1), tuned=True),
)
class Shift(nn.Module):
    """Shift: in training each image is moved by whole pixels, as by cropping it from a padded one.

        x'_ij = x_(i-a),(j-b), 0 outside;   a, b uniform among the whole numbers from -r to r
        r = reach times the side, rounded;   in evaluation x' = x

    Paper: Simard, Steinkraus & Platt 2003, Best practices for convolutional neural networks applied to visual
    document analysis, section 2, unnumbered; He, Zhang, Ren & Sun 2016, Deep residual learning for image
    recognition, section 4.2 (crops of images padded by 4 of 32 pixels).

    Differs: 1. Borders are filled with 0; data whose background is not 0 get a visible edge.

    Pitfall: a network that may not see what moves out learns from images without the object.

    Helps: nearly every image classification. Not where the place tells the class.

    >>> import torch
    >>> from trainsmith.regularization import Shift
    >>> Shift(0.0)(torch.tensor([[[[1.0, 2.0, 3.0]]]])).tolist()
    [[[[1.0, 2.0, 3.0]]]]
    """

    kinds = ("image",)
    reach: Tensor

    def __init__(self, reach: float = 0.125) -> None:
        super().__init__()
        self.register_buffer("reach", torch.tensor(float(reach)))

    def forward(self, x: Images) -> Images:
        """Moved images in training, x itself in evaluation."""
        if not self.training:
            return x
        if x.ndim != 4:
            raise InvalidInput(needs_images("shift", x))
        down, right = (self._steps(one_each(x), size) for size in x.shape[-2:])
        return moved(x, down, right)

    def _steps(self, u: PerExample, size: int) -> PerExample:
        most = (self.reach * size + 0.5).floor()
        return (u * (2 * most + 1)).floor() - most


def moved(x: Images, down: PerExample, right: PerExample) -> Images:
    """Each image moved by whole pixels, `down` and to the `right`; 0 where nothing comes from."""
    height, width = x.shape[-2:]
    rows = torch.arange(height, device=x.device) - down[:, None]
    columns = torch.arange(width, device=x.device) - right[:, None]
    from_rows = rows.clamp(0, height - 1).long()[:, None, :, None].expand(x.shape)
    from_columns = columns.clamp(0, width - 1).long()[:, None, None, :].expand(x.shape)
    inside = ((rows >= 0) & (rows < height))[:, None, :, None] & ((columns >= 0) & (columns < width))[:, None, None, :]
    return torch.where(inside, x.gather(2, from_rows).gather(3, from_columns), 0)


@technique(
    "regularization",
    "augmentation",
    angle=Hyperparameter("largest angle, in degrees", (2.0, 30.0), "log", Interval(0, 180), tuned=True),
)
class Rotation(nn.Module):
    """Rotation: in training each image is turned about its centre by a random angle.

        x'(p) = x(R(-a) p), bilinear between pixels and 0 outside;   a ~ U(-angle, angle);   in evaluation x' = x

    Paper: Simard, Steinkraus & Platt 2003, Best practices for convolutional neural networks applied to visual
    document analysis, section 2, unnumbered.

    Differs: nothing known; positive angles turn as torch.rot90 does.

    Pitfall: interpolation blurs: the network sees smoother images in training than in evaluation. Corners are lost.

    Helps: digits, cells, satellite images. Not where a turn changes the class, as that of a 6.

    >>> import torch
    >>> from trainsmith.regularization import Rotation
    >>> Rotation(0.0)(torch.tensor([[[[1.0, 2.0, 3.0]]]])).tolist()
    [[[[1.0, 2.0, 3.0]]]]
    """

    kinds = ("image",)
    angle: Tensor

    def __init__(self, angle: float = 10.0) -> None:
        super().__init__()
        self.register_buffer("angle", torch.tensor(float(angle)))

    def forward(self, x: Images) -> Images:
        """Turned images in training, x itself in evaluation."""
        if not self.training:
            return x
        if x.ndim != 4:
            raise InvalidInput(needs_images("rotation", x))
        if not x.is_floating_point():
            raise InvalidInput(needs_floats("rotation", x))
        angles = (2 * one_each(x) - 1) * self.angle * (math.pi / 180)
        return torch.where(self.angle > 0, warped(x, rotation(angles)), x)


@technique(
    "regularization",
    "augmentation",
    aliases=("random-scale",),
    factor=Hyperparameter("largest magnification", (1.02, 1.5), "log", Interval(1, 100), tuned=True),
)
class Zoom(nn.Module):
    """Zoom: in training each image is magnified or reduced about its centre.

        x'(p) = x(p / f), bilinear between pixels and 0 outside;   log f ~ U(-log factor, log factor);
        in evaluation x' = x

    Paper: Simonyan & Zisserman 2015, Very deep convolutional networks for large-scale image recognition, section
    3.1, unnumbered (scale jitter).

    Differs: 1. Reduced images are surrounded by 0, where the paper crops from larger ones.

    Pitfall: interpolation blurs, as with rotation.

    Helps: objects that come in several sizes. Not where the size tells the class.

    >>> import torch
    >>> from trainsmith.regularization import Zoom
    >>> Zoom(1.0)(torch.tensor([[[[1.0, 2.0, 3.0]]]])).tolist()
    [[[[1.0, 2.0, 3.0]]]]
    """

    kinds = ("image",)
    factor: Tensor

    def __init__(self, factor: float = 1.1) -> None:
        super().__init__()
        self.register_buffer("factor", torch.tensor(float(factor)))

    def forward(self, x: Images) -> Images:
        """Magnified and reduced images in training, x itself in evaluation."""
        if not self.training:
            return x
        if x.ndim != 4:
            raise InvalidInput(needs_images("zoom", x))
        if not x.is_floating_point():
            raise InvalidInput(needs_floats("zoom", x))
        f = self.factor ** (2 * one_each(x) - 1)
        return torch.where(self.factor > 1, warped(x, affine(f, 0 * f, 0 * f, f)), x)


@technique(
    "regularization",
    "augmentation",
    aliases=("random-erasing",),
    size=Hyperparameter("side of the square over the image's shorter side", (0.1, 0.6), "linear", FRACTION, tuned=True),
)
class Cutout(nn.Module):
    """Cutout: in training a square of each image, around a random pixel, is set to 0.

        x'_ij = 0 for |i - a|, |j - b| within the square of side L = size * min(H, W), rounded;   a, b uniform pixels
        in evaluation x' = x

    Paper: DeVries & Taylor 2017, Improved regularization of convolutional neural networks with cutout, section 3.2,
    unnumbered.

    Differs: 1. 0 is the mean only of data that were centred, as the paper's are.

    Pitfall: the square is cut at the edges of the image, as in the paper, so that its mean area is smaller than L^2.

    Helps: images in which one part gives the class away. Not for small objects, which it can hide whole.

    >>> import torch
    >>> from trainsmith.regularization import Cutout
    >>> Cutout(0.0)(torch.tensor([[[[1.0, 2.0, 3.0]]]])).tolist()
    [[[[1.0, 2.0, 3.0]]]]
    """

    kinds = ("image",)
    size: Tensor

    def __init__(self, size: float = 0.25) -> None:
        super().__init__()
        self.register_buffer("size", torch.tensor(float(size)))

    def forward(self, x: Images) -> Images:
        """Images with a hole in training, x itself in evaluation."""
        if not self.training:
            return x
        if x.ndim != 4:
            raise InvalidInput(needs_images("cutout", x))
        height, width = x.shape[-2:]
        side = (self.size * min(height, width) + 0.5).floor()
        rows, columns = (_span(one_each(x), side, size) for size in (height, width))
        return torch.where(rows[:, None, :, None] & columns[:, None, None, :], 0, x)


def _span(u: PerExample, length: Float[Tensor, ""], size: int) -> Bool[Tensor, "n size"]:
    """Which of `size` positions lie in a span of `length` around a random one, for each example."""
    start = (u * size).floor() - (length / 2).floor()
    positions = torch.arange(size, device=u.device)
    return (positions >= start[:, None]) & (positions < start[:, None] + length)


def _of_images(choice: Bool[Tensor, " n"]) -> Bool[Tensor, "n 1 1 1"]:
    return choice[:, None, None, None]


def affine(a: PerExample, b: PerExample, c: PerExample, d: PerExample) -> Float[Tensor, "n 2 2"]:
    """The matrices [[a, b], [c, d]] that take (right, down) to (right, down)."""
    return torch.stack([torch.stack([a, b], -1), torch.stack([c, d], -1)], -2)


def rotation(angles: PerExample) -> Float[Tensor, "n 2 2"]:
    """The matrices that turn by angles in radians, counter-clockwise as seen, where down is positive."""
    return affine(angles.cos(), angles.sin(), -angles.sin(), angles.cos())


def warped(x: Images, matrices: Float[Tensor, "n 2 2"]) -> Images:
    """Each image under a linear map about its centre, in units of pixels; bilinear, 0 outside."""
    height, width = x.shape[-2:]
    kind = single(x).dtype  # half precision does not tell the places of large images apart
    size = torch.tensor([width, height], dtype=kind, device=x.device)
    (a, b), (c, d) = (row.unbind(-1) for row in matrices.unbind(-2))
    back = affine(d, -b, -c, a) / (a * d - b * c)[:, None, None]
    down = torch.arange(height, device=x.device) - (height - 1) / 2
    right = torch.arange(width, device=x.device) - (width - 1) / 2
    places = torch.stack([right.expand(height, width), down[:, None].expand(height, width)], -1).to(kind)
    sources = (places @ back.transpose(-1, -2)[:, None]) * (2 / size)
    moved = functional.grid_sample(single(x), sources, mode="bilinear", padding_mode="zeros", align_corners=False)
    return moved.to(x.dtype)
