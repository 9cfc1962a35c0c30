"""Where one stage is started again and again."""

from __future__ import annotations

import signal
from pathlib import Path

import trials
from trials import ForkServer


class Workplace:
    """One folder of a run of one stage, of which files can be exchanged between starts."""

    def __init__(self, stage: str, inputs: Path, folder: Path, server: ForkServer) -> None:
        self.stage, self.inputs, self.folder, self.server = stage, inputs, folder, server
        self.state = folder / "state"
        self.current, self.previous = self.state / "current.state", self.state / "previous.state"

    def run(self, save_every: float = 1e-6, *options: str, **fault: int) -> trials.Ended:
        """One start."""
        given = [*trials.arguments(self.stage, self.inputs, self.folder, save_every), *options]
        return self.server.run(self.stage, given, self.folder / "output", **fault)

    def interrupt(self) -> None:
        """A start that is killed in the second epoch or so, with two states saved."""
        assert self.run(event=111, signal=signal.SIGKILL).code == -signal.SIGKILL
        assert self.current.exists()
        assert self.previous.exists()
