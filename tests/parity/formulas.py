"""The formulas that fill every weight of the golden cases (`tests/golden/README.md`), in numpy.

Values depend on a tensor's kind, dimensions, row `p` and location `salt` alone, so that two programs
compare without knowing each other's variable names. Arrays have TensorFlow's layout and are float32.
"""

from __future__ import annotations

from functools import cache

import numpy as np

MASK = 0xFFFFFFFF
KINDS = {"weight": 0, "scale": 1, "offset": 2, "mean": 3, "var": 4, "ctrl": 5, "image": 6}


def hash_uniform(n: np.ndarray, seed: int) -> np.ndarray:
    """lowbias32, an exact 32-bit integer hash of n >= 0, as numbers in (0, 1)."""
    mask = np.uint64(MASK)
    x = (n.astype(np.uint64) * np.uint64(0x9E3779B1) + np.uint64(seed & MASK)) & mask
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = ((x ^ (x >> np.uint64(shift))) * np.uint64(factor)) & mask
    x ^= x >> np.uint64(16)
    return (x.astype(np.float64) + 0.5) / 2**32


def make_seed(kind: str, h: int, w: int, i: int, o: int, p: int = 0, salt: int = 0) -> int:
    primes = (3266489917, 2654435761, 2246822519, 3266489917, 668265263, 374761393, 2869860233)
    return sum(value * prime for value, prime in zip((KINDS[kind], h, w, i, o, p, salt), primes, strict=True)) & MASK


def centred(count: int, seed: int) -> np.ndarray:
    """`count` numbers in (-1, 1)."""
    return 2 * hash_uniform(np.arange(count), seed) - 1


@cache
def conv_weight(kernel: int, inputs: int, outputs: int, p: int = 0, salt: int = 0) -> np.ndarray:
    """[kernel, kernel, inputs, outputs]; a fully connected layer has kernel 1."""
    shape = (kernel, kernel, inputs, outputs)
    values = centred(kernel * kernel * inputs * outputs, make_seed("weight", *shape, p, salt)).reshape(shape)
    return (values * np.sqrt(6.0 / (kernel * kernel * inputs))).astype(np.float32)


def depthwise_weight(kernel: int, channels: int, p: int = 0, salt: int = 0) -> np.ndarray:
    """[kernel, kernel, channels]."""
    shape = (kernel, kernel, channels)
    values = centred(kernel * kernel * channels, make_seed("weight", *shape, 1, p, salt)).reshape(shape)
    return (values * np.sqrt(6.0 / (kernel * kernel))).astype(np.float32)


def bn_params(channels: int, p: int, salt: int) -> tuple[np.ndarray, ...]:
    """Scale, offset, moving mean, moving variance, each [channels]."""
    scale, offset, mean, var = (
        0.3 * centred(channels, make_seed(kind, 1, 1, channels, 1, p, salt))
        for kind in ("scale", "offset", "mean", "var")
    )
    return tuple(values.astype(np.float32) for values in (1 + scale, offset, mean, 1 + var))


def controller_weight(rows: int, columns: int, tag: int, amplitude: float) -> np.ndarray:
    """[rows, columns], in (-amplitude, amplitude)."""
    values = centred(rows * columns, make_seed("ctrl", 1, 1, rows, columns, 0, tag)).reshape(rows, columns)
    return (values * amplitude).astype(np.float32)


def images(count: int, first: int = 0) -> np.ndarray:
    """[count, 32, 32, 3]: images number `first` and up."""
    b = np.arange(first, first + count, dtype=np.float64)[:, None, None, None]
    y, x = np.arange(32.0)[:, None, None], np.arange(32.0)[:, None]
    c = np.arange(3.0)
    smooth = np.sin(0.11 * (b + 1) * x + 0.23 * (c + 1) * y + b)
    smooth = smooth + 0.7 * np.cos(0.05 * (x - 16) * (y - 9) / (b + 1) + c * (b + 2))
    smooth = smooth + 0.6 * np.sin(2.3 * b + 1.7 * c)
    n = np.arange(first * 3072, (first + count) * 3072).reshape(count, 32, 32, 3)
    noise = 2 * hash_uniform(n, make_seed("image", 32, 32, 3, 1)) - 1
    return (smooth + 0.5 * noise).astype(np.float32)


def labels(count: int, classes: int = 10) -> np.ndarray:
    """[count]."""
    return (3 * np.arange(count) + 1) % classes
