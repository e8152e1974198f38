"""A small convolutional network for pictures of 16 x 16 pixels."""

from torch import nn


def cnn(input_shape: tuple[int, ...], outputs: int) -> nn.Module:
    """Three convolutions of 16, 32 and 32 channels, each halving the picture, and a linear output."""
    layers: list[nn.Module] = []
    for fan_in, channels in ((input_shape[0], 16), (16, 32), (32, 32)):
        layers += [nn.Conv2d(fan_in, channels, 3, stride=2, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(32 * 2 * 2, outputs))
