"""Presets: what `preset` in an experiment puts on top of the defaults."""

from __future__ import annotations

from typing import Any

from enas_core.settings.merging import merged
from enas_core.spaces import space_class

PRESETS: dict[str, dict[str, Any]] = {
    "original": {},
    "corrected": {
        "search": {
            "train_aux_head": True,
            "clip_norm": 5.0,
            "restart_first_step_mean": False,
            "init_fan_in": "exact",
            "apply_drop_path": True,
            "reward_dropout": False,
            "controller": {
                "adam_epsilon_placement": "standard",
                "advantage_baseline": "previous",
            },
        },
        "augment": {
            "train_aux_head": True,
            "clip_norm": 5.0,
            "restart_first_step_mean": False,
            "init_fan_in": "exact",
            "bn_zero_debias": False,
        },
    },
}
"""What holds in every space. `original` is the defaults themselves: the authors' program as it is."""


def preset_values(preset: str, space: str) -> dict[str, Any]:
    """What a preset sets in an experiment of a space. Raises KeyError when there is no such preset."""
    return merged(PRESETS[preset], dict(space_class(space).presets[preset]))
