"""What all stages share: options, inputs that must not change, log lines, progress, and one-line errors."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn, get_args

from pydantic import Field, TypeAdapter, ValidationError

from enas_core.console import RunError, UserError, _fail, _reader_has_gone, _start_logging, log
from enas_core.fields import Seed
from enas_core.settings.workflow import Workflow

MOST_GPUS = 64  # of one machine


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
    """Parse, run, and turn the user's mistakes (UserError) and the machine's (OSError) into one line.

    Returns the exit code: 0; 2 after a mistake; 1 after a run that failed by itself (RunError, or memory that did
    not suffice), or, with the traceback in the log, after an error of our own; 130 after SIGINT."""
    options = parser.parse_args(arguments)
    options.arguments = sys.argv[1:] if arguments is None else arguments
    try:
        _start_logging(options.log_file)
        stage(options)
        sys.stdout.flush()
    except UserError as error:
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
