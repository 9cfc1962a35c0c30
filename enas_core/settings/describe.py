"""Every setting with its value and its meaning, for people: a terminal, a report."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from pydantic_core import to_jsonable_python

from enas_core.fields import Settings
from enas_core.settings.arcs import Transfer


class Described(NamedTuple):
    """One setting."""

    key: str
    """With the sections that it is in: `search.controller.learning_rate`."""
    value: str
    """As JSON."""
    meaning: str


def describe(settings: Settings, prefix: str = "") -> list[Described]:
    """All settings below `prefix`: first those that stand there themselves, then section by section."""
    rows: list[Described] = []
    sections: list[Described] = []
    for name, field in type(settings).model_fields.items():
        key = f"{prefix}{field.alias or name}"
        value = getattr(settings, name)
        if isinstance(value, Settings):
            sections += describe(value, f"{key}.")
        else:
            rows.append(
                Described(
                    key, json.dumps(to_jsonable_python(_plain(value))), " ".join((field.description or "").split())
                )
            )
    return rows + sections


def _plain(value: Any) -> Any:
    """A value that JSON can write: a transferred arc is shown as the name of the experiment that it comes from."""
    if isinstance(value, dict):
        return {name: arc.source if isinstance(arc, Transfer) else arc for name, arc in value.items()}
    return value


def as_lines(rows: list[Described]) -> list[str]:
    """Lines `key = value  # meaning`, with an empty one before each section."""
    lines = []
    section = ""
    for row in rows:
        this_section = row.key.rpartition(".")[0]
        if this_section != section:
            lines.append("")
            section = this_section
        lines.append(f"{row.key} = {row.value}  # {row.meaning}")
    return lines
