"""What all stages share: options, inputs that must not change, log lines, progress, and one-line errors."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import logging
import os
import select
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar, get_args

from pydantic import Field, TypeAdapter, ValidationError
from tqdm import tqdm

from enas_core.config import Seed, Workflow

log = logging.getLogger("enas_core")

T = TypeVar("T")

STDOUT = 1  # file descriptor
MOST_GPUS = 64  # of one machine


class RunError(Exception):
    """A run cannot go on, and no input is to blame for it: one line, exit code 1."""


class Inputs:
    """The files that decide what a stage computes, as they are when it starts. A stage that outlives Snakemake must
    not write results of old settings to where a rerun expects those of new ones."""

    def __init__(self, *paths: Path) -> None:
        self.contents = {path: _digest(path) for path in paths}

    def require_unchanged(self) -> None:
        """To be called just before outputs are written. Raises RunError when a file is another one now."""
        for path, content in self.contents.items():
            if _digest(path) != content:
                raise RunError(f"{path}: changed since this stage started; its results are not written")


def _digest(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return None  # whoever reads it says so


def checked(kind: Any) -> Callable[[str], Any]:
    """Type of an option with the bounds of a settings' annotation."""
    adapter: TypeAdapter[Any] = TypeAdapter(kind)

    def parse(text: str) -> Any:
        try:
            return adapter.validate_strings(text)
        except ValidationError as error:
            message = error.errors()[0]["msg"].replace("Input should be", "allowed is")
            raise argparse.ArgumentTypeError(f"{text[:80]!r}: {message}") from None

    return parse


class Parser(argparse.ArgumentParser):
    """A stage's options; `--log-file` is in all of them. `module` is the stage's module."""

    def __init__(self, module: str, description: str) -> None:
        super().__init__(prog=f"python -m enas_core.{module}", description=description)
        self.add_argument("--log-file", type=Path, help="append plain progress lines to this file")

    def error(self, message: str) -> NoReturn:
        """One line, exit code 2."""
        self.exit(2, f"error: {' '.join(message.split())} (--help explains the options)\n")

    def add_settings(self, stage: str) -> None:
        """`--config`."""
        self.add_argument(
            "--config", type=Path, required=True, help=f"resolved settings (config/{stage}.json of the experiment)"
        )

    def add_data(self) -> None:
        """`--data`."""
        self.add_argument("--data", type=Path, required=True, help="folder that prepare_data has written")

    def add_seed(self, meaning: str) -> None:
        """`--seed`."""
        self.add_argument("--seed", type=checked(Seed), required=True, help=meaning)

    def add_state(self) -> None:
        """`--state-dir`, `--save-every`."""
        save_every = Workflow.model_fields["save_every"]
        self.add_argument("--state-dir", type=Path, required=True, help="where the state to resume from is kept")
        self.add_argument(
            "--save-every",
            type=checked(Annotated[float, save_every]),
            metavar="MINUTES",
            default=save_every.default,
            help="time between two saves of the state, besides the one after each epoch (default: %(default)s)",
        )

    def add_tensorboard(self) -> None:
        """`--tensorboard`."""
        self.add_argument(
            "--tensorboard", action="store_true", help="also write TensorBoard event files into the output folder"
        )

    def add_device(self) -> None:
        """`--device`."""
        device = Workflow.model_fields["device"]
        self.add_argument(
            "--device",
            choices=get_args(device.annotation),
            default=device.default,
            help="where to compute (default: %(default)s)",
        )

    def add_gpus(self, most: int = 1) -> None:
        """`--gpus`, up to `most`."""
        self.add_argument(
            "--gpus",
            type=checked(Annotated[int, Field(ge=0, le=most)]),
            default=1,
            help="so many of this machine's GPUs are taken, each for this stage alone: those of CUDA_VISIBLE_DEVICES,"
            " or free ones among them if it lists more; 0 is the CPU"
            + ("; several: one process on each (without GPUs: so many processes)" if most > 1 else "")
            + " (default: %(default)s)",
        )


def run_stage(parser: Parser, stage: Callable[[argparse.Namespace], None], arguments: list[str] | None) -> int:
    """Parse, run, and turn the user's mistakes (ValueError) and the machine's (OSError) into one line.

    Returns the exit code: 0; 2 after a mistake; 1 after a run that failed by itself (RunError, or memory that did
    not suffice), or, with the traceback in the log, after an error of our own; 130 after SIGINT."""
    options = parser.parse_args(arguments)
    options.arguments = sys.argv[1:] if arguments is None else arguments
    try:
        _start_logging(options.log_file)
        stage(options)
        sys.stdout.flush()
    except ValueError as error:
        return _fail(" ".join(str(error).split()))
    except RunError as error:
        return _fail(str(error), code=1)
    except KeyboardInterrupt:
        return _fail("interrupted", code=130)
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _reader_has_gone():
            return 128 + signal.SIGPIPE
        return _fail(f"{error.filename2 or error.filename or 'input/output'}: {error.strerror or error}")
    except Exception as error:
        if isinstance(error, MemoryError) or "out of memory" in str(error) or "allocate memory" in str(error):
            return _fail(f"the memory does not suffice: {' '.join(str(error).split())[:200]}", code=1)
        log.critical("unexpected error", exc_info=True)
        return 1
    finally:
        for handler in list(log.handlers):
            log.removeHandler(handler)
            handler.close()
    return 0


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
