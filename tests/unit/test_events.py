"""TensorBoard event files: what they hold, and what a resumed run makes of them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from enas_core.training.events import EventFiles


def rows(count: int) -> list[dict[str, Any]]:
    return [{"experiment": "x", "epoch": i, "train_loss": 1.0 / (i + 1), "seconds": None} for i in range(count)]


def shown(folder: Path) -> dict[str, list[tuple[int, float]]]:
    accumulator = EventAccumulator(str(folder)).Reload()
    tags = accumulator.Tags()["scalars"]
    return {tag: [(e.step, pytest.approx(e.value)) for e in accumulator.Scalars(tag)] for tag in tags}


def test_numbers_of_each_epoch(tmp_path: Path) -> None:
    events = EventFiles(tmp_path)
    assert list(tmp_path.iterdir()) == []  # nothing to show yet
    for count in (1, 2, 3):
        events.show(rows(count))
        assert shown(tmp_path) == {"train_loss": [(i, 1.0 / (i + 1)) for i in range(count)]}


def test_a_resumed_run_goes_on_without_duplicates(tmp_path: Path) -> None:
    first = EventFiles(tmp_path)
    for count in (1, 2, 3):
        first.show(rows(count))
    resumed = EventFiles(tmp_path)  # its state was saved after two epochs, so the third is repeated
    for count in (3, 4):
        resumed.show(rows(count))
    assert shown(tmp_path) == {"train_loss": [(i, 1.0 / (i + 1)) for i in range(4)]}
    assert len(list(tmp_path.glob("events.out.tfevents.*"))) == 1


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'enas-workflow\[tensorboard\]'"):
        EventFiles(tmp_path)
