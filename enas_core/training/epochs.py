"""The rows of a training, one an epoch: kept, reported, shown in TensorBoard."""

from __future__ import annotations

import math
from typing import Any

from enas_core.console import RunError, log, time_left
from enas_core.files.tables import check_rows
from enas_core.training.events import EventFiles


class Epochs:
    """What is known of the epochs so far. `score` is the column that the log line shows."""

    def __init__(self, name: str, total: int, score: str, events: EventFiles | None) -> None:
        self.name, self.total, self.score, self.events = name, total, score, events
        self.rows: list[dict[str, Any]] = []

    def load(self, kind: str, rows: list[dict[str, Any]], count: int) -> None:
        """Go on after `rows`. Raises ValueError unless they are of so many epochs."""
        check_rows(kind, rows)
        if [row["epoch"] for row in rows] != list(range(count)):
            raise ValueError(f"not the rows of {count} epochs")
        self.rows = rows

    def add(self, row: dict[str, Any]) -> None:
        """The row of the epoch that is complete now. Raises RunError when a number in it is not finite."""
        for name, value in row.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise RunError(
                    f"{self.name} diverged: {name} is not finite at epoch {row['epoch']}; the last good state is kept"
                )
        self.rows.append(row)
        if self.events is not None:
            self.events.show(self.rows)
        done = len(self.rows)
        seconds = sum(earlier["seconds"] for earlier in self.rows)
        log.info(
            f"{self.name}  epoch {done}/{self.total}  loss {row['train_loss']:.4f}  train {row['train_accuracy']:.4f}"
            f"  {self.score.split('_')[0]} {row[self.score]:.4f}  {row['images_per_second']:.0f} images/s"
            f"  {row['seconds']:.1f} s  left {time_left(done, self.total, seconds)}"
        )
