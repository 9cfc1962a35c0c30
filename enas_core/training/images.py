"""Prepared images on the device, checked against the settings of the stage that reads them."""

from __future__ import annotations

from pathlib import Path

import torch

from enas_core.console import UserError
from enas_core.data.prepared import Dataset, load_prepared
from enas_core.settings.checks import check_augmentation, check_held_out, check_training
from enas_core.settings.stages import AugmentStage, SearchStage
from enas_core.settings.training import Training
from enas_core.spaces.space import NetworkShape


def load_images(settings: SearchStage | AugmentStage, folder: Path, device: torch.device) -> Dataset:
    """Images in `folder` for a stage. Raises UserError, one line, when they are not what its settings count on."""
    data = load_prepared(folder, device)
    check_images(settings, data, folder)
    return data


def shape_for(training: Training, data: Dataset) -> NetworkShape:
    """Of the networks that a section trains on these images."""
    facts = data.manifest
    return training.shape(facts.image_size, facts.in_channels, facts.num_classes)


def check_images(settings: SearchStage | AugmentStage, data: Dataset, folder: Path) -> None:
    """Raise UserError, one line that names `folder`, when a stage cannot train on these images."""
    if data.manifest.dataset != settings.dataset:
        raise UserError(f"{folder}: holds {data.manifest.dataset!r}, the settings are for {settings.dataset!r}")
    section = "search" if isinstance(settings, SearchStage) else "augment"
    training: Training = settings.search if isinstance(settings, SearchStage) else settings.augment
    images = len(data.train)
    try:
        if isinstance(settings, SearchStage):
            check_held_out(settings.search.valid_images, images)
            images -= settings.search.valid_images
        check_training(section, training, settings.search_space, shape_for(training, data), images)
        check_augmentation(settings.augmentation, data.manifest.image_size)
    except UserError as error:
        raise UserError(f"{folder} does not fit the settings: {error}") from None
