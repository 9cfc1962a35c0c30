"""What changes with time: learning rate and drop path."""

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


def drop_path_keep_prob(final: float, layer: int, depth: int, strength: float) -> float:
    """Keep probability in layer `layer`, counted from 0, of `depth` layers."""
    return 1.0 - strength * (layer + 1) / depth * (1.0 - final)


def drop_path_keep_probs(final: float, depth: int, step: int, total_steps: int) -> list[float]:
    """Keep probability of each of `depth` layers at global step `step` of `total_steps`."""
    strength = drop_path_strength(step, total_steps)
    return [drop_path_keep_prob(final, layer, depth, strength) for layer in range(depth)]


def steps_per_epoch(images: int, batch_size: int) -> int:
    """One pass, the last partial batch included."""
    return math.ceil(images / batch_size)
