"""What a column of a table is: its type, unit and meaning, and which values it can hold."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pyarrow as pa

LARGEST = sys.float_info.max


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    type: pa.DataType
    description: str
    unit: str = ""
    """What the numbers count or are measured in; empty for texts, marks and numbers without a unit."""
    low: float | None = None
    high: float | None = None
    """The smallest and the largest number that there can be; None for texts and marks."""
    words: tuple[str, ...] = ()
    """The texts that there can be; none: any."""
    null: bool = False
    """Whether a value may be missing; the description says when it is."""
    later: bool = False
    """Whether tables of an earlier version lack the column, which is no mistake."""
    by_machine: bool = False
    """Whether clock or machine decide the values: a time, a speed, a device, and what is computed from such ones. Two
    runs with the same results agree in all other columns."""

    @property
    def allowed(self) -> str:
        """Which values there can be, in words."""
        if self.words:
            return ", ".join(self.words)
        if self.low is None or self.high is None:
            return "true or false" if self.type == pa.bool_() else "text"
        whole = "whole numbers" if self.type == pa.int64() else "numbers"
        if self.high < LARGEST:
            return f"{whole} {self.low:g}..{self.high:g}"
        return f"{whole} of {self.low:g} or more" if self.low > -LARGEST else f"finite {whole}"


@dataclass(frozen=True)
class Table:
    """One kind of table."""

    row: str
    """What a row is of."""
    columns: Mapping[str, Column]
    same: tuple[str, ...] = ()
    """Columns that have the same value in all rows: what the table is of."""
    may_be_empty: bool = False
    """Whether a table may have no rows."""
    file: str = ""
    """The files under `results/{experiment}/` that are such tables, or what writes one; for the documentation."""

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema, with unit and description in the metadata of each field."""
        return pa.schema(
            [
                pa.field(name, column.type, metadata={"unit": column.unit, "description": column.description})
                for name, column in self.columns.items()
            ]
        )


def text(description: str, null: bool = False, later: bool = False) -> Column:
    """Any text."""
    return Column(pa.string(), description, null=null, later=later)


def one_of(words: tuple[str, ...], description: str, null: bool = False) -> Column:
    """One of some texts."""
    return Column(pa.string(), description, words=words, null=null)


def mark(description: str, null: bool = False, later: bool = False) -> Column:
    """True or false."""
    return Column(pa.bool_(), description, null=null, later=later)


def count(unit: str, description: str, least: int = 0, null: bool = False, later: bool = False) -> Column:
    """A whole number of `least` or more."""
    return Column(pa.int64(), description, unit, least, LARGEST, null=null, later=later)


def fraction(description: str, null: bool = False, later: bool = False) -> Column:
    """A share, 0..1."""
    return Column(pa.float64(), description, "fraction", 0, 1, null=null, later=later)


def correlation(description: str) -> Column:
    """A correlation or a bound of one, -1..1, null where there are too few values for it."""
    return Column(pa.float64(), description, "", -1, 1, null=True)


def number(
    unit: str, description: str, low: float = -LARGEST, high: float = LARGEST, null: bool = False, later: bool = False
) -> Column:
    """A finite number, within its bounds."""
    return Column(pa.float64(), description, unit, low, high, null=null, later=later)


def duration(unit: str, description: str, null: bool = False, later: bool = False) -> Column:
    """A time that something took, 0 or more."""
    return by_machine(number(unit, description, 0, null=null, later=later))


def perhaps(column: Column) -> Column:
    """The same, which may be missing."""
    return replace(column, null=True)


def by_machine(column: Column) -> Column:
    """The same, whose values clock or machine decide."""
    return replace(column, by_machine=True)
