"""Batches of prepared images: augmentation as a few operations on a whole batch.

An epoch's random draws (order, crops, flips, colours, cutouts) are made at once from a seed, so a batch depends on
nothing but its position in the epoch.

Shapes: N images of a split, B images in a batch, S pixels a side of what networks see, C channels.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from enas_core.data.colours import changed_colours
from enas_core.data.prepared import Rows, Split
from enas_core.settings.dataset import Augmentation


class EpochPlan(NamedTuple):
    """An epoch's draws, by position in the epoch: image, crop offset, flip, centre of the cutout, and where they are
    asked for the rectangle of the resized crop and the changes of colour."""

    order: Tensor
    crop: Tensor
    flip: Tensor
    cutout: Tensor
    rectangle: Tensor | None = None
    """[N, 4]: top, left, height and width, as fractions of the stored image's side."""
    colours: Tensor | None = None
    """[N, 4]: factors of brightness, contrast and saturation, and what is added to the hue."""

    def part(self, start: int, stop: int) -> EpochPlan:
        """The draws of positions start..stop-1, for a split that holds just their images, in this order."""
        span = slice(start, stop)
        return EpochPlan(
            torch.arange(stop - start, device=self.order.device),
            self.crop[span],
            self.flip[span],
            self.cutout[span],
            None if self.rectangle is None else self.rectangle[span],
            None if self.colours is None else self.colours[span],
        )

    def to(self, device: torch.device) -> EpochPlan:
        """The same draws on another device."""
        rectangle = None if self.rectangle is None else self.rectangle.to(device)
        colours = None if self.colours is None else self.colours.to(device)
        return EpochPlan(
            self.order.to(device),
            self.crop.to(device),
            self.flip.to(device),
            self.cutout.to(device),
            rectangle,
            colours,
        )


def plan_epoch(split: Split, augmentation: Augmentation, seed: int) -> EpochPlan:
    """Draws of one epoch from its own `seed`, made on the CPU so that they are the same for every device. What is not
    asked for draws nothing."""
    count, size = len(split), split.size
    generator = torch.Generator().manual_seed(seed)
    plan = EpochPlan(
        torch.randperm(count, generator=generator),
        torch.randint(2 * augmentation.crop_padding + 1, (count, 2), generator=generator),
        torch.rand(count, generator=generator) < 0.5,
        torch.randint(size, (count, 2), generator=generator),
        _rectangles(count, augmentation.random_resized_crop, generator),
        _colours(count, augmentation, generator),
    )
    return plan.to(split.labels.device)


def _rectangles(count: int, least: float | None, generator: torch.Generator) -> Tensor | None:
    """Rectangles [N, 4] whose area is uniform from `least` to 1 and whose ratio of sides is 3/4 to 4/3, uniform in its
    logarithm; cut where a side would be longer than the image's."""
    if least is None:
        return None
    area, ratio, top, left = torch.rand(count, 4, generator=generator).T
    area = least + (1 - least) * area
    root = torch.exp((2 * ratio - 1) * math.log(4 / 3) / 2)
    height = (area.sqrt() / root).clamp(max=1)
    width = (area.sqrt() * root).clamp(max=1)
    return torch.stack([top * (1 - height), left * (1 - width), height, width], 1)


def _colours(count: int, augmentation: Augmentation, generator: torch.Generator) -> Tensor | None:
    ranges = (augmentation.brightness, augmentation.contrast, augmentation.saturation, augmentation.hue)
    if not any(ranges):
        return None
    changes = (2 * torch.rand(count, 4, generator=generator) - 1) * torch.tensor(ranges)
    return changes + torch.tensor([1.0, 1.0, 1.0, 0.0])


def training_batches(
    split: Split, plan: EpochPlan, augmentation: Augmentation, spans: Iterable[tuple[int, int]]
) -> Iterator[tuple[Tensor, Tensor]]:
    """`training_batch` of each of `spans`, which are positions start..stop-1 of the epoch. Where images are streamed,
    those of the next spans are fetched meanwhile."""
    if not split.streamed:
        for start, stop in spans:
            yield training_batch(split, plan, augmentation, start, stop)
        return
    order = plan.order.cpu()
    spans, again = itertools.tee(spans)
    rows = (order[start:stop] for start, stop in again)
    for images, (start, stop) in zip(split.batches(rows), spans, strict=True):
        yield training_batch(images, plan.part(start, stop), augmentation, 0, stop - start)


