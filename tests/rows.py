"""Rows of tables for tests that care about some of their columns only."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from enas_core.files.columns import Column
from enas_core.files.schemas import TABLES

VALUES: dict[pa.DataType, Any] = {pa.string(): "x", pa.bool_(): False, pa.int64(): 1, pa.float64(): 0.5}


def row_of(kind: str, **values: Any) -> dict[str, Any]:
    """A row that a table of this kind can hold: `values`, and of the other columns null where that is allowed."""
    return {name: _value(column) for name, column in TABLES[kind].columns.items()} | values


def _value(column: Column) -> Any:
    if column.null:
        return None
    return column.words[0] if column.words else VALUES[column.type]
