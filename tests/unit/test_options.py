"""How a command runs: exit codes, one line for a mistake, options with the bounds of settings, what it is given."""

import errno
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import pytest
from cyclopts import Parameter
from pydantic import Field, TypeAdapter, ValidationError

from enas_core.console import RunError, UserError, log
from enas_core.fields import Settings
from enas_core.options import (
    AfterDashes,
    CommandLine,
    TogetherInOneClass,
    bounded,
    default,
    exit_code,
    mirrored,
    run_command,
    several,
)


def run(work, *arguments):
    """Exit code of a command that does what the function `work` does."""

    def mine() -> None:
        """A command."""
        work()

    return run_command(mine, list(arguments))


def raising(error):
    def work():
        raise error

    return work


# --- exit codes ---------------------------------------------------------------------------------


def test_success_is_0_and_silent(capsys):
    assert run(lambda: None) == 0
    assert capsys.readouterr() == ("", "")


OTHER_FILE = OSError(errno.ENOENT, "No such file or directory", "a", None, "b")


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UserError("file.json: seed: 'x'"), 2, "error: file.json: seed: 'x'"),
        (UserError("two\nlines\n  of text"), 2, "error: two lines of text"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "x.pt"), 2, "error: x.pt: No such file or dir"),
        (OTHER_FILE, 2, "error: b: No such file or directory"),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "error: input/output: No space left on device"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 2, "error: input/output: Broken pipe"),  # not of the output
        (OSError("truncated"), 2, "error: input/output: truncated"),
        (RunError("it diverged"), 1, "error: it diverged"),
        (KeyboardInterrupt(), 130, "error: interrupted"),
        (MemoryError(), 1, "error: the memory does not suffice"),
        (RuntimeError("CUDA out of memory.\nTried to allocate"), 1, "error: the memory does not suffice: CUDA out of"),
    ],
    ids=repr,
)
def test_an_error_is_one_line_and_an_exit_code(error, code, line, capsys):
    assert run(raising(error)) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(line)
    assert len(printed.err.splitlines()) == 1


def unpack_wrongly():
    _first, _second = (1,)


def check_settings_of_our_own():
    TypeAdapter(int).validate_python("x")


@pytest.mark.parametrize(
    ("work", "name"),
    [
        (raising(KeyError("bug")), "KeyError: 'bug'"),
        (raising(ValueError("out of memory")), "ValueError: out of memory"),
        (lambda: list(zip([1], [1, 2], strict=True)), "ValueError: zip"),
        (unpack_wrongly, "ValueError: not enough values to unpack"),
        (check_settings_of_our_own, "ValidationError: 1 validation error"),
        (raising(RuntimeError("gloo: connection closed")), "RuntimeError: gloo"),
    ],
)
def test_an_error_of_our_own_has_its_traceback(work, name, tmp_path, capsys):
    assert run(work, "--log-file", str(tmp_path / "log")) == 1
    for text in (capsys.readouterr().err, (tmp_path / "log").read_text()):
        assert "Traceback" in text
        assert name in text


def test_an_exit_passes_through_and_leaves_no_handler():
    with pytest.raises(SystemExit) as caught:
        run(raising(SystemExit(143)))
    assert caught.value.code == 143
    assert log.handlers == []


def test_an_error_is_also_in_the_log_file(tmp_path, capsys):
    path = tmp_path / "stage.log"
    assert run(raising(UserError("a\nmistake")), "--log-file", str(path)) == 2
    assert capsys.readouterr().err == "error: a mistake\n"
    assert re.fullmatch(r"\S+ \S+ error: a mistake\n", path.read_text())
    assert log.handlers == []


def test_a_log_file_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file/stage.log", tmp_path):
        assert run(raising(AssertionError("it ran")), "--log-file", str(path)) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"error: {tmp_path}")


@pytest.mark.parametrize("count", [1, 100_000])  # written at the end, or before
def test_ends_quietly_when_its_reader_has_seen_enough(count):
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "enas_core.random_arcs", "--num-nodes=1", f"--count={count}"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, timeout=60)
    os.close(writer)
    assert done.returncode == 128 + signal.SIGPIPE
    assert done.stderr == b""


# --- options ------------------------------------------------------------------------------------


class Shape(Settings):
    """What options mirror."""

    nodes: Annotated[int, Field(ge=1, le=9)] = 5
    """How many
    of them."""
    form: Literal["round", "flat"] = "flat"
    """Which."""


class ShapeOptions(Shape, strict=False):
    """The same as options of one class."""


SHAPE = ShapeOptions()
called = []


def everything(
    files: Annotated[Sequence[Path], Parameter(help="files")] = (),
    /,
    *,
    lists: Annotated[Sequence[Path], several(1, help="one or more")] = (),
    size: Annotated[int, bounded(Annotated[int, Field(ge=0, le=9)], help="a size")] = 0,
    count: Annotated[int, mirrored(Shape, "nodes", name="--count")] = default(Shape, "nodes"),
    kind: Annotated[str, mirrored(Shape, "form", name="--kind")] = default(Shape, "form"),
    shape: Annotated[ShapeOptions, TogetherInOneClass] = SHAPE,
    needed: Annotated[int, Parameter(help="needed")],
    arguments: CommandLine,
) -> None:
    """Notes what it was called with."""
    called.append(dict(locals()))


def values_of(*arguments):
    """What `everything` is called with."""
    called.clear()
    assert run_command(everything, list(arguments)) == 0
    return called[0]


def refused(capsys, *arguments):
    """The one line with which a command line is refused."""
    called.clear()
    with pytest.raises(SystemExit) as caught:
        run_command(everything, list(arguments))
    assert (caught.value.code, called) == (2, [])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert line.endswith(" (--help explains the options)")
    return line.removeprefix("error: ").removesuffix(" (--help explains the options)")


