"""Prepared images on the device, and batches of them: augmentation as a few operations on a whole batch.

All images of a split stay on the device as uint8. An epoch's random draws (order, crops, flips, cutouts)
are made at once from the seed and the epoch, so a batch depends on nothing but its position.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from torch import Tensor

from enas_core.config import Augmentation, Count, DatasetName, Float
from enas_core.schedule import stream_seed


class Manifest(BaseModel):
    """What prepare_data says of the arrays beside it. `image_shape`: size, size, channels; `mean`, `std`: of each
    channel, of pixels in 0..1; `sha256`: of each array file."""

    model_config = ConfigDict(frozen=True, strict=True)

    format: Literal[1]
    dataset: DatasetName
    classes: Annotated[list[str], Field(min_length=2)]
    image_shape: Annotated[tuple[Count, Count, Count], Field(strict=False)]
    mean: list[Float]
    std: list[Float]
    sha256: dict[str, str]

    @model_validator(mode="after")
    def _check_shape(self) -> Manifest:
        height, width, channels = self.image_shape
        if height != width:
            raise ValueError(f"image_shape: {height}x{width} is not square")
        if not len(self.mean) == len(self.std) == channels:
            raise ValueError(f"mean, std: need one value for each of {channels} channels")
        return self


@dataclass(frozen=True)
class Split:
    """`images` uint8 [n, size, size, channels]; `labels` int64 [n]; `scale`, `shift` [channels] normalise a
    pixel value 0..255."""

    images: Tensor
    labels: Tensor
    scale: Tensor
    shift: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, start: int, stop: int) -> Split:
        """Images start..stop-1."""
        return replace(self, images=self.images[start:stop], labels=self.labels[start:stop])


class Dataset(NamedTuple):
    """A prepared dataset."""

    train: Split
    test: Split
    manifest: Manifest

    @property
    def image_size(self) -> int:
        """Side of an image, pixels."""
        return self.manifest.image_shape[0]

    @property
    def in_channels(self) -> int:
        """1 grey, 3 colour."""
        return self.manifest.image_shape[2]

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.manifest.classes)

    @property
    def fingerprint(self) -> str:
        """Identifies the images and labels."""
        return json.dumps(self.manifest.sha256, sort_keys=True)


def load(folder: Path, device: torch.device) -> Dataset:
    """Read what prepare_data wrote. Raises ValueError, one line, when a file is missing or not as the
    manifest says."""
    path = folder / "manifest.json"
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
        arrays = {name: _read_array(folder / f"{name}.npy", manifest) for name in ARRAYS}
    except OSError as error:
        raise ValueError(f"{error.filename}: {error.strerror}; run prepare_data") from None
    except ValidationError as error:
        first = error.errors()[0]
        key, message = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
        problem = f"{key}: {message}" if key else message
        raise ValueError(f"{path}: not a manifest of this version's prepare_data: {problem}") from None
    for part in ("train", "test"):
        if len(arrays[f"{part}_images"]) != len(arrays[f"{part}_labels"]):
            raise ValueError(f"{folder}: {part}_images.npy and {part}_labels.npy are of different length")
    deviation = torch.tensor(manifest.std).clamp_min(1e-8)
    scale, shift = 1 / (255 * deviation), -torch.tensor(manifest.mean) / deviation
    train, test = (
        Split(
            *(torch.from_numpy(arrays[f"{part}_{what}"]).to(device) for what in ("images", "labels")),
            scale.to(device),
            shift.to(device),
        )
        for part in ("train", "test")
    )
    return Dataset(train, test, manifest)


ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")


def _read_array(path: Path, manifest: Manifest) -> np.ndarray:
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != manifest.sha256.get(path.name):
        raise ValueError(f"{path}: its checksum is not the one in manifest.json; run prepare_data again")
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
        kind, shape = (np.uint8, manifest.image_shape) if "images" in path.name else (np.int64, ())
        if array.dtype != kind or array.shape[1:] != shape or not len(array):
            raise ValueError(f"{array.dtype} of shape {array.shape}")
        if not shape and not 0 <= array.min() <= array.max() < len(manifest.classes):
            raise ValueError(f"labels out of range 0..{len(manifest.classes) - 1}")
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path}: not an array of prepare_data: {error}") from None
    return array


class EpochPlan(NamedTuple):
    """An epoch's draws, by position in the epoch: image, crop offset, flip, centre of the cutout."""

    order: Tensor
    crop: Tensor
    flip: Tensor
    cutout: Tensor


def plan_epoch(split: Split, augmentation: Augmentation, seed: int, epoch: int) -> EpochPlan:
    """Draws of one epoch, made on the CPU so that they are the same for every device."""
    count, size = len(split), split.images.shape[1]
    generator = torch.Generator().manual_seed(stream_seed(seed, "images", epoch))
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
