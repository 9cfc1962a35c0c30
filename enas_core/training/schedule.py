"""What changes with time: learning rate, drop path, and the seed of every random draw.

Random draws are keyed by what they are for, not taken from a running generator: the crop of an image
in epoch 7 is the same whether the run was interrupted, resumed, or split over processes.
"""

from __future__ import annotations

import math

from enas_core.settings.training import Training


def learning_rate(training: Training, epoch: int, step: int) -> float:
    """SGDR (Loshchilov & Hutter 2017), constant within an epoch, but for the first step of a restart
    where `restart_first_step_mean` says so. `epoch` and `step` count from 0."""
    length, position = training.lr_t_0, epoch
    while position >= length:
        position -= length
        length *= training.lr_t_mul
    if position == 0 and epoch > 0 and step == 0 and training.restart_first_step_mean:
        return (training.lr_max + training.lr_min) / 2
    cosine = math.cos(math.pi * position / length)
    return training.lr_min + 0.5 * (training.lr_max - training.lr_min) * (1 + cosine)


def drop_path_strength(step: int, total_steps: int) -> float:
    """How much of the final drop probability acts at global step `step`: rises linearly to 1."""
    return min(1.0, (step + 1) / total_steps)


def drop_path_keep_prob(final: float, layer: int, total_layers: int, strength: float) -> float:
    """Keep probability in layer `layer` of `total_layers` (0-based, reduction layers included)."""
    return 1.0 - strength * (layer + 1) / total_layers * (1.0 - final)


def drop_path_keep_probs(training: Training, step: int, total_steps: int) -> list[float]:
    """Keep probability of each layer at global step `step` of `total_steps`."""
    layers, strength = training.num_layers + 2, drop_path_strength(step, total_steps)
    return [drop_path_keep_prob(training.drop_path_keep_prob, i, layers, strength) for i in range(layers)]


def steps_per_epoch(images: int, batch_size: int) -> int:
    """One pass, the last partial batch included."""
    return math.ceil(images / batch_size)