def test_values_and_defaults():
    found = values_of("a", "--lists", "b", "c", "--size=7", "--needed", "-1", "--nodes", "3")
    assert (found["files"], found["lists"]) == ([Path("a")], [Path("b"), Path("c")])
    assert (found["size"], found["count"], found["kind"], found["needed"]) == (7, 5, "flat", -1)
    assert (found["shape"], found["shape"].model_fields_set) == (ShapeOptions(nodes=3), {"nodes"})
    assert values_of("--needed=1")["shape"].model_fields_set == set()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--speed", "3"], "unrecognized arguments: --speed"),
        (["--log-file"], "argument --log-file: expected one argument"),
        (["--lists", "--size", "1"], "argument --lists: expected one argument"),
        (["--size", "10"], "argument --size: '10': allowed is less than or equal to 9"),
        (["--size="], "argument --size: '': allowed is a valid integer, unable to parse string as an integer"),
        (["--count", "x\n" * 99], "argument --count: 'x\\nx\\n"),
        (["--kind", "square"], "argument --kind: 'square': allowed is one of 'round', 'flat'"),
        ([], "--needed is required"),
    ],
)
def test_wrong_options_are_one_line(arguments, expected, capsys):
    assert refused(capsys, *arguments).startswith(expected)


@pytest.mark.parametrize("arguments", [["more"], ["--speed", "3"], ["--speed=3", "more"], ["--", "--log-file=x"]])
def test_a_command_without_options_says_which_it_does_not_know(arguments, capsys):
    with pytest.raises(SystemExit, match="2"):
        run(raising(AssertionError("it ran")), *arguments)
    words = " ".join(word for word in arguments if word != "--")
    assert capsys.readouterr().err == f"error: unrecognized arguments: {words} (--help explains the options)\n"


def test_options_that_are_together_a_model_are_named_as_in_a_file(capsys):
    assert run_command(everything, ["--needed=1", "--nodes=10"]) == 2
    assert capsys.readouterr().err == "error: --nodes: 10: allowed is less than or equal to 9\n"


def test_help_of_an_option_that_mirrors_a_setting():
    option = mirrored(Shape, "nodes")
    assert option.help == "How many of them."
    assert mirrored(Shape, "form").choices == Literal["round", "flat"]
    assert mirrored(Shape, "nodes", help="other").help == "other"


def test_what_a_command_is_given_beside_its_options(tmp_path):
    words = ["--needed", "1", f"--log-file={tmp_path / 'log'}", "a"]
    assert values_of(*words)["arguments"] == [f"--log-file={tmp_path / 'log'}", "--needed", "1", "a"]

    def dashes(*, x: int = 0, after_dashes: AfterDashes) -> None:
        called.append((x, tuple(after_dashes)))

    called.clear()
    for line in ("", "--x 3", "--x 3 --", "-- -a --help -- --log-file=x"):
        assert run_command(dashes, line.split()) == 0
    assert called == [(0, ()), (3, ()), (3, ()), (0, ("-a", "--help", "--", "--log-file=x"))]


def test_validation_errors_are_not_mistakes_of_the_user_unless_a_file_is_read(capsys):
    def work():
        Shape(nodes=10)

    with pytest.raises(ValidationError):
        work()
    assert exit_code(work, None) == 1
    assert "Traceback" in capsys.readouterr().err


# --- Ctrl-C while a command starts ---------------------------------------------------------------

INTERRUPTED = """
import os, signal, sys
def hook(event, arguments):
    if event == "import" and arguments[0] == "{module}":
        os.kill(os.getpid(), signal.SIGINT)
sys.addaudithook(hook)
"""


def interrupted_at_import(module, command, folder):
    """How a command ends to which Ctrl-C happens when it is about to import `module`."""
    (folder / "sitecustomize.py").write_text(INTERRUPTED.format(module=module))
    return subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored, where tests run in the background
    )


@pytest.mark.parametrize("module", ["cyclopts", "pydantic", "tqdm"])
@pytest.mark.parametrize("command", [[sys.executable, "-m", "enas_core.final"], [Path(sys.executable).parent / "enas"]])
def test_ctrl_c_at_the_imports_of_a_command_ends_it_without_a_traceback(module, command, tmp_path):
    ended = interrupted_at_import(module, command, tmp_path)
    assert (ended.returncode, ended.stderr) == (-signal.SIGINT, "")


def test_ctrl_c_when_a_command_works_is_said(tmp_path):
    command = [sys.executable, "-m", "enas_core.final", "--candidates", "missing.parquet", "--arc-out", "arc.txt"]
    ended = interrupted_at_import("pyarrow", command, tmp_path)
    assert (ended.returncode, ended.stderr) == (130, "error: interrupted\n")


def test_importing_the_package_leaves_ctrl_c_alone(tmp_path):
    program = "import signal, enas_core; assert signal.getsignal(signal.SIGINT) is signal.default_int_handler"
    subprocess.run(
        [sys.executable, "-c", program], check=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    )


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError("no more"), 1),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), 1),
        (ImportError("libtorch_cpu.so: cannot allocate memory in static TLS block"), 1),
    ],
)
def test_too_little_memory_is_one_line(error, code, capsys):
    def work():
        raise error

    assert exit_code(work, None) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"error: the memory does not suffice: {error}"


def test_control_characters_of_a_file_do_not_reach_the_terminal(capsys, tmp_path):
    def work():
        raise UserError("model.pt: classes: a\x1b[2Jb\u202ec")

    assert exit_code(work, tmp_path / "log") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == r"error: model.pt: classes: a\x1b[2Jb\u202ec"
    assert line in (tmp_path / "log").read_text()
