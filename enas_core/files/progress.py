"""How far a training or a selection has come: a small file beside its saved state, which it writes now and then and
`enas status` reads, perhaps on another machine of the same file system."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from enas_core.files.atomic import write_text
from enas_core.files.reading import TEXT, read_bytes

PROGRESS = "progress.json"
"""Its name, in the folder of the state."""


class EpochSoFar(BaseModel):
    """One complete epoch."""

    model_config = ConfigDict(frozen=True)

    train_accuracy: float
    accuracy: float
    """On validation images (a search) or test images, 0..1."""
    seconds: float


class Progress(BaseModel):
    """What a training says of itself. A selection is one epoch, in which each evaluated arc is a step. Who reads it
    ignores what a later version adds."""

    model_config = ConfigDict(frozen=True)

    state: Literal["running", "finished", "interrupted", "failed"]
    """`interrupted`: it has saved its state because it was asked to end. A process that is killed leaves `running`."""
    epochs: int
    """That it will train."""
    rows: list[EpochSoFar]
    """The complete ones."""
    step: int
    """Steps of the epoch under way."""
    steps: int
    """Of every epoch."""
    seconds: float
    """That the epoch under way has taken so far."""
    memory: int | None
    """Bytes that the first process has held at most, on its device; None where the system does not tell."""
    device: str
    host: str
    """The machine's name."""
    best: float | None = None
    """Of a selection: the accuracy of the best arc so far, 0..1."""


def write_progress(path: Path, progress: Progress) -> None:
    """Write the file atomically."""
    write_text(path, progress.model_dump_json())


def read_progress(path: Path) -> Progress | None:
    """What a training has last said; None where there is no such file, or not one that this version understands."""
    try:
        return Progress.model_validate_json(read_bytes(path, TEXT))
    except (OSError, ValueError):
        return None
