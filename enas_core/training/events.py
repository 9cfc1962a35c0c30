"""TensorBoard's view of a running training."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from enas_core.console import UserError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class EventFiles:
    """Event files of one run in `folder`. Raises UserError when TensorBoard is not installed."""

    def __init__(self, folder: Path) -> None:
        if importlib.util.find_spec("tensorboard") is None:
            raise UserError("tensorboard: true needs the package: pip install 'enas-workflow[tensorboard]'")
        self.folder, self.shown = folder, 0
        self.writer: SummaryWriter | None = None

    def show(self, rows: Sequence[dict[str, Any]]) -> None:
        """Write those of the run's rows, one an epoch, that are not written yet.

        A resumed run has all its rows, so its first call replaces the files of the interrupted one: epochs
        that were repeated are not there twice."""
        if self.writer is None:
            from torch.utils.tensorboard import SummaryWriter

            for old in self.folder.glob("events.out.tfevents.*"):
                old.unlink()
            self.writer = SummaryWriter(self.folder, purge_step=0)  # a viewer that is open forgets them too
        for row in rows[self.shown :]:
            for name, value in row.items():
                if isinstance(value, float):
                    self.writer.add_scalar(name, value, row["epoch"])
        self.shown = len(rows)
        self.writer.flush()
