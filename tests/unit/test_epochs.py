"""The rows of a training: kept, reported, shown."""

import logging
import math

import pytest

from enas_core.console import RunError
from enas_core.training.epochs import Epochs

ROW = {"experiment": "x", "train_loss": 2.0, "train_accuracy": 0.25, "test_accuracy": 0.5}
ROW |= {"images_per_second": 100.4, "seconds": 3.0}


class Shown:
    """Stands for the event files."""

    def __init__(self):
        self.counts = []

    def show(self, rows):
        self.counts.append(len(rows))


def test_rows_are_kept_and_shown():
    shown = Shown()
    epochs = Epochs("mine seed 1", 3, "test_accuracy", shown)
    for epoch in range(2):
        epochs.add(ROW | {"epoch": epoch})
    assert [row["epoch"] for row in epochs.rows] == [0, 1]
    assert shown.counts == [1, 2]


def test_a_line_says_how_it_goes(caplog):
    epochs = Epochs("mine seed 1", 3, "test_accuracy", None)
    with caplog.at_level(logging.INFO, logger="enas_core"):
        epochs.add(ROW | {"epoch": 0})
    (line,) = caplog.messages
    assert line.startswith("mine seed 1  epoch 1/3  loss 2.0000  train 0.2500  test 0.5000  100 images/s  3.0 s  left ")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_that_is_not_finite_ends_the_training(value):
    shown = Shown()
    epochs = Epochs("mine seed 1", 3, "test_accuracy", shown)
    with pytest.raises(RunError, match=r"^mine seed 1 diverged: train_loss is not finite at epoch 2; the last good"):
        epochs.add(ROW | {"epoch": 2, "train_loss": value})
    assert epochs.rows == []
    assert shown.counts == []
