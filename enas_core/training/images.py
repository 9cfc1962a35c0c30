"""Prepared images on the device, checked against the settings of the stage that reads them."""

from __future__ import annotations

from pathlib import Path

import torch

from enas_core.console import UserError
from enas_core.data.prepared import Dataset, load_prepared
from enas_core.settings.checks import check_augmentation, check_held_out, check_training
from enas_core.settings.stages import AugmentStage, SearchStage


def load_images(settings: SearchStage | AugmentStage, folder: Path, device: torch.device) -> Dataset:
    """Images in `folder` for a stage. Raises UserError, one line, when they are not what its settings count on."""
    data = load_prepared(folder, device)
    check_images(settings, data, folder)
    return data


def check_images(settings: SearchStage | AugmentStage, data: Dataset, folder: Path) -> None:
    """Raise UserError, one line that names `folder`, when a stage cannot train on these images."""
    if data.manifest.dataset != settings.dataset:
        raise UserError(f"{folder}: holds {data.manifest.dataset!r}, the settings are for {settings.dataset!r}")
    images = len(data.train)
    try:
        if isinstance(settings, SearchStage):
            section, training = "search", settings.search
            check_held_out(settings.search.valid_images, images)
            images -= settings.search.valid_images
        else:
            section, training = "augment", settings.augment
        shape = training.shape(data.image_size, data.in_channels, data.num_classes)
        check_training(section, training, settings.search_space, shape, images)
        check_augmentation(settings.augmentation, data.image_size)
    except UserError as error:
        raise UserError(f"{folder} does not fit the settings: {error}") from None
