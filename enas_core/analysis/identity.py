"""What the tables of one experiment have in common.

A table names the run that it is of. Files of another experiment, space or size of arcs that have come among those of
an experiment would be compared with them in earnest, so whoever reads several tables reads them past `Common`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from enas_core.console import UserError, shown
from enas_core.spaces import space_class


class Common:
    """Facts that are the same in all tables of an experiment, as the first table that names one of them says it."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[Any, Path]] = {}

    def require(self, path: Path, facts: Mapping[str, Any]) -> None:
        """Raise UserError, one line that names the table, where a fact is another one than in a table before. What a
        table does not say, or an earlier version has not recorded, is None."""
        for name, value in facts.items():
            if value is None:
                continue
            known, other = self.known.setdefault(name, (value, path))
            if value != known:
                raise UserError(
                    f"{path}: {name}: {shown(value)}, but {shown(known)} in {other}: they are not of one experiment"
                )

    def require_arcs(self, path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
        """Raise UserError, one line that names the table, unless its arcs are of the space, and of the size, that those
        of the tables before are of."""
        for row in rows:
            try:
                space, _ = space_class(row["space"]).of_text(row["arc"])
            except (UserError, ValueError) as error:
                raise UserError(f"{path}: {error}") from None
            self.require(path, {"space": row["space"], **space.settings.model_dump(exclude_unset=True)})

    def require_first(self, path: Path, what: str) -> None:
        """Raise UserError, one line that names the table, where another one is of the same run."""
        _, other = self.known.setdefault(what, (True, path))
        if other != path:
            raise UserError(f"{path}: is of {what}, as {other} is")


def facts_of(record: Mapping[str, Any] | None) -> dict[str, Any]:
    """Experiment and dataset of a table, by one of its rows or by the settings that it has recorded."""
    return {name: (record or {}).get(name) for name in ("experiment", "dataset")}
