"""What a trained network says of images of any kind: files, pictures, arrays.

Images go the way that prepare_data has taken those that the network was trained on: the same colours, size and middle.

Shapes: B images, S pixels a side, C channels, K classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from enas_core.console import UserError
from enas_core.files.pictures import Form, pixels_of, read_image, upright
from enas_core.spaces.space import NetworkShape

SomeImage = str | Path | Image.Image | NDArray[np.uint8]
"""One image: its file, or a picture of Pillow's, or pixels [H, W] or [H, W, C]. Of any size."""

SomeImages = SomeImage | Sequence[SomeImage] | Tensor
"""One image, or several: in a list, as pixels [B, H, W, C], or prepared, normalised and as a tensor [B, C, S, S]."""

BATCH = 100
"""Images that are computed at a time."""


def normalisation(mean: Sequence[float], std: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Scale and shift [C]: a pixel value 0..255 times the one, plus the other, is normalised. `mean` and `std` are of
    pixels in 0..1."""
    deviation = torch.tensor(std).clamp_min(1e-8)
    return 1 / (255 * deviation), -torch.tensor(mean) / deviation


class Predicting(nn.Module):
    """The part of a network that a loaded one makes use of."""

    shape: NetworkShape
    classes: list[str]
    """Names, in the order of the logits."""
    mean: list[float]
    """Of each channel, of pixels in 0..1."""
    std: list[float]
    resize_to: int
    """Side to which the middle square of an image is resized before the middle of that is taken, pixels."""
    experiment: str
    dataset: str
    test_accuracy: float
    provenance: dict[str, Any]
    """What made it; see `files.tables.provenance`. Empty in files that do not say it."""

    @property
    def form(self) -> Form:
        """How images are prepared for it."""
        return Form(self.shape.in_channels, self.resize_to, self.shape.image_size)

    def normalised(self, pixels: Tensor) -> Tensor:
        """What a call takes [B, C, S, S], of pixels 0..255 [B, S, S, C]."""
        scale, shift = (values.to(pixels.device) for values in normalisation(self.mean, self.std))
        return torch.addcmul(shift, pixels.to(scale.dtype), scale).permute(0, 3, 1, 2)

    def preprocess(self, images: SomeImages) -> Tensor:
        """What a call takes [B, C, S, S], of one image (B = 1) or several, on the network's device. Raises UserError,
        one line, when a file is not a readable image."""
        device = next(self.parameters()).device
        if isinstance(images, Tensor):
            if not images.is_floating_point():
                raise UserError(
                    f"a tensor of {images.dtype}: tensors are normalised already; pixels belong in an array"
                )
            return images.to(device)
        with warnings.catch_warnings(action="ignore"):
            pixels = [self._pixels(image) for image in _listed(images)]
        return self.normalised(torch.from_numpy(np.stack(pixels)).to(device))

    def predict(self, images: SomeImages) -> dict[str, float] | list[dict[str, float]]:
        """The probability of each class by its name, the likeliest first; of several images a list of that. Raises
        UserError as `preprocess` does."""
        found = self.likeliest(self.preprocess(images), len(self.classes))
        answers = [dict(classes) for classes in found]
        return answers if _are_several(images) else answers[0]

    @torch.inference_mode()
    def likeliest(self, images: Tensor, count: int) -> list[list[tuple[str, float]]]:
        """Of each of some normalised images [B, C, S, S], the `count` likeliest classes with their probabilities, the
        likeliest first."""
        training = self.training
        self.eval()
        top = [self(batch).softmax(1).topk(count) for batch in images.split(BATCH)]
        self.train(training)
        return [
            [(self.classes[label], probability) for label, probability in zip(labels, probabilities, strict=True)]
            for batch in top
            for labels, probabilities in zip(batch.indices.tolist(), batch.values.tolist(), strict=True)
        ]

    def _pixels(self, image: SomeImage) -> NDArray[np.uint8]:
        if isinstance(image, str | Path):
            return read_image(Path(image), self.form).pixels
        picture = image if isinstance(image, Image.Image) else _picture(image)
        return pixels_of(upright("the image", picture)[1], self.form)


def _are_several(images: SomeImages) -> bool:
    if isinstance(images, np.ndarray | Tensor):
        return images.ndim == 4
    return not isinstance(images, str | Path | Image.Image)


def _listed(images: SomeImage | Sequence[SomeImage]) -> list[SomeImage]:
    if isinstance(images, str | Path | Image.Image):
        return [images]
    if isinstance(images, np.ndarray) and images.ndim != 4:
        return [images]
    return list(images)


def _picture(pixels: NDArray[np.uint8]) -> Image.Image:
    """Of an array [H, W] or [H, W, C]."""
    if pixels.dtype != np.uint8:
        raise UserError(f"an array of {pixels.dtype}: pixels of type uint8 are needed")
    return Image.fromarray(pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels)
