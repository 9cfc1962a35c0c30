"""How every command is called, runs and fails, and the options that several commands share.

A command is a typed function: its parameters are its options, its docstring is its help. `run_command` runs it as
`python -m enas_core.NAME`, and `enas_core.__main__` gathers all of them in the program `enas`. An option that mirrors a
setting takes its kind, bounds and meaning from the setting's model (`mirrored`), so that they are written once.
"""

from __future__ import annotations

import functools
import inspect
import logging
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import pydantic
from cyclopts import App, CoercionError, CycloptsError, Parameter, Token, UnknownCommandError, UnknownOptionError
from cyclopts import MissingArgumentError as MissingOptionError
from pydantic import BaseModel, Field, TypeAdapter

from enas_core.console import RunError, UserError, log, reader_has_gone, start_logging, stop_logging
from enas_core.fields import Seed
from enas_core.files.inputs import Inputs
from enas_core.settings.mistakes import one_line
from enas_core.settings.workflow import Workflow
from enas_core.version import VERSION

if TYPE_CHECKING:
    import torch

    from enas_core.training.processes import Processes
    from enas_core.training.run import Run

# --- what an option may be ----------------------------------------------------------------------------------------


def bounded(kind: Any, **more: Any) -> Parameter:
    """An option whose text must be of `kind`, an annotation with the bounds of a setting. `more`: as for Parameter."""
    adapter: TypeAdapter[Any] = TypeAdapter(kind)

    def convert(_: Any, tokens: Sequence[Token]) -> Any:
        text = tokens[0].value
        try:
            return adapter.validate_strings(text)
        except pydantic.ValidationError as error:
            raise ValueError(f"{text[:80]!r}: {in_our_words(error)}") from None

    return Parameter(converter=convert, **more)


def mirrored(model: type[BaseModel], setting: str, **more: Any) -> Parameter:
    """An option that mirrors a setting of `model`. `more`: as for Parameter."""
    field = model.model_fields[setting]
    facts: dict[str, Any] = {"help": " ".join((field.description or "").split())}
    if get_origin(field.annotation) is Literal:
        facts["choices"] = field.annotation
    return bounded(Annotated[field.annotation, field], **facts | more)


def default(model: type[BaseModel], setting: str) -> Any:
    """The default of an option that mirrors a setting."""
    return model.model_fields[setting].default


def several(least: int, **more: Any) -> Parameter:
    """An option followed by any number of words, but at least so many: `--networks A B C`. `more`: as for Parameter."""
    return Parameter(consume_multiple=least, negative="", show_default=False, **more)


def in_our_words(error: pydantic.ValidationError) -> str:
    """What is wrong with the first of the values."""
    return error.errors()[0]["msg"].replace("Input should be", "allowed is")


# --- options that commands share ----------------------------------------------------------------------------------

TogetherInOneClass = Parameter(name="*")
"""For a parameter whose class groups several options: they keep their own names."""

CommandLine = Annotated[Sequence[str], Parameter(parse=False)]
"""Not an option: `arguments` are the words that make `python -m enas_core.NAME` do the same again."""

AfterDashes = Annotated[Sequence[str], Parameter(parse=False)]
"""Not an option: `after_dashes` are the words that follow `--`, for another program."""

LogFile = Annotated[Path | None, Parameter(help="append plain progress lines to this file")]

ConfigFile = Annotated[Path, Parameter(help="resolved settings of this stage (config/STAGE.json of the experiment)")]

DataFolder = Annotated[Path, Parameter(help="folder that prepare_data has written")]

SeedOption = Annotated[int, bounded(Seed, help="seed of everything random in this run")]

Device = Annotated[str, mirrored(Workflow, "device")]
DEFAULT_DEVICE: str = default(Workflow, "device")

DataOnDevice = Annotated[str, mirrored(Workflow, "data_on_device")]
DEFAULT_DATA_ON_DEVICE: str = default(Workflow, "data_on_device")