def training_batch(
    split: Split, plan: EpochPlan, augmentation: Augmentation, start: int, stop: int
) -> tuple[Tensor, Tensor]:
    """Normalised, randomly changed images [batch, channels, size, size] (channels last in memory) and labels of
    positions start..stop-1 of the epoch. What lies outside the image, and the cutout, is 0."""
    rows = plan.order[start:stop]
    size = split.size
    pixel = torch.arange(size, device=rows.device)
    if plan.rectangle is None:
        images, outside = _padded_crops(split, plan, augmentation, start, stop)
    else:
        images, outside = _resized_crops(split, plan, augmentation, start, stop), None
    if plan.colours is not None:
        images = changed_colours(images, plan.colours[start:stop], augmentation.hue > 0)
    if augmentation.cutout:
        square = _cutout(pixel, plan.cutout[start:stop], augmentation.cutout)
        outside = square if outside is None else outside | square
    images = torch.addcmul(split.shift, images, split.scale)
    if outside is not None:
        images = images.masked_fill_(outside[..., None], 0)
    return images.permute(0, 3, 1, 2), split.labels[rows]


def _padded_crops(
    split: Split, plan: EpochPlan, augmentation: Augmentation, start: int, stop: int
) -> tuple[Tensor, Tensor]:
    """Pixels [B, S, S, C] of squares near the middle, and where they lie outside the stored image [B, S, S]."""
    rows = plan.order[start:stop]
    size, stored = split.size, split.images.shape[1]
    pixel = torch.arange(size, device=rows.device)
    first = split.margin - augmentation.crop_padding
    ys = pixel + plan.crop[start:stop, :1] + first
    xs = pixel.expand(len(rows), size)
    if augmentation.flip:
        xs = torch.where(plan.flip[start:stop, None], size - 1 - xs, xs)
    xs = xs + plan.crop[start:stop, 1:] + first
    lines = rows[:, None] * stored + ys.clamp(0, stored - 1)
    pixels = lines[:, :, None] * stored + xs.clamp(0, stored - 1)[:, None, :]
    images = split.images.flatten(0, 2).index_select(0, pixels.flatten()).view(*pixels.shape, split.images.shape[3])
    outside = ((ys < 0) | (ys >= stored))[:, :, None] | ((xs < 0) | (xs >= stored))[:, None, :]
    return images, outside


def _resized_crops(split: Split, plan: EpochPlan, augmentation: Augmentation, start: int, stop: int) -> Tensor:
    """Pixels [B, S, S, C] of the plan's rectangles, interpolated bilinearly."""
    assert plan.rectangle is not None
    rows, size = plan.order[start:stop], split.size
    top, left, height, width = plan.rectangle[start:stop, :, None].unbind(1)
    middle = (torch.arange(size, device=rows.device) + 0.5) / size
    ys = (2 * (top + height * middle) - 1)[:, :, None].expand(-1, -1, size)
    across = middle.expand(len(rows), size)
    if augmentation.flip:
        across = torch.where(plan.flip[start:stop, None], across.flip(1), across)
    xs = (2 * (left + width * across) - 1)[:, None, :].expand(-1, size, -1)
    images = split.images[rows].permute(0, 3, 1, 2).to(xs.dtype)
    found = F.grid_sample(images, torch.stack([xs, ys], 3), padding_mode="border", align_corners=False)
    return found.permute(0, 2, 3, 1).contiguous()


def _cutout(pixel: Tensor, centre: Tensor, side: int) -> Tensor:
    """Mask [batch, size, size] of squares around `centre`, cut at the border (DeVries & Taylor 2017)."""
    offset = pixel - centre[:, :, None] + side // 2
    hit = (offset >= 0) & (offset < side)
    return hit[:, 0, :, None] & hit[:, 1, None, :]


def plain_batches(split: Split, batches: Iterable[Rows]) -> Iterator[tuple[Tensor, Tensor]]:
    """`plain_batch` of each of `batches`; streamed images are fetched ahead."""
    return (_plain(images) for images in split.batches(batches))


def plain_batch(split: Split, rows: Rows) -> tuple[Tensor, Tensor]:
    """Normalised images [batch, channels, size, size] (channels last in memory) and labels, not changed. Of images
    that are stored larger, the middle."""
    return next(plain_batches(split, [rows]))


def _plain(split: Split) -> tuple[Tensor, Tensor]:
    middle = slice(split.margin, split.margin + split.size)
    images = torch.addcmul(split.shift, split.images[:, middle, middle], split.scale)
    return images.permute(0, 3, 1, 2), split.labels


def equal_batches(count: int, batch_size: int) -> list[slice]:
    """0..count-1 in the fewest batches of at most `batch_size`, whose sizes differ by at most one."""
    edges = np.linspace(0, count, -(-count // batch_size) + 1).round().astype(int).tolist()
    return [slice(a, b) for a, b in itertools.pairwise(edges)]
