"""Prepared images as tensors on a device.

Shapes: N images of a split, S pixels a side, C channels.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from enas_core.console import UserError
from enas_core.data.manifest import MANIFEST, Manifest, read_manifest
from enas_core.settings.training import Training

ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")


@dataclass(frozen=True)
class Split:
    """Some images with their labels."""

    images: Tensor
    """uint8 [N, S, S, C]."""
    labels: Tensor
    """int64 [N]."""
    scale: Tensor
    """[C]: a pixel value 0..255 times this, plus `shift`, is normalised."""
    shift: Tensor
    """[C]."""

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


def divided(images: Split, training: Training) -> tuple[Split, Split]:
    """The training images that a section trains on, and those that it holds out."""
    held_out = len(images) - training.valid_images
    return images.part(0, training.trained_images(len(images))), images.part(held_out, len(images))


def load_prepared(folder: Path, device: torch.device) -> Dataset:
    """Read what prepare_data wrote. Raises UserError, one line, when a file is missing or not as the
    manifest says."""
    manifest = read_manifest(folder / MANIFEST)
    try:
        arrays = {name: _read_array(folder / f"{name}.npy", manifest) for name in ARRAYS}
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}; run prepare_data") from None
    for part, count in (("train", manifest.images.train), ("test", manifest.images.test)):
        if len(arrays[f"{part}_images"]) != len(arrays[f"{part}_labels"]):
            raise UserError(f"{folder}: {part}_images.npy and {part}_labels.npy are of different length")
        if len(arrays[f"{part}_labels"]) != count:
            raise UserError(
                f"{folder}: manifest.json counts {count} {part} images, there are {len(arrays[f'{part}_labels'])}"
            )

    deviation = torch.tensor(manifest.std).clamp_min(1e-8)
    scale, shift = 1 / (255 * deviation), -torch.tensor(manifest.mean) / deviation

    def split(part: str) -> Split:
        images, labels = (torch.from_numpy(arrays[f"{part}_{what}"]).to(device) for what in ("images", "labels"))
        return Split(images, labels, scale.to(device), shift.to(device))

    return Dataset(split("train"), split("test"), manifest)


def _read_array(path: Path, manifest: Manifest) -> np.ndarray:
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != manifest.sha256.get(path.name):
        raise UserError(f"{path}: its checksum is not the one in manifest.json; run prepare_data again")
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
        kind, shape = (np.uint8, manifest.image_shape) if "images" in path.name else (np.int64, ())
        if array.dtype != kind or array.shape[1:] != shape or not len(array):
            raise ValueError(f"{array.dtype} of shape {array.shape}")
        if not shape and not 0 <= array.min() <= array.max() < len(manifest.classes):
            raise ValueError(f"labels out of range 0..{len(manifest.classes) - 1}")
    except (ValueError, EOFError) as error:
        raise UserError(f"{path}: not an array of prepare_data: {error}") from None
    return array