ON_GPUS = (
    "so many of this machine's GPUs are taken, each for this stage alone: those of CUDA_VISIBLE_DEVICES, or free ones"
    " among them if it lists more; 0 is the CPU"
)
OneGpu = Annotated[int, bounded(Annotated[int, Field(ge=0, le=1)], help=ON_GPUS)]
Gpus = Annotated[
    int,
    bounded(
        Annotated[int, Field(ge=0, le=64)],
        help=f"{ON_GPUS}; several: one process on each (without GPUs: so many processes)",
    ),
]


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """What a training is of, and where it keeps its state and writes its results."""

    config: ConfigFile
    data: DataFolder
    seed: SeedOption
    out_dir: Annotated[Path, Parameter(help="folder for the table of epochs and the trained weights")]
    state_dir: Annotated[Path, Parameter(help="where the state to resume from is kept")]
    save_every: Annotated[float, mirrored(Workflow, "save_every", metavar="MINUTES")] = default(Workflow, "save_every")
    tensorboard: Annotated[
        bool, Parameter(negative="", help="also write TensorBoard event files into the output folder")
    ] = False
    data_on_device: DataOnDevice = DEFAULT_DATA_ON_DEVICE

    def run(self, inputs: Inputs, device: torch.device, processes: Processes) -> Run:
        """These options for the room that trains."""
        from enas_core.training.run import Run

        return Run(
            data=self.data,
            out_dir=self.out_dir,
            state_dir=self.state_dir,
            save_every=self.save_every,
            tensorboard=self.tensorboard,
            inputs=inputs,
            device=device,
            processes=processes,
            data_on_device=self.data_on_device,
        )


# --- how a command runs -------------------------------------------------------------------------------------------


def run_command(command: Callable[..., None], arguments: Sequence[str] | None = None) -> int:
    """Run `command`, the function that a module of the same name defines, as `python -m enas_core.NAME`."""
    app = command_line_of(f"python -m enas_core.{command.__name__}")
    app.default(command)
    return run_app(app, arguments)


def command_line_of(name: str) -> App:
    """A command line without commands."""
    # As with most programs, an option that is given again replaces what was given before.
    return App(name=name, version=version, default_parameter=Parameter(allow_repeating=True))


def version() -> str:
    """The version of this code."""
    return VERSION


def run_app(app: App, arguments: Sequence[str] | None = None) -> int:
    """Run what a command line asks for and return its exit code, which `exit_code` explains.

    Help ends with SystemExit 0, an option that does not exist or does not fit with one line and SystemExit 2."""
    arguments = sys.argv[1:] if arguments is None else arguments

    # The library's way to an option that all commands have: this function gets what is left without it.
    @app.meta.default
    def start(
        *words: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)], log_file: LogFile = None
    ) -> int:
        return exit_code(parsed(app, words, log_file), log_file)

    try:
        code = app.meta(arguments, print_error=False, exit_on_error=False, result_action="return_value")
    except CycloptsError as error:
        return refuse(error)
    if code is None:  # help or the version has been printed
        sys.exit(0)
    return code


def parsed(app: App, words: tuple[str, ...], log_file: Path | None) -> Callable[[], None]:
    """The command that the words of a command line call, with their values. Raises CycloptsError."""
    _, apps, own = app.parse_commands(words)
    called = apps[-1].default_command
    after_dashes: Sequence[str] = ()
    if called is not None and "after_dashes" in inspect.signature(called).parameters and "--" in words:
        position = words.index("--")
        words, after_dashes = words[:position], words[position + 1 :]
    command, bound, unused, not_parsed = app.parse_known_args(words)
    if unused:
        raise CycloptsError(msg=f"unrecognized arguments: {' '.join(unused)}")
    again = [*([] if log_file is None else [f"--log-file={log_file}"]), *own]
    given = {"arguments": again, "after_dashes": after_dashes}
    bound.arguments.update({name: given[name] for name in not_parsed})
    return functools.partial(command, *bound.args, **bound.kwargs)


