"""Every setting with its value and its meaning, for `python -m enas_core.config` and for the report."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from pydantic import BaseModel

from enas_core.fields import Settings
from enas_core.settings.experiment import Experiment, Transfer


class Described(NamedTuple):
    """One setting."""

    key: str
    """With the sections that it is in: `search.controller.learning_rate`."""
    value: str
    """As JSON."""
    meaning: str


def describe(settings: Settings, prefix: str = "") -> list[Described]:
    """All settings below `prefix`, in the order in which their models declare them."""
    rows = []
    for name, field in type(settings).model_fields.items():
        key, value = f"{prefix}{field.alias or name}", getattr(settings, name)
        if isinstance(value, Settings):
            rows += describe(value, f"{key}.")
        else:
            rows.append(Described(key, json.dumps(_plain(value)), _meaning(type(settings), name)))
    return rows


def _plain(value: Any) -> Any:
    """A value that JSON can write: a transferred arc is shown as the name of the experiment that it comes from."""
    if not isinstance(value, dict):
        return value
    return {key: item.source if isinstance(item, Transfer) else item for key, item in value.items()}


def _meaning(model: type[Settings], name: str) -> str:
    """A field's docstring: its own, or the first that a base has, or that of an experiment's field of the same name,
    of which a stage's field is a copy."""
    for owner in (*model.__mro__, Experiment):
        field = owner.model_fields.get(name) if issubclass(owner, BaseModel) else None
        if field is not None and field.description:
            return " ".join(field.description.split())
    return ""
