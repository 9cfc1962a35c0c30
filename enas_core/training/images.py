"""Prepared images on the device, checked against the settings of the stage that reads them."""

from __future__ import annotations

from pathlib import Path

import torch

from enas_core.data.fit import require_fit
from enas_core.data.prepared import Dataset, load_prepared
from enas_core.settings.stages import AugmentStage, SearchStage


def load_images(
    settings: SearchStage | AugmentStage, folder: Path, device: torch.device, on_device: str = "auto"
) -> Dataset:
    """Images in `folder` for a stage; `on_device` as in `Workflow.data_on_device`. Raises UserError, one line, when
    they are not what the settings of the stage count on."""
    data = load_prepared(folder, device, on_device)
    require_fit(settings, data.manifest, folder)
    return data
