"""Every setting with its value and its meaning, for people: a terminal, a report."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic_core import to_jsonable_python

from enas_core.fields import Settings
from enas_core.settings.arcs import Transfer

NOTHING: Mapping[str, Any] = MappingProxyType({})


class Described(NamedTuple):
    """One setting."""

    key: str
    """With the sections that it is in: `search.controller.learning_rate`."""
    value: str
    """As JSON."""
    meaning: str
    default: str | None
    """As JSON; None where an experiment must give a value."""
    preset: str | None
    """What the preset sets, as JSON; None where it sets nothing."""

    @property
    def changed(self) -> bool:
        """Whether the value is not what it is where nobody sets it, not even the preset."""
        return self.value != self.default or self.preset not in (None, self.default)


def describe(settings: Settings, preset: Mapping[str, Any] = NOTHING) -> list[Described]:
    """All settings: first those that stand at the top, then section by section. `preset`: what a preset sets, section
    by section."""
    return _below("", settings, settings.model_dump(by_alias=True), preset)


def _below(prefix: str, settings: Settings, written: dict[str, Any], preset: Mapping[str, Any]) -> list[Described]:
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
            sections += _below(f"{prefix}{key}.", value, written[key], preset.get(key, NOTHING))
        else:
            rows.append(
                Described(
                    key=f"{prefix}{key}",
                    value=_as_json(value),
                    meaning=" ".join((field.description or "").split()),
                    default=None if field.is_required() else _as_json(field.get_default(call_default_factory=True)),
                    preset=_as_json(preset[key]) if key in preset else None,
                )
            )
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


def changed_lines(rows: list[Described]) -> list[str]:
    """Lines `key = value  # default VALUE` of what differs from the defaults, and of what a preset changes."""
    lines = []
    for row in rows:
        remarks = [] if row.default is None else [f"default {row.default}"]
        if row.preset is not None:
            remarks.insert(0, "by the preset" if row.preset == row.value else f"the preset's is {row.preset}")
        if row.changed:
            lines.append(f"{row.key} = {row.value}" + (f"  # {', '.join(remarks)}" if remarks else ""))
    return lines


def nested(keys: Iterable[str], settings: Settings) -> dict[str, Any]:
    """The values of some settings section by section, in the form of config.yaml."""
    values = settings.model_dump(mode="json", by_alias=True)
    content: dict[str, Any] = {}
    for key in keys:
        *sections, name = key.split(".")
        source, place = values, content
        for section in sections:
            source, place = source[section], place.setdefault(section, {})
        place[name] = source[name]
    return content
