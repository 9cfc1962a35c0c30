"""Batches of prepared images: augmentation as a few operations on a whole batch.

An epoch's random draws (order, crops, flips, cutouts) are made at once from a seed, so a batch depends on nothing but
its position in the epoch.

Shapes: N images of a split, B images in a batch, S pixels a side, C channels.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from enas_core.data.prepared import Split
from enas_core.settings.dataset import Augmentation


class EpochPlan(NamedTuple):
    """An epoch's draws, by position in the epoch: image, crop offset, flip, centre of the cutout."""

    order: Tensor
    crop: Tensor
    flip: Tensor
    cutout: Tensor


def plan_epoch(split: Split, augmentation: Augmentation, seed: int) -> EpochPlan:
    """Draws of one epoch from its own `seed`, made on the CPU so that they are the same for every device."""
    count, size = len(split), split.images.shape[1]
    generator = torch.Generator().manual_seed(seed)
    draws = EpochPlan(
        torch.randperm(count, generator=generator),
        torch.randint(2 * augmentation.crop_padding + 1, (count, 2), generator=generator),
        torch.rand(count, generator=generator) < 0.5,
        torch.randint(size, (count, 2), generator=generator),
    )
    return EpochPlan(*(draw.to(split.images.device) for draw in draws))


def training_batch(
    split: Split, plan: EpochPlan, augmentation: Augmentation, start: int, stop: int
) -> tuple[Tensor, Tensor]:
    """Normalised, augmented images [batch, channels, size, size] (channels last in memory) and labels of
    positions start..stop-1 of the epoch. What lies outside the image, and the cutout, is 0."""
    rows = plan.order[start:stop]
    size = split.images.shape[1]
    pixel = torch.arange(size, device=rows.device)
    ys = pixel + plan.crop[start:stop, :1] - augmentation.crop_padding
    xs = pixel.expand(len(rows), size)
    if augmentation.flip:
        xs = torch.where(plan.flip[start:stop, None], size - 1 - xs, xs)
    xs = xs + plan.crop[start:stop, 1:] - augmentation.crop_padding
    lines = rows[:, None] * size + ys.clamp(0, size - 1)
    pixels = lines[:, :, None] * size + xs.clamp(0, size - 1)[:, None, :]
    images = split.images.flatten(0, 2).index_select(0, pixels.flatten()).view(*pixels.shape, -1)
    outside = ((ys < 0) | (ys >= size))[:, :, None] | ((xs < 0) | (xs >= size))[:, None, :]
    if augmentation.cutout:
        outside |= _cutout(pixel, plan.cutout[start:stop], augmentation.cutout)
    images = torch.addcmul(split.shift, images, split.scale).masked_fill_(outside[..., None], 0)
    return images.permute(0, 3, 1, 2), split.labels[rows]


def _cutout(pixel: Tensor, centre: Tensor, side: int) -> Tensor:
    """Mask [batch, size, size] of squares around `centre`, cut at the border (DeVries & Taylor 2017)."""
    offset = pixel - centre[:, :, None] + side // 2
    hit = (offset >= 0) & (offset < side)
    return hit[:, 0, :, None] & hit[:, 1, None, :]


def plain_batch(split: Split, rows: Tensor | slice) -> tuple[Tensor, Tensor]:
    """Normalised images [batch, channels, size, size] (channels last in memory) and labels, not augmented."""
    images = torch.addcmul(split.shift, split.images[rows], split.scale)
    return images.permute(0, 3, 1, 2), split.labels[rows]


def equal_batches(count: int, batch_size: int) -> list[slice]:
    """0..count-1 in the fewest batches of at most `batch_size`, whose sizes differ by at most one."""
    edges = np.linspace(0, count, -(-count // batch_size) + 1).round().astype(int).tolist()
    return [slice(a, b) for a, b in itertools.pairwise(edges)]
