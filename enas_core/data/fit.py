"""Whether a stage can train on prepared images: what no one knows before the images are there. Needs no torch.

The workflow asks once, before any training (`python -m enas_core.config --check-images`), and each stage again.
"""

from __future__ import annotations

from pathlib import Path

from enas_core.console import UserError
from enas_core.data.manifest import Manifest
from enas_core.settings.checks import check_augmentation, check_training
from enas_core.settings.select import SizeLimit
from enas_core.settings.stages import AugmentStage, LimitedStage, SearchStage
from enas_core.settings.training import Training
from enas_core.spaces.limits import ArcLimits
from enas_core.spaces.space import NetworkShape


def shape_for(training: Training | SizeLimit, manifest: Manifest) -> NetworkShape:
    """Of the networks that a section trains on these images."""
    return training.shape(manifest.image_size, manifest.in_channels, manifest.num_classes)


def limits_for(settings: LimitedStage, manifest: Manifest) -> ArcLimits | None:
    """Which arcs a stage may draw, where the size of the networks that are trained on these images is limited."""
    limit = settings.size_limit
    if limit is None:
        return None
    return ArcLimits(settings.search_space, shape_for(limit, manifest), limit.max_params, limit.max_macs)


def require_fit(settings: SearchStage | AugmentStage, manifest: Manifest, folder: Path) -> None:
    """Raise UserError, one line that names `folder`, unless a stage can train on the images in it."""
    if manifest.dataset != settings.dataset:
        raise UserError(f"{folder}: holds {manifest.dataset!r}, the settings are for {settings.dataset!r}")
    section, training = _trained_section(settings)
    try:
        shape = shape_for(training, manifest)
        check_training(section, training, settings.search_space, shape, manifest.images.train)
        _check_held_out(section, training, manifest.images.valid)
        check_augmentation(settings.augmentation, manifest.image_size, manifest.in_channels)
    except UserError as error:
        raise UserError(f"{folder} does not fit the settings: {error}") from None


def _check_held_out(section: str, training: Training, own_part: int) -> None:
    """Raise UserError where the source has a part of its own to be held out, and another number of images is."""
    allowed = [own_part] if section == "search" else [own_part, 0]
    if own_part and training.valid_images not in allowed:
        raise UserError(
            f"{section}.valid_images: {training.valid_images}, and the part valid has {own_part} images;"
            f" allowed: {' or '.join(map(str, allowed))}"
        )


def _trained_section(settings: SearchStage | AugmentStage) -> tuple[str, Training]:
    if isinstance(settings, SearchStage):
        return "search", settings.search
    return "augment", settings.augment
