"""Parquet tables of fixed kinds, which every command that reads or writes tables uses.

What their columns are is declared in `enas_core.files.schemas`, and checked where a table is read. Every table's
metadata says what made it (`provenance`).
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from enas_core.console import UserError
from enas_core.files.atomic import atomic_path
from enas_core.files.columns import Column
from enas_core.files.schemas import LATER_COLUMNS, SCHEMAS, TABLES
from enas_core.version import VERSION

ROUNDING = 1e-6
"""So much beyond its bounds a computed number may be."""


PACKAGE = Path(__file__).resolve().parents[1]
"""Folder of this project's code."""


def provenance(device: str, fingerprint: str, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What made a file: versions, git commit, device, the settings and their fingerprint. The settings are left out
    where only their fingerprint is known, as of what an earlier version made."""
    made_by = {
        "enas_version": VERSION,
        "git_commit": _git_commit(),
        "source_digest": _source_digest(),
        "torch_version": importlib.metadata.version("torch"),
        "device": device,
        "config_fingerprint": fingerprint,
    }
    return made_by if settings is None else made_by | {"settings": dict(settings)}


@functools.cache
def _git_commit() -> str:
    """Commit of the source tree, with `-dirty` where files differ from it; `unknown` outside git."""
    root = PACKAGE.parent
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    # A copy without git, or an installation, may lie within a repository of something else.
    here = os.environ | {"GIT_CEILING_DIRECTORIES": str(root.parent)}
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30, env=here).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


@functools.cache
def _source_digest() -> str:
    """SHA-256 over the package's code, which tells copies without git apart: the same code has the same digest."""
    digest = hashlib.sha256()
    for path in sorted(path for path in PACKAGE.rglob("*") if path.suffix in (".py", ".cpp")):
        for content in (path.relative_to(PACKAGE).as_posix().encode(), path.read_bytes()):
            digest.update(len(content).to_bytes(8) + content)
    return digest.hexdigest()


def write_table(path: Path, kind: str, rows: Sequence[dict[str, Any]], made_by: Mapping[str, Any]) -> None:
    """Write `rows` as a table of the given kind, atomically."""
    table = pa.Table.from_pylist(list(rows), schema=SCHEMAS[kind])
    table = table.replace_schema_metadata({"kind": kind, "provenance": json.dumps(dict(made_by))})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary)


def read_table(path: Path, kind: str, required: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Rows of a table of the given kind. Columns that are missing, but for the `required` ones (default: all but those
    that came later), are None, as in tables of other versions. Raises UserError, one line, when it is not such a table
    or holds what its columns cannot."""
    columns = TABLES[kind].columns
    if required is None:
        required = [name for name, column in columns.items() if not column.later]
    try:
        with pq.ParquetFile(path) as file:  # `read_table` would import pandas
            table = file.read()
        schema = pa.schema([(name, column.type) for name, column in columns.items() if name in table.column_names])
        missing = [name for name in required if name not in schema.names]
        if missing:
            raise UserError(f"{path}: not a table of kind {kind}: columns {', '.join(missing)} are missing")
        rows = table.select(schema.names).cast(schema)
        rows.validate(full=True)
        for name in schema.names:
            _check_column(path, name, columns[name], rows[name])
        return [dict.fromkeys(columns) | row for row in rows.to_pylist()]
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a readable Parquet file: {' '.join(str(error).split())[:200]}") from None


def _check_column(path: Path, name: str, column: Column, values: pa.ChunkedArray) -> None:
    """Raise UserError, one line, unless all values are ones that the column can hold."""
    wrong = pc.and_(pc.is_null(values), not column.null)
    if column.low is not None and column.high is not None:
        slack = 0 if pa.types.is_integer(column.type) else ROUNDING
        inside = pc.and_(pc.greater_equal(values, column.low - slack), pc.less_equal(values, column.high + slack))
        wrong = pc.or_(wrong, pc.fill_null(pc.invert(inside), False))  # NaN is not inside
    row = pc.index(wrong, True).as_py()
    if row >= 0:
        raise UserError(f"{path}: {name} of row {row + 1} is {values[row].as_py()}; allowed: {column.allowed}")


def read_provenance(path: Path) -> dict[str, Any]:
    """What was recorded as having made a table; empty when nothing was."""
    metadata = pq.read_schema(path).metadata or {}
    recorded: dict[str, Any] = json.loads(metadata.get(b"provenance", b"{}"))
    return recorded


def table_identity(path: Path) -> str | None:
    """The run that a table is of, as its stage recorded it; None when there is no such table."""
    try:
        return read_provenance(path).get("run")
    except (OSError, pa.ArrowException, ValueError):
        return None


def best_candidate(paths: Sequence[Path]) -> tuple[int, str]:
    """Position and arc of the table whose selected arc has the highest shared accuracy; the
    first of equals."""
    selected = [_selected(path) for path in paths]
    position = max(range(len(selected)), key=lambda i: selected[i]["valid_accuracy"])
    return position, selected[position]["arc"]


def _selected(path: Path) -> dict[str, Any]:
    """The one selected row of candidates.parquet."""
    selected = [row for row in read_table(path, "candidates") if row["selected"]]
    later = LATER_COLUMNS["candidates"]
    if len(selected) != 1 or any(value is None for name, value in selected[0].items() if name not in later):
        raise UserError(f"{path}: needs one selected candidate without empty values, has {len(selected)}")
    return selected[0]
