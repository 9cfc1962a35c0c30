"""Prepared images on the device, and batches of them: augmentation as a few operations on a whole batch.

All images of a split stay on the device as uint8. An epoch's random draws (order, crops, flips, cutouts)
are made at once from the seed and the epoch, so a batch depends on nothing but its position.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from torch import Tensor

from enas_core.console import UserError
from enas_core.fields import Count, Float
from enas_core.settings.dataset import DatasetName


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
            raise UserError(f"image_shape: {height}x{width} is not square")
        if not len(self.mean) == len(self.std) == channels:
            raise UserError(f"mean, std: need one value for each of {channels} channels")
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


def load_prepared(folder: Path, device: torch.device) -> Dataset:
    """Read what prepare_data wrote. Raises UserError, one line, when a file is missing or not as the
    manifest says."""
    path = folder / "manifest.json"
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
        arrays = {name: _read_array(folder / f"{name}.npy", manifest) for name in ARRAYS}
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}; run prepare_data") from None
    except ValidationError as error:
        first = error.errors()[0]
        key, message = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
        problem = f"{key}: {message}" if key else message
        raise UserError(f"{path}: not a manifest of this version's prepare_data: {problem}") from None
    for part in ("train", "test"):
        if len(arrays[f"{part}_images"]) != len(arrays[f"{part}_labels"]):
            raise UserError(f"{folder}: {part}_images.npy and {part}_labels.npy are of different length")
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
        raise UserError(f"{path}: its checksum is not the one in manifest.json; run prepare_data again")
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
        kind, shape = (np.uint8, manifest.image_shape) if "images" in path.name else (np.int64, ())
        if array.dtype != kind or array.shape[1:] != shape or not len(array):
            raise UserError(f"{array.dtype} of shape {array.shape}")
        if not shape and not 0 <= array.min() <= array.max() < len(manifest.classes):
            raise UserError(f"labels out of range 0..{len(manifest.classes) - 1}")
    except (ValueError, EOFError) as error:
        raise UserError(f"{path}: not an array of prepare_data: {error}") from None
    return array
