"""How far a training has come, and how long this epoch has taken."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any


@dataclass
class Position:
    """Everything counts from 0: a new training is at epoch 0, and has taken no step in it."""

    epoch: int = 0
    step: int = 0
    """Optimiser steps that this epoch has taken."""
    update: int = 0
    """Updates of the policy that this epoch has made."""
    train_seconds: float = 0.0
    """What this epoch's optimiser steps took."""
    seconds: float = 0.0
    """What this epoch took so far."""

    def __str__(self) -> str:
        update = f", update {self.update}" if self.update else ""
        return f"epoch {self.epoch}, step {self.step}{update}"

    def start_clock(self) -> None:
        """From now on time counts."""
        self._clock = time.perf_counter()

    def tick(self) -> None:
        """Count the time since the last tick."""
        now = time.perf_counter()
        self.seconds += now - self._clock
        self._clock = now

    def finish_step(self) -> None:
        """One more optimiser step is done."""
        self.tick()
        self.step += 1
        self.train_seconds = self.seconds

    def next_epoch(self) -> None:
        """The epoch is complete."""
        self.epoch += 1
        self.step = self.update = 0
        self.train_seconds = self.seconds = 0.0

    def state_dict(self) -> dict[str, Any]:
        """All numbers."""
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`. Raises ValueError when it is not one."""
        for name, value in asdict(self).items():
            if type(state[name]) is not type(value) or state[name] < 0:
                raise ValueError(f"{name} is {state[name]}")
            setattr(self, name, state[name])
