"""Makes the pages that are made from the code: `python docs/generate.py`.

`docs/settings.md` comes from the settings' models, `docs/columns.md` from the declarations of the tables.
`tests/unit/test_generated_pages.py` compares.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from enas_core.files.columns import Column
from enas_core.files.schemas import TABLES
from enas_core.settings.schema import schema

FOLDER = Path(__file__).resolve().parent

SETTINGS = """# Settings

Made from the program by `python docs/generate.py`; `enas config --all` prints them with an experiment's values.
Defaults are those of the preset `original`; what `corrected` changes is in [departures.md](departures.md), how the
file is written in [experiments.md](experiments.md).
"""

Node = Mapping[str, Any]
"""A part of a JSON schema."""


def settings_page() -> str:
    """All settings of an experiment, a table a section, and what may be given on the command line."""
    whole = schema()
    (experiment,) = whole["properties"]["experiments"]["patternProperties"].values()
    parts = [SETTINGS, *_tables("", _referred(experiment, whole), whole)]
    outside = {name: node for name, node in whole["properties"].items() if name != "experiments"}
    parts += ["## Outside of experiments\n", "For `--config KEY=VALUE` of `snakemake`, or at the top of the file.\n"]
    return "\n".join([*parts, _table(outside)])


def _tables(section: str, definition: Node, whole: Node) -> Iterator[str]:
    """Heading, meaning and table of a section, and then of those within it."""
    plain, sections = {}, {}
    for name, node in definition["properties"].items():
        inner = _referred(node, whole)
        (sections if inner else plain)[name] = inner or node
    yield f"## `{section}`\n" if section else "## At the top of an experiment\n"
    if section:
        yield f"{_flat(definition['description'])}\n"
    yield _table(plain)
    for name, inner in sections.items():
        yield from _tables(f"{section}.{name}" if section else name, inner, whole)


def _referred(node: Node, whole: Node) -> Node:
    """The section that a property is, which may be null besides; empty where it is none."""
    references = [part["$ref"] for part in [node, *node.get("anyOf", [])] if "$ref" in part]
    return whole["$defs"][references[0].rpartition("/")[2]] if references else {}


def _table(properties: Mapping[str, Node]) -> str:
    rows = ["| setting | default | allowed | meaning |", "|---|---|---|---|"]
    for name, node in properties.items():
        default = f"`{json.dumps(node['default'])}`" if "default" in node else ""
        cells = (f"`{name}`", default, _allowed(node), _flat(node["description"]))
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*rows, ""])


def _flat(text: str) -> str:
    return " ".join(text.split())


KINDS = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false", "null": "null"}


def _allowed(node: Node) -> str:
    """The values that a property may have, in words."""
    if "anyOf" in node:
        return " or ".join(_allowed(part) for part in node["anyOf"])
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    if "const" in node:
        return f"`{node['const']}`"
    if node["type"] == "array":
        return f"list of: {_allowed(node['items'])}" if "items" in node else "list"
    if "object" in node["type"]:
        return "names, with a value each"
    return KINDS[node["type"]] + _bounds(node)


BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
    "multipleOf": "a multiple of",
}
"""In words, what limits a number."""

NO_BOUNDS = (-1e38, 1e38, 2**63 - 1)
"""What a number can be at all."""


def _bounds(node: Node) -> str:
    """Such as `, 1 to 16`, or `, above 0`."""
    limits = {key: f"{node[key]:,}" for key in BOUNDS if key in node and node[key] not in NO_BOUNDS}
    if {"minimum", "maximum"} <= limits.keys():
        limits = {"": f"{limits.pop('minimum')} to {limits.pop('maximum')}"} | limits
    said = [f"{BOUNDS.get(key, '')} {value}".strip() for key, value in limits.items()]
    return "".join(f", {part}" for part in said)


COLUMNS = """# Columns

Made from the program by `python docs/generate.py`, as are the checks of every table that is read and the `unit` and
`description` of each Arrow field. What is null is missing; no column holds NaN. Two runs with the same results agree in
all columns but those that are *by the machine*: times, speeds, devices, and what is computed from them. The stages that
write the files are in [files.md](files.md).
"""


def columns_page() -> str:
    """The columns of all kinds of tables."""
    parts = [COLUMNS]
    for kind, table in TABLES.items():
        files = ", ".join(f"`{name}`" for name in table.file.split(", "))
        parts += [f"## `{kind}`\n", f"{files}: one row is {table.row}.\n"]
        rows = ["| column | unit | values | meaning |", "|---|---|---|---|"]
        rows += [_column(name, column) for name, column in table.columns.items()]
        parts.append("\n".join([*rows, ""]))
    return "\n".join(parts)


def _column(name: str, column: Column) -> str:
    values = f"{column.allowed} or null" if column.null else column.allowed
    meaning = _flat(column.description) + (" *By the machine.*" if column.by_machine else "")
    cells = (f"`{name}`", column.unit, values, meaning)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


PAGES = {"settings.md": settings_page, "columns.md": columns_page}
"""What makes each of these pages."""


if __name__ == "__main__":
    for page, make in PAGES.items():
        (FOLDER / page).write_text(make())
