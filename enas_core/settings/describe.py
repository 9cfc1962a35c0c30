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
    default: str | None
    """As JSON; None: there is none, it must be given."""

    @property
    def changed(self) -> bool:
        """Whether it is anything else than the default."""
        return self.value != self.default


def describe(settings: Settings) -> list[Described]:
    """All settings: first those that stand at the top, then section by section."""
    return _below("", settings, settings.model_dump(by_alias=True))


def _below(prefix: str, settings: Settings, written: dict[str, Any]) -> list[Described]:
    """The settings of the section whose keys begin with `prefix`, as far as they are `written` into a stage's file: a
    space's settings on which the stage does not depend are not."""
    rows: list[Described] = []
    sections: list[Described] = []
    for name, field in type(settings).model_fields.items():
        key = field.alias or name
        value = getattr(settings, name)
        if key not in written:
            continue
        if isinstance(value, Settings):
            sections += _below(f"{prefix}{key}.", value, written[key])
        else:
            meaning = " ".join((field.description or "").split())
            default = None if field.is_required() else _as_json(field.get_default(call_default_factory=True))
            rows.append(Described(f"{prefix}{key}", _as_json(value), meaning, default))
    return rows + sections


def _as_json(value: Any) -> str:
    return json.dumps(to_jsonable_python(_plain(value)))


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
