"""Measuring what a step costs here."""

import pytest
from planned import IMAGES, small_experiment

from enas_core.planning import calibrate as calibration
from enas_core.planning.calibrate import Clock, calibrate


@pytest.fixture
def experiment():
    return small_experiment()


def test_a_clock_leaves_the_warm_up_out(monkeypatch):
    times = iter([100.0, 107.0, 109.0, 112.0, 114.0])
    monkeypatch.setattr(calibration.time, "monotonic", lambda: next(times))
    clock = Clock("cpu")
    for _ in range(4):
        clock.step()
    assert clock.seconds() == 2.0
    assert clock.start(began=99.0) == 8.0 - 2.0


def test_a_mistake_in_the_child_is_raised_here(experiment, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # none, for the child
    with pytest.raises(ValueError, match="no CUDA device is there"):
        calibrate("a", experiment, IMAGES, "search", "cuda")
