"""How processes divide work, and which errors say that one of them has ended. tests/parallel runs several."""

from itertools import pairwise

import pytest
import torch
import torch.distributed as dist
from hypothesis import given
from hypothesis import strategies as st

from enas_core.training.processes import ALONE, Processes, is_connection_lost

counts = st.integers(1, 9)


@given(start=st.integers(0, 1000), size=st.integers(0, 200), count=counts)
def test_parts_of_a_batch_are_the_whole_batch(start, size, count):
    parts = [Processes(rank, count).part(start, start + size) for rank in range(count)]
    assert parts[0][0] == start
    assert parts[-1][1] == start + size
    assert all(a[1] == b[0] for a, b in pairwise(parts))
    lengths = [stop - first for first, stop in parts]
    assert max(lengths) - min(lengths) <= 1


@given(tasks=st.integers(0, 50), count=counts)
def test_every_task_is_dealt_once_in_equally_many_rounds(tasks, count):
    dealt = [list(Processes(rank, count).deal(tasks)) for rank in range(count)]
    assert len({len(rounds) for rounds in dealt}) == 1
    assert sorted(task for rounds in dealt for task in rounds if task is not None) == list(range(tasks))


def test_one_process_needs_no_others():
    assert list(ALONE.deal(3)) == [0, 1, 2]
    assert ALONE.largest(7) == 7
    assert ALONE.sum(torch.tensor([1.0, 2.0])).tolist() == [1.0, 2.0]
    assert [t.tolist() for t in ALONE.mean([torch.tensor([1.0]), torch.tensor([[2.0, 3.0]])])] == [[1.0], [[2.0, 3.0]]]
    ALONE.wait()


PAIR = "[/__w/pytorch/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:561]"


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (RuntimeError(f"{PAIR} Connection closed by peer [127.0.0.1]:36235. This is typically caused by ..."), True),
        (RuntimeError(f"{PAIR} Read error [127.0.0.1]:23474: Connection reset by peer. This is ..."), True),
        (RuntimeError(f"{PAIR} writev [127.0.0.1]:23474: Broken pipe"), True),
        (dist.DistNetworkError("failed to recv, got 0 bytes"), True),
        (RuntimeError(f"{PAIR} Timed out waiting 1800000ms for recv operation to complete"), False),
        (RuntimeError("Connection closed by peer: gloo"), False),
        (RuntimeError("No backend type associated with device type meta; gloo, nccl"), False),
        (dist.DistBackendError("NCCL error: invalid usage (run with NCCL_DEBUG=WARN for details)"), False),
    ],
)
def test_only_a_lost_connection_is_one(error, lost):
    assert is_connection_lost(error) == lost
