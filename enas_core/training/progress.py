"""Signs of life: a training or a selection tells a small file how far it has come (`files/progress.py`), cheaply and
seldom."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Literal, Protocol

import torch

from enas_core.files.atomic import discard_partial
from enas_core.files.progress import PROGRESS, EpochSoFar, Progress, write_progress
from enas_core.training.checkpoint import Interrupted, StateDirectory, Watch
from enas_core.training.descent import Descent
from enas_core.training.device import describe_device, peak_memory
from enas_core.training.epochs import Epochs
from enas_core.training.position import Position
from enas_core.training.processes import Processes

EVERY = 15.0
"""Seconds between two signs of life within an epoch."""

State = Literal["running", "finished", "interrupted", "failed"]


class Training(Protocol):
    """What is told of a training."""

    device: torch.device
    processes: Processes
    descent: Descent
    epochs: Epochs
    at: Position

    def train(self, watch: Watch) -> None: ...


def progress_of(training: Training, state: State) -> Progress:
    """How far a training has come."""
    epochs, at = training.epochs, training.at
    return Progress(
        state=state,
        epochs=epochs.total,
        rows=[
            EpochSoFar(train_accuracy=row["train_accuracy"], accuracy=row[epochs.score], seconds=row["seconds"])
            for row in epochs.rows
        ],
        step=at.step,
        steps=training.descent.steps,
        seconds=at.seconds,
        memory=memory_of(training.device),
        device=describe_device(training.device, training.processes),
        host=socket.gethostname(),
    )


def memory_of(device: torch.device) -> int | None:
    """Bytes that this process has held there at most; None where the system does not tell."""
    with contextlib.suppress(OSError):
        return peak_memory(device)
    return None


def train_with_signs_of_life(states: StateDirectory, training: Training, watch: Watch) -> None:
    """Let a training train, and tell of its progress beside its saved states."""
    with SignsOfLife(states, partial(progress_of, training), watch) as signs:
        training.train(signs)


class SignsOfLife:
    """Use as a context manager around a training, which is to tell of its progress here; `watch` is told as well.
    `progress` says how far it has come. A full disk costs a sign, not the training. Of several processes the first one
    writes."""

    def __init__(self, states: StateDirectory, progress: Callable[[State], Progress], watch: Watch) -> None:
        self.path, self.progress, self.watch = states.folder / PROGRESS, progress, watch
        self.writes = states.processes.first
        self.told_at = time.monotonic()

    def __enter__(self) -> SignsOfLife:
        if self.writes:
            discard_partial(self.path)
        self.tell("running")
        return self

    def __exit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.tell("finished")
        else:
            self.tell("interrupted" if issubclass(kind, Interrupted) else "failed")

    def tell(self, state: State) -> None:
        """Write the file."""
        self.told_at = time.monotonic()
        if not self.writes:
            return
        with contextlib.suppress(OSError):
            write_progress(self.path, self.progress(state))

    def step(self) -> None:
        """A step is done. Cheap, but now and then."""
        self.watch.step()
        if time.monotonic() - self.told_at >= EVERY:
            self.tell("running")

    def save(self) -> None:
        """An epoch is done."""
        self.watch.save()
        self.tell("running")
