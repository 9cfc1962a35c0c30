"""Settings: the one source of names, defaults, bounds and units.

`config.yaml` holds experiments on top of the defaults below. Values are taken, in this order of
precedence, from the experiment itself, from the experiment that it `extends`, from its preset,
and from the defaults, which are those of the original program (preset `original`).

Each stage sees only the settings that it depends on (`stage_settings`), so that editing one
section re-runs only the stages that read it.
"""

from __future__ import annotations

import json

from pydantic import BaseModel

from enas_core.fields import Settings
from enas_core.settings.experiment import Transfer


def describe(settings: Settings, prefix: str = "") -> list[str]:
    """Lines `key = value  # meaning` for every setting below `prefix`."""
    lines = []
    for name, field in type(settings).model_fields.items():
        value, key = getattr(settings, name), f"{prefix}{field.alias or name}"
        if isinstance(value, Settings):
            lines += ["", *describe(value, f"{key}.")]
            continue
        if isinstance(value, dict):
            value = {k: v.source if isinstance(v, Transfer) else v for k, v in value.items()}
        meaning = " ".join((field.description or _inherited_description(type(settings), name)).split())
        lines.append(f"{key} = {json.dumps(value)}  # {meaning}")
    return lines


def _inherited_description(model: type[Settings], name: str) -> str:
    """A field's docstring, from the first base that has one."""
    bases = (base for base in model.__mro__ if issubclass(base, BaseModel) and name in base.model_fields)
    return next(
        (base.model_fields[name].description or "" for base in bases if base.model_fields[name].description), ""
    )
