"""Settings: the one source of names, defaults, bounds and units.

`config.yaml` holds experiments on top of the defaults below. Values are taken, in this order of
precedence, from the experiment itself, from the experiment that it `extends`, from its preset,
and from the defaults, which are those of the original program (preset `original`).

Each stage sees only the settings that it depends on (`stage_settings`), so that editing one
section re-runs only the stages that read it.
"""

from __future__ import annotations

from typing import Any

from enas_core.spaces.micro.arc import OPS

PRESETS: dict[str, dict[str, Any]] = {
    "original": {},
    "corrected": {
        "search": {
            "train_aux_head": True,
            "clip_norm": 5.0,
            "restart_first_step_mean": False,
            "init_fan_in": "exact",
            "apply_drop_path": True,
            "reduction_inputs": "both",
            "reward_dropout": False,
            "controller": {
                "op_bias_init": [0.0] * len(OPS),
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
"""What a preset puts on top of the defaults. `original` is the defaults themselves."""
