"""How far a training has come, and how long it has taken."""

import pytest

from enas_core.training import position
from enas_core.training.position import Position


@pytest.fixture
def clock(monkeypatch):
    """A clock that shows what is put into it."""
    times = [0.0]
    monkeypatch.setattr(position.time, "perf_counter", lambda: times[0])
    return times


def test_an_epoch(clock):
    at = Position()
    clock[0] = 100.0
    at.start_clock()
    for now in (101.0, 103.0):
        clock[0] = now
        at.finish_step()
    assert (at.epoch, at.step, at.train_seconds, at.seconds) == (0, 2, 3.0, 3.0)
    at.update += 1
    clock[0] = 110.0
    at.tick()
    assert (at.train_seconds, at.seconds) == (3.0, 10.0)
    at.next_epoch()
    assert at == Position(epoch=1)


def test_time_between_two_processes_does_not_count(clock):
    at = Position()
    at.start_clock()
    clock[0] = 2.0
    at.finish_step()
    resumed = Position()
    resumed.load_state_dict(at.state_dict())
    clock[0] = 1000.0
    resumed.start_clock()
    clock[0] = 1001.0
    resumed.tick()
    assert (resumed.step, resumed.train_seconds, resumed.seconds) == (1, 2.0, 3.0)
