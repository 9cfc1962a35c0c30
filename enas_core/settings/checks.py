"""Checks of settings against the number and the size of the images, which no single section can make."""

from __future__ import annotations

from enas_core.console import UserError
from enas_core.settings.dataset import Augmentation
from enas_core.settings.training import Training
from enas_core.spaces.space import NetworkShape, SearchSpace


def check_training(section: str, training: Training, space: SearchSpace, shape: NetworkShape, images: int) -> None:
    """Raise UserError unless `section` can train networks of `shape` on so many images."""
    if training.batch_size > images:
        raise UserError(
            f"{section}.batch_size: {training.batch_size} is out of range 2..{images} ({images} training images)"
        )
    try:
        space.check_images(shape, images, training.batch_size)
    except UserError as error:
        raise UserError(f"{section}.{error}") from None


def check_augmentation(augmentation: Augmentation, size: int) -> None:
    """Raise UserError unless images of `size` x `size` pixels can be changed so."""
    if augmentation.cutout > size:
        raise UserError(f"dataset.augmentation.cutout: {augmentation.cutout} is out of range 0..{size}")


def check_held_out(valid_images: int, images: int) -> None:
    """Raise UserError unless something is left to train the search on."""
    if valid_images >= images:
        raise UserError(
            f"search.valid_images: {valid_images} is out of range 1..{images - 1} ({images} training images)"
        )
