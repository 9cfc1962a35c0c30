"""What the columns of each kind of table are: type, unit, meaning, and which values there can be.

Declared once, in `training_schemas.py` and `comparison_schemas.py`: files are written and checked by it
(`enas_core.files.tables`), their Arrow fields carry unit and description, and the documentation's tables of columns are
made from it. No column ever holds NaN.

A column that is added later is `later`, since tables of an earlier version lack it.
"""

from __future__ import annotations

import pyarrow as pa

from enas_core.files.columns import Table
from enas_core.files.comparison_schemas import ABLATION, CLASSES, COMPARISON, CONFUSION, HALVING, PREDICTIONS
from enas_core.files.training_schemas import (
    AUGMENT_EPOCHS,
    CANDIDATES,
    METRICS,
    RANDOM_ARCS,
    SEARCH_EPOCHS,
    SIGNAL,
    STRATEGIES,
)

TABLES: dict[str, Table] = {
    "random_arcs": RANDOM_ARCS,
    "search_epochs": SEARCH_EPOCHS,
    "candidates": CANDIDATES,
    "strategies": STRATEGIES,
    "signal": SIGNAL,
    "augment_epochs": AUGMENT_EPOCHS,
    "metrics": METRICS,
    "comparison": COMPARISON,
    "halving": HALVING,
    "classes": CLASSES,
    "confusion": CONFUSION,
    "predictions": PREDICTIONS,
    "ablation": ABLATION,
}
"""By the kind that a file's metadata names."""

SCHEMAS: dict[str, pa.Schema] = {kind: table.schema for kind, table in TABLES.items()}

LATER_COLUMNS: dict[str, tuple[str, ...]] = {
    kind: tuple(name for name, column in table.columns.items() if column.later) for kind, table in TABLES.items()
}
"""Columns of each kind that tables of an earlier version lack."""

BY_MACHINE = frozenset(name for table in TABLES.values() for name, column in table.columns.items() if column.by_machine)
"""Columns, of any kind, that may differ between two runs with the same results."""
