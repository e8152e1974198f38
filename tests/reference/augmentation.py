"""Augmentations from their papers, in float64, one pixel at a time."""

import math

import numpy as np


def shifted(image, down, right):
    """An image (channels, height, width) moved by whole pixels, 0 where nothing comes from."""
    out = np.zeros_like(np.asarray(image, np.float64))
    _, height, width = out.shape
    for i in range(height):
        for j in range(width):
            if 0 <= i - down < height and 0 <= j - right < width:
                out[:, i, j] = image[:, i - down, j - right]
    return out


def span(u, length, size):
    """The positions of a span of `length` around pixel floor(u * size), cut at the edges."""
    centre = math.floor(u * size)
    return range(max(0, centre - length // 2), max(0, min(size, centre - length // 2 + length)))


def cutout(image, u, v, side):
    """DeVries & Taylor 2017, section 3.2: a square of zeros around a random pixel, which may lie partly outside."""
    out = np.asarray(image, np.float64).copy()
    for i in span(u, side, out.shape[1]):
        for j in span(v, side, out.shape[2]):
            out[:, i, j] = 0
    return out


def sampled(image, matrix):
    """The image under a linear map of (right, down) about its centre, bilinear between pixels, 0 outside."""
    image = np.asarray(image, np.float64)
    _, height, width = image.shape
    back, out = np.linalg.inv(matrix), np.zeros_like(image)
    for i in range(height):
        for j in range(width):
            across, down = back @ [j - (width - 1) / 2, i - (height - 1) / 2]
            x, y = across + (width - 1) / 2, down + (height - 1) / 2
            for a in (math.floor(y), math.floor(y) + 1):
                for b in (math.floor(x), math.floor(x) + 1):
                    if 0 <= a < height and 0 <= b < width:
                        out[:, i, j] += (1 - abs(y - a)) * (1 - abs(x - b)) * image[:, a, b]
    return out


def turn(degrees):
    """The matrix that turns (right, down) counter-clockwise as seen."""
    a = math.radians(degrees)
    return np.array([[math.cos(a), math.sin(a)], [-math.sin(a), math.cos(a)]])


def cutmix(x, order, u, v, b):
    """Yun et al. 2019, equations 1 and 2: (images, share of the first) for a box with sides sqrt(1 - b) of theirs."""
    x = np.asarray(x, np.float64)
    out, (height, width) = x.copy(), x.shape[2:]
    rows = span(u, math.floor(height * math.sqrt(1 - b)), height)
    columns = span(v, math.floor(width * math.sqrt(1 - b)), width)
    for n in range(len(x)):
        for i in rows:
            for j in columns:
                out[n, :, i, j] = x[order[n], :, i, j]
    return out, 1 - len(rows) * len(columns) / (height * width)


def confidence_penalty(logits, targets, beta):
    """Pereyra et al. 2017, section 3, as a mean over examples: -log p_y - beta H(p)."""
    losses = []
    for row, y in zip(np.asarray(logits, np.float64), targets, strict=True):
        top = max(row)
        log_sum = top + math.log(math.fsum(math.exp(z - top) for z in row))
        entropy = -math.fsum(math.exp(z - log_sum) * (z - log_sum) for z in row)
        losses.append(log_sum - row[y] - beta * entropy)
    return math.fsum(losses) / len(losses)
