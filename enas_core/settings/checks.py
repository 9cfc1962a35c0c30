"""Checks of settings against the number and the size of the images, which no single section can make."""

from __future__ import annotations

from enas_core.console import UserError
from enas_core.settings.dataset import Augmentation
from enas_core.settings.training import Training
from enas_core.spaces.space import NetworkShape, SearchSpace


def check_training(section: str, training: Training, space: SearchSpace, shape: NetworkShape, images: int) -> None:
    """Raise UserError unless `section` can train networks of `shape` on a dataset of so many training images."""
    _check_parts(section, training, images)
    count = training.trained_images(images)
    if training.batch_size > count:
        raise UserError(
            f"{section}.batch_size: {training.batch_size} is out of range 2..{count} ({count} training images)"
        )
    try:
        space.check_images(shape, count, training.batch_size)
    except UserError as error:
        raise UserError(f"{section}.{error}") from None


def _check_parts(section: str, training: Training, images: int) -> None:
    """Raise UserError unless something is left to train on, and as much as is asked for."""
    held_out, wanted = training.valid_images, training.max_train_images
    if held_out >= images:
        least = 1 if section == "search" else 0
        raise UserError(
            f"{section}.valid_images: {held_out} is out of range {least}..{images - 1} ({images} training images)"
        )
    rest = images - held_out
    if wanted is not None and wanted > rest:
        raise UserError(
            f"{section}.max_train_images: {wanted} is out of range 1..{rest} ({images} training images,"
            f" {held_out} held out)"
        )


def check_augmentation(augmentation: Augmentation, size: int, channels: int) -> None:
    """Raise UserError unless images of `size` x `size` pixels and so many channels can be changed so."""
    if augmentation.cutout > size:
        raise UserError(f"dataset.augmentation.cutout: {augmentation.cutout} is out of range 0..{size}")
    for key in ("saturation", "hue"):
        if channels == 1 and getattr(augmentation, key):
            raise UserError(f"dataset.augmentation.{key}: grey images have none; allowed: 0")
