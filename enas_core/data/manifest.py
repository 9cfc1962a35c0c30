"""The manifest: what prepare_data says of the arrays that it has written beside it. Readable without torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from enas_core.console import UserError
from enas_core.fields import Count, Float
from enas_core.files.reading import read_bytes
from enas_core.settings.dataset import DatasetName

MANIFEST = "manifest.json"

MOST_BYTES = 2**26
"""It may list a million images that could not be read."""


class Counts(BaseModel):
    """Images of each part."""

    model_config = ConfigDict(frozen=True, strict=True)

    train: Count
    test: Count
    valid: Annotated[int, Field(ge=0)] = 0
    """The last so many of the training images are there to be held out: those of the source's own part for it."""


class Manifest(BaseModel):
    """What prepare_data says of the arrays beside it."""

    model_config = ConfigDict(frozen=True, strict=True)

    format: Literal[1]
    dataset: DatasetName
    classes: Annotated[list[str], Field(min_length=2)]
    """Names, in the order of the labels."""
    image_shape: Annotated[tuple[Count, Count, Count], Field(strict=False)]
    """Height, width, channels."""
    stored_size: Count | None = None
    """Side of the training images as they are stored, where that is more than their height; null: the same."""
    images: Counts
    mean: list[Float]
    """Of each channel, of pixels in 0..1."""
    std: list[Annotated[Float, Field(gt=0)]]
    """Of each channel, of pixels in 0..1."""
    sha256: dict[str, str]
    """Of each array file."""

    @model_validator(mode="after")
    def _check_shape(self) -> Manifest:
        height, width, channels = self.image_shape
        if height != width:
            raise ValueError(f"image_shape: {height}x{width} is not square")
        if not len(self.mean) == len(self.std) == channels:
            raise ValueError(f"mean, std: need one value for each of {channels} channels")
        if self.images.valid > self.images.train:
            raise ValueError(f"images.valid: {self.images.valid} of {self.images.train} training images")
        if self.stored_size is not None and self.stored_size < height:
            raise ValueError(f"stored_size: {self.stored_size} is below the height {height}")
        return self

    @property
    def image_size(self) -> int:
        """Side of an image, pixels."""
        return self.image_shape[0]

    def stored_shape(self, part: str) -> tuple[int, int, int]:
        """Of an image in the array file of the part `train` or `test`."""
        side = self.stored_size if part == "train" and self.stored_size is not None else self.image_size
        return (side, side, self.in_channels)

    @property
    def in_channels(self) -> int:
        """1 grey, 3 colour."""
        return self.image_shape[2]

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)

    @property
    def fingerprint(self) -> str:
        """Identifies the images and labels."""
        return json.dumps(self.sha256, sort_keys=True)


def read_manifest(path: Path) -> Manifest:
    """The content of a `manifest.json`. Raises UserError, one line, when it is not one."""
    try:
        return Manifest.model_validate_json(read_bytes(path, MOST_BYTES))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; run prepare_data") from None
    except ValidationError as error:
        first = error.errors()[0]
        key, message = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
        problem = f"{key}: {message}" if key else message
        raise UserError(f"{path}: not a manifest of this version's prepare_data: {problem}") from None
