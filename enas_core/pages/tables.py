"""Tables of a page, whose rows a click on a column's name sorts. `templates/parts.html` shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from enas_core.pages.numbers import shown


class Column(NamedTuple):
    """What a table shows of each row."""

    key: str
    title: str
    form: Callable[[Any], str] = shown
    """How a value is written. Rows are sorted by the value itself."""
    kind: str = ""
    """`code` for arcs and settings, which may be broken anywhere, `text` for sentences."""

    def css_class(self, value: Any) -> str:
        """Numbers stand at the right."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return "number" if number else self.kind


@dataclass(frozen=True)
class Table:
    """Rows are read by the columns' keys."""

    columns: Sequence[Column]
    rows: Sequence[Mapping[str, Any]]
    title: str = ""
    note: str = ""
    """Below the title."""

    @property
    def shown_columns(self) -> list[Column]:
        """Those that say something of any row."""
        return [column for column in self.columns if any(row[column.key] not in (None, "") for row in self.rows)]
