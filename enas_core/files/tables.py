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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from enas_core.console import UserError, shown
from enas_core.files.atomic import atomic_path
from enas_core.files.columns import Column
from enas_core.files.columns import Table as TableKind
from enas_core.files.reading import require_regular
from enas_core.files.schemas import SCHEMAS, TABLES
from enas_core.version import VERSION

FOR_THE_RECORD = ("random", "named")
"""Sources of candidates that can never be selected."""

ROUNDING = 1e-6
"""So much beyond its bounds a computed number may be."""

MOST_ROWS, MOST_BYTES = 1_000_000, 2**28
"""Of a table that is read, before anything of it is decoded: a small file may expand to any size."""

RECORDED: dict[str, type] = {
    **dict.fromkeys(("enas_version", "git_commit", "torch_version", "device", "config_fingerprint"), str),
    **{"settings": dict, "run": str, "operators": str, "role": str},
    **dict.fromkeys(("search_seed", "params", "macs"), int),
}
"""What provenance may hold, and of which kind each of it is; it may also be null, or something that is not listed."""


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
    for path in sorted(path for path in PACKAGE.rglob("*") if path.suffix in (".py", ".cpp", ".h")):
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
    what = TABLES[kind]
    if required is None:
        required = [name for name, column in what.columns.items() if not column.later]
    with _opened(path) as file:
        there = set(file.schema_arrow.names)
        missing = [name for name in required if name not in there]
        if missing:
            raise UserError(f"{path}: not a table of kind {kind}: columns {', '.join(missing)} are missing")
        names = [name for name in what.columns if name in there]
        encoded = file.read(names)
        _check_texts(path, encoded)
        rows = encoded.cast(pa.schema([(name, what.columns[name].type) for name in names]))
        rows.validate(full=True)
    try:
        check_values(what, rows)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return [dict.fromkeys(what.columns) | row for row in rows.to_pylist()]


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    """A Parquet file that is not too large to be a table of this project. What Arrow finds wrong with it is a UserError
    that names it."""
    try:
        require_regular(path, MOST_BYTES)
        metadata = pq.read_metadata(path)
        _check_size(path, metadata)
        # Texts are decoded once, however often they are there.
        texts = [column.path for column in _leaves(metadata.schema) if column.physical_type == "BYTE_ARRAY"]
        with pq.ParquetFile(path, metadata=metadata, read_dictionary=texts) as file:  # `read_table` imports pandas
            yield file
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a readable Parquet file: {' '.join(str(error).split())[:200]}") from None


def _leaves(schema: pq.ParquetSchema) -> list[pq.ColumnSchema]:
    return [schema.column(i) for i in range(len(schema))]


def _check_size(path: Path, metadata: pq.FileMetaData) -> None:
    """Raise UserError, before anything is decoded, where a file says that it has too many values."""
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    columns = [group.column(i) for group in groups for i in range(group.num_columns)]
    values = max([metadata.num_rows, *(column.num_values for column in columns)])
    expanded = sum(column.total_uncompressed_size for column in columns)
    if values > MOST_ROWS or expanded > MOST_BYTES:
        raise UserError(
            f"{path}: a column has {values} values, and all are {expanded} bytes when they are expanded; at most"
            f" {MOST_ROWS} and {MOST_BYTES} are read"
        )


def _check_texts(path: Path, encoded: pa.Table) -> None:
    """Raise UserError where texts, each of which stands in the file once, take too much memory in all rows."""
    size = 0
    for column in encoded.columns:
        for chunk in column.chunks:
            if pa.types.is_dictionary(chunk.type):
                lengths = pc.take(pc.binary_length(chunk.dictionary), chunk.indices)
                size += pc.sum(pc.cast(lengths, pa.int64())).as_py() or 0
    if size > MOST_BYTES:
        raise UserError(f"{path}: its texts have {size} bytes when they are expanded; at most {MOST_BYTES} are read")


def check_values(what: TableKind, rows: pa.Table) -> None:
    """Raise UserError unless `rows` can be a whole table, whose columns may lack some."""
    if not len(rows) and not what.may_be_empty:
        raise UserError("holds no rows")
    for name in rows.column_names:
        _check_column(name, what.columns[name], rows[name])
    for name in what.same:
        if name in rows.column_names and len(found := rows[name].unique()) > 1:
            raise UserError(f"{name} is {shown(found[0].as_py())} in some rows and {shown(found[1].as_py())} in others")


def check_rows(kind: str, rows: Any) -> None:
    """Raise ValueError unless `rows` can be some of a table's."""
    try:
        table = pa.Table.from_pylist(rows, schema=SCHEMAS[kind])
    except (pa.ArrowException, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"not rows of {kind}: {error}") from None
    check_values(replace(TABLES[kind], may_be_empty=True), table)


def _check_column(name: str, column: Column, values: pa.ChunkedArray) -> None:
    """Raise UserError, one line, unless all values are ones that the column can hold."""
    wrong = pc.and_(pc.is_null(values), not column.null)
    if column.low is not None and pa.types.is_integer(column.type):
        wrong = pc.or_(wrong, pc.fill_null(pc.less(values, int(column.low)), False))
    elif column.low is not None and column.high is not None:
        inside = pc.and_(
            pc.greater_equal(values, column.low - ROUNDING),
            pc.less_equal(values, column.high + ROUNDING),
        )
        wrong = pc.or_(wrong, pc.fill_null(pc.invert(inside), False))  # NaN is not inside
    if column.words:
        wrong = pc.or_(wrong, pc.invert(pc.is_in(values, pa.array([*column.words, None]))))
    row = pc.index(wrong, True).as_py()
    if row >= 0:
        raise UserError(f"{name} of row {row + 1} is {shown(values[row].as_py())}; allowed: {column.allowed}")


def read_provenance(path: Path) -> dict[str, Any]:
    """What was recorded as having made a table; empty when nothing was. Raises UserError, naming the file, when it is
    not such a table, or what is recorded is not what `provenance` and the stages record."""
    with _opened(path) as file:
        metadata = file.schema_arrow.metadata or {}
    try:
        recorded = json.loads(metadata.get(b"provenance", b"{}"))
    except (ValueError, RecursionError):
        recorded = None
    return checked_provenance(str(path), recorded)


def checked_provenance(path: str, recorded: Any) -> dict[str, Any]:
    """What was recorded in a file, if it is what this project records. Raises UserError, naming `path` if it is
    given."""
    where = f"{path}: provenance" if path else "provenance"
    if not isinstance(recorded, dict):
        raise UserError(f"{where}: {shown(recorded)} is not a record of what made the file")
    for name, kinds in RECORDED.items():
        value = recorded.get(name)
        if value is not None and type(value) is not kinds:
            raise UserError(f"{where}: {name}: {shown(value)}")
        if isinstance(value, int) and not 0 <= value < 2**63:
            raise UserError(f"{where}: {name}: {shown(value)}")
    return recorded


def table_identity(path: Path) -> str | None:
    """The run that a table is of, as its stage recorded it; None when there is no such table."""
    try:
        return read_provenance(path).get("run")
    except UserError:
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
    if len(selected) != 1:
        raise UserError(f"{path}: needs one selected candidate, has {len(selected)}")
    if selected[0]["source"] in FOR_THE_RECORD:
        raise UserError(f"{path}: a {selected[0]['source']} arc is selected, which is there for the record only")
    return selected[0]
