"""`ablation` in config.yaml: which settings of a search matter.

The variants of the experiment that this section asks for are made in `variants.py`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from enas_core.fields import Seeds, Settings


class Ablation(Settings):
    """Searches with the two presets, with each setting of `corrected` alone on top of `original`, and with each taken
    away from `corrected`; all of them judged by the random networks of this experiment."""

    seeds: Seeds | None = None
    """Each variant is searched once for each; null: no ablation."""
    settings: Annotated[tuple[str, ...], Field(strict=False)] | None = None
    """Search settings to look at, such as `clip_norm` or `controller.op_bias_init`; null: all in which the presets
    differ."""
