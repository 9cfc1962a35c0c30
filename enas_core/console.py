"""What every room may use to talk to the person at the terminal: two kinds of errors, the log, and progress.

Lines of the log go to stderr, above the progress bar where there is one, and with their time to the file that a
command's option `--log-file` names. Results that people or other programs read are printed to stdout instead.
"""

from __future__ import annotations

import contextlib
import logging
import os
import reprlib
import select
import sys
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

log = logging.getLogger("enas_core")

Item = TypeVar("Item")

CLEAR_LINE = "\r\x1b[K"

WIDEST = 200
"""Characters of a line of the log on a terminal; a file has each message in one line."""

STDOUT_DESCRIPTOR = 1
"""The number by which the system knows this process's output."""


class UserError(ValueError):
    """The user has made a mistake: one line that names the file, the key and what is allowed; exit code 2. Or several
    mistakes, a line each: as one text, that is the first line and how many more there are.

    A ValueError, so that pydantic's validators may raise it."""

    def __init__(self, *lines: str) -> None:
        super().__init__(*lines)
        self.lines = lines

    def __str__(self) -> str:
        more = f" (and {len(self.lines) - 1} more)" if len(self.lines) > 1 else ""
        return self.lines[0] + more


def check_all(checks: Iterable[Callable[[], None]]) -> None:
    """Call all checks, and raise the mistakes of all of them at once, each of them once."""
    found: dict[str, None] = {}
    for check in checks:
        try:
            check()
        except UserError as error:
            found |= dict.fromkeys(error.lines)
    if found:
        raise UserError(*found)


class RunError(Exception):
    """A run cannot go on, and no input is to blame for it: one line, exit code 1."""


SHOWN_CHARACTERS = 80
"""A longer value is cut in a message."""

_cut = reprlib.Repr()
_cut.maxstring = _cut.maxother = 1000


def shown(value: object) -> str:
    """A value for a message, cut where it is long. Takes no time for what is left out, which may be more than any
    memory holds: a short YAML file can stand for billions of values."""
    text = _cut.repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 3]}..."


def escaped(text: str) -> str:
    """Text that may come from a file, for a terminal: characters that would move its cursor or change its colours, and
    those that cannot be written, are shown by their codes."""
    return "".join(
        letter if letter.isprintable() or letter in "\n\t" else letter.encode("unicode_escape").decode()
        for letter in text
    )


class EscapingFormatter(logging.Formatter):
    """Lines name files, and what is in them."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, with its traceback if it has one."""
        return escaped(super().format(record))


def start_logging(log_file: Path | None) -> None:
    """Send the log to the terminal and, where one is given, to a file. Raises OSError when that cannot be written."""
    log.setLevel(logging.INFO)
    log.propagate = False
    terminal = TerminalHandler()
    terminal.setFormatter(EscapingFormatter())
    log.addHandler(terminal)
    if log_file is not None:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        handler = LogFileHandler(log_file)
        handler.setFormatter(EscapingFormatter("%(asctime)s %(message)s"))
        log.addHandler(handler)


def stop_logging() -> None:
    """Close what `start_logging` has opened."""
    for handler in list(log.handlers):
        log.removeHandler(handler)
        handler.close()


class LogFileHandler(logging.FileHandler):
    """A log file on a full disk loses its lines, which the terminal still shows; the run goes on."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Go on without the line that could not be written."""

    def close(self) -> None:
        """Go on without what is left to write."""
        with contextlib.suppress(OSError):
            super().close()


class TerminalHandler(logging.Handler):
    """Writes lines above the progress bar. A run outlives its terminal, so a closed one is no error."""

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if record.levelno < logging.ERROR:  # an error is one line
            text = textwrap.fill(text, WIDEST, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
        # Where the bar of another process stands in this line of the terminal, its rest would stay beside the text.
        clear = CLEAR_LINE if sys.stderr.isatty() else ""
        with contextlib.suppress(OSError):
            tqdm.write(clear + text, file=sys.stderr)


def reader_has_gone() -> bool:
    """Whether what reads this process's output, such as `head`, has seen enough. If so, the rest goes nowhere."""
    poll = select.poll()
    poll.register(STDOUT_DESCRIPTOR, 0)
    gone = any(event & select.POLLERR for _, event in poll.poll(0))
    if gone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT_DESCRIPTOR)
    return gone


def progress(items: Iterable[Item], description: str, total: int, initial: int = 0) -> Iterable[Item]:
    """`items` with a progress bar on a terminal, and without one elsewhere. `initial` of `total` are done already."""
    return tqdm(items, desc=description, total=total, initial=initial, leave=False, disable=None, dynamic_ncols=True)


def time_left(done: int, total: int, seconds: float) -> str:
    """Time for the rest at the pace of the first `done` of `total`, as h:mm:ss."""
    rest = round(seconds / done * (total - done))
    return f"{rest // 3600}:{rest // 60 % 60:02}:{rest % 60:02}"
