"""Signs of life of a training."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from enas_core.files.progress import PROGRESS, read_progress
from enas_core.training import progress
from enas_core.training.checkpoint import Interrupted, StateDirectory
from enas_core.training.epochs import Epochs
from enas_core.training.position import Position
from enas_core.training.processes import ALONE, Processes
from enas_core.training.progress import train_with_signs_of_life


class Watch:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def step(self) -> None:
        self.told.append("step")

    def save(self) -> None:
        self.told.append("save")


@dataclasses.dataclass
class Descent:
    steps: int = 3


class Training:
    """Two epochs of three steps, looked at after each of them."""

    def __init__(self, states: StateDirectory, processes: Processes = ALONE, end: BaseException | None = None) -> None:
        self.device, self.processes, self.descent = torch.device("cpu"), processes, Descent()
        self.epochs, self.at = Epochs("a", 2, "valid_accuracy", None), Position()
        self.path, self.end = states.folder / PROGRESS, end
        self.seen: list[Any] = []

    def train(self, watch: Watch) -> None:
        self.at.start_clock()
        for epoch in range(2):
            for _ in range(3):
                self.at.finish_step()
                watch.step()
                self.seen.append(read_progress(self.path))
            row = {"train_loss": 1.0, "train_accuracy": 0.5, "valid_accuracy": 0.25, "seconds": 1.5}
            self.epochs.add(row | {"epoch": epoch, "images_per_second": 1.0})
            self.at.next_epoch()
            watch.save()
            self.seen.append(read_progress(self.path))
            if self.end is not None:
                raise self.end


@pytest.fixture
def states(tmp_path: Path) -> StateDirectory:
    return StateDirectory(tmp_path, "run")


def test_a_training_tells_how_far_it_is(states: StateDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.0)
    training, watch = Training(states), Watch()
    train_with_signs_of_life(states, training, watch)
    assert [(told.step, len(told.rows)) for told in training.seen] == [
        *[(1, 0), (2, 0), (3, 0), (0, 1)],
        *[(1, 1), (2, 1), (3, 1), (0, 2)],
    ]
    assert watch.told == 2 * (3 * ["step"] + ["save"])
    told = read_progress(training.path)
    assert told is not None
    assert (told.state, told.epochs, told.steps, told.device) == ("finished", 2, 3, "cpu (1 threads)")
    assert [(row.accuracy, row.seconds) for row in told.rows] == [(0.25, 1.5)] * 2
    assert told.memory > 10**7


def test_steps_are_told_seldom(states: StateDirectory) -> None:
    training = Training(states)
    train_with_signs_of_life(states, training, Watch())
    assert [told.step for told in training.seen] == [0] * 8


@pytest.mark.parametrize(
    ("end", "state"), [(Interrupted(143), "interrupted"), (ValueError(), "failed"), (KeyboardInterrupt(), "failed")]
)
def test_how_it_ended(end: BaseException, state: str, states: StateDirectory) -> None:
    with pytest.raises(type(end)):
        train_with_signs_of_life(states, Training(states, end=end), Watch())
    told = read_progress(states.folder / PROGRESS)
    assert told is not None
    assert (told.state, len(told.rows)) == (state, 1)


def test_only_the_first_process_writes(tmp_path: Path) -> None:
    other = Processes(rank=1, count=2)
    states = StateDirectory(tmp_path, "run", other)
    train_with_signs_of_life(states, Training(states, other), Watch())
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_cannot_be_written_costs_no_training(states: StateDirectory) -> None:
    (states.folder / PROGRESS).mkdir()
    watch = Watch()
    train_with_signs_of_life(states, Training(states), watch)
    assert watch.told.count("save") == 2


def test_what_killed_writers_have_left_goes(states: StateDirectory) -> None:
    (states.folder / f".{PROGRESS}.abc").touch()
    train_with_signs_of_life(states, Training(states), Watch())
    assert [path.name for path in states.folder.iterdir()] == [PROGRESS]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"state": "running"}', "\xff"])
def test_what_is_no_sign_is_none(content: str, tmp_path: Path) -> None:
    (tmp_path / PROGRESS).write_text(content)
    assert read_progress(tmp_path / PROGRESS) is None
    assert read_progress(tmp_path / "nothing") is None