def refuse(error: CycloptsError) -> int:
    """Say in one line what is wrong with a command line."""
    cause = error.__cause__
    if isinstance(cause, pydantic.ValidationError):  # of options that are together a model, which are named as there
        first = cause.errors()[0]
        name = str(first["loc"][0]).replace("_", "-")
        print(f"error: --{name}: {first['input']}: {in_our_words(cause)}", file=sys.stderr)
        return 2
    line = " ".join(what_is_wrong(error).split())
    print(f"error: {line} (--help explains the options)", file=sys.stderr)
    sys.exit(2)


def what_is_wrong(error: CycloptsError) -> str:
    """The library's errors in the words that command lines commonly use."""
    error.verbose = False  # the library's own text would name the function and its file
    name = error.argument.name if error.argument is not None else ""
    if isinstance(error, MissingOptionError):
        return f"argument {name}: expected one argument" if error.keyword else f"{name} is required"
    if isinstance(error, UnknownOptionError):
        return f"unrecognized arguments: {error.token.value}"
    if isinstance(error, UnknownCommandError):
        return f"unknown command {error.unused_tokens[0]!r}" if error.unused_tokens else "unknown command"
    if isinstance(error, CoercionError) and error.token is not None and get_origin(error.target_type) is Literal:
        choices = ", ".join(repr(choice) for choice in get_args(error.target_type))
        return f"argument {name}: {error.token.value[:80]!r}: allowed is one of {choices}"
    if isinstance(error.__cause__, ValueError):
        return f"argument {name}: {error.__cause__}"
    return str(error)


def exit_code(work: Callable[[], None], log_file: Path | None) -> int:
    """Do the work of a command. The only place where errors become exit codes.

    0: done. 2, with a line each: the user's mistakes (UserError), or a file that cannot be read or written (OSError).
    1, with one line: a run that failed by itself (RunError, or memory that did not suffice). 1, with the traceback:
    anything else, ValueError included, is an error of this project. 130: interrupted. 141: nobody reads the output."""
    try:
        with ctrl_c_interrupts():
            start_logging(log_file)
            work()
            sys.stdout.flush()
    except UserError as error:
        for line in error.lines:
            say(line, 2)
        return 2
    except RunError as error:
        return say(error, 1)
    except KeyboardInterrupt:
        return say("interrupted", 130)
    except OSError as error:
        if isinstance(error, BrokenPipeError) and reader_has_gone():
            return 128 + signal.SIGPIPE
        return say(f"{error.filename2 or error.filename or 'input/output'}: {error.strerror or error}", 2)
    except Exception as error:
        if memory_did_not_suffice(error):
            return say(f"the memory does not suffice: {' '.join(str(error).split())[:200]}", 1)
        log.critical("unexpected error", exc_info=True)
        return 1
    finally:
        stop_logging()
    return 0


@contextmanager
def ctrl_c_interrupts() -> Iterator[None]:
    """While the body runs, Ctrl-C raises KeyboardInterrupt also where it ends Python at once (see `enas_core`)."""
    at_once = signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    if at_once:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        if at_once:
            signal.signal(signal.SIGINT, signal.SIG_DFL)


def say(problem: object, code: int) -> int:
    """Write one line to the log and return the exit code.

    Of the processes of one training each says what went wrong with itself; a mistake of the user's, which all of them
    see, is of a lower level, so that only the first process says it."""
    log.log(logging.ERROR if code == 2 else logging.CRITICAL, "error: %s", one_line(str(problem)))
    return code


def memory_did_not_suffice(error: Exception) -> bool:
    """Whether this is what Python raises, or torch on one of its devices, or what loads torch's libraries."""
    if isinstance(error, ImportError):
        return "failed to map segment" in str(error) or "annot allocate memory" in str(error)
    if isinstance(error, RuntimeError):
        return "out of memory" in str(error) or "allocate memory" in str(error)
    return isinstance(error, MemoryError)
