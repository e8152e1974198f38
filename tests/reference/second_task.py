"""Second tasks for the features of a network, written from the papers in double precision with NumPy alone."""

import numpy as np


def reconstruction(features, matrix, bias, x, mean, spread):
    """Le, Patterson & White 2018, section 2: the decoder's squared error, a mean over examples and numbers."""
    wanted = ((x - mean) / spread).reshape(len(x), -1)
    return ((features @ matrix.T + bias - wanted) ** 2).mean()


def rotation(features_of, matrix, bias, images, quarters):
    """Gidaris et al. 2018, equations 1 and 2, of one quarter for each image."""
    total = 0.0
    for image, k in zip(images, quarters, strict=True):
        logits = features_of(np.rot90(image, k, (1, 2))[None]) @ matrix.T + bias
        total -= logits[0, k] - np.log(np.exp(logits[0]).sum())
    return total / len(images)


def weighed_by_uncertainty(first, second, s1, s2, weight):
    """Kendall et al. 2018, equation 10, of two cross-entropies: L / sigma^2 + log sigma with s = log sigma^2."""
    return first / np.exp(s1) + np.log(np.exp(s1 / 2)) + weight * (second / np.exp(s2) + np.log(np.exp(s2 / 2)))
