"""Work on many images by all cores, a few of them under way at a time: memory does not grow with their number."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0))


def in_parallel(pool: ThreadPoolExecutor, work: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
    """The results of `work`, in the order of `items`, of which only a few are under way at a time."""
    waiting: deque[Future[B]] = deque()
    with _cancelled_at_the_end(waiting):
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > 4 * cores():
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@contextmanager
def _cancelled_at_the_end(waiting: deque[Future[B]]) -> Iterator[None]:
    """What has not begun when an error ends the work need not begin."""
    try:
        yield
    finally:
        for future in waiting:
            future.cancel()
