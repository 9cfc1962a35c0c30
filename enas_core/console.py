"""What all stages share: options, inputs that must not change, log lines, progress, and one-line errors."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

log = logging.getLogger("enas_core")


T = TypeVar("T")


STDOUT = 1  # file descriptor


class UserError(ValueError):
    """The user has made a mistake: one line that names the file, the key and what is allowed; exit code 2.

    A ValueError, so that pydantic's validators may raise it."""


class RunError(Exception):
    """A run cannot go on, and no input is to blame for it: one line, exit code 1."""


def _reader_has_gone() -> bool:
    """Whether what reads stdout, such as `head`, has seen enough; if so the rest goes nowhere."""
    poll = select.poll()
    poll.register(STDOUT, 0)
    gone = any(event & select.POLLERR for _, event in poll.poll(0))
    if gone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)
    return gone


def _fail(message: str, code: int = 2) -> int:
    if not log.handlers:  # the log file itself could not be opened
        print(f"error: {message}", file=sys.stderr)
    # Of the processes of one training each says what went wrong with itself; a mistake is said once.
    log.log(logging.ERROR if code == 2 else logging.CRITICAL, "error: %s", message)
    return code


def _start_logging(log_file: Path | None) -> None:
    log.setLevel(logging.INFO)
    log.propagate = False
    log.addHandler(_TerminalHandler())
    if log_file is not None:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        handler = _LogFile(log_file)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        log.addHandler(handler)


class _LogFile(logging.FileHandler):
    """Lines that a full disk does not take are on the terminal, at least."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Go on without this line."""

    def close(self) -> None:
        """Go on without what is left to write."""
        with contextlib.suppress(OSError):
            super().close()


class _TerminalHandler(logging.Handler):
    """Lines to stderr, above the progress bar where there is one, as long as somebody reads them."""

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):  # a run outlives its terminal
            tqdm.write(self.format(record), file=sys.stderr)


def progress(items: Iterable[T], description: str, total: int, initial: int = 0) -> Iterable[T]:
    """`items` with a progress bar on a terminal, and without one elsewhere."""
    return tqdm(items, desc=description, total=total, initial=initial, leave=False, disable=None, dynamic_ncols=True)


def time_left(done: int, total: int, seconds: float) -> str:
    """Time for the rest at the pace of the first `done` of `total`, as h:mm:ss."""
    rest = round(seconds / done * (total - done))
    return f"{rest // 3600}:{rest // 60 % 60:02}:{rest % 60:02}"
