"""Command lines: exit codes, one line for a mistake, log files, progress, complete help."""

import argparse
import errno
import importlib
import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field

from enas_core import cli, final
from enas_core.console import RunError, log, progress, time_left
from enas_core.options import Parser, checked, run_stage

PROGRAMS = sorted(path.stem for path in Path(cli.__file__).parent.glob("*.py") if "def main(" in path.read_text())


def run(stage, *arguments):
    """Exit code of a stage that does what the function `stage` does."""
    return run_stage(Parser("mine", "A stage."), lambda options: stage(), list(arguments))


def raising(error):
    def stage():
        raise error

    return stage


# --- exit codes ---------------------------------------------------------------------------------


def test_success_is_0_and_silent(capsys):
    assert run(lambda: None) == 0
    assert capsys.readouterr() == ("", "")


OTHER_FILE = OSError(errno.ENOENT, "No such file or directory", "a", None, "b")


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ValueError("file.json: seed: 'x'"), 2, "error: file.json: seed: 'x'"),
        (ValueError("two\nlines\n  of text"), 2, "error: two lines of text"),
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


def test_an_error_of_our_own_has_its_traceback(tmp_path, capsys):
    assert run(raising(KeyError("bug")), "--log-file", str(tmp_path / "log")) == 1
    for text in (capsys.readouterr().err, (tmp_path / "log").read_text()):
        assert "Traceback" in text
        assert "KeyError: 'bug'" in text


def test_an_exit_passes_through_and_leaves_no_handler():
    with pytest.raises(SystemExit) as caught:
        run(raising(SystemExit(143)))
    assert caught.value.code == 143
    assert log.handlers == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--speed", "3"], ["unrecognized arguments: --speed 3"]),
        (["--log-file"], ["--log-file", "expected one argument"]),
        (["more"], ["unrecognized arguments: more"]),
    ],
)
def test_wrong_options_are_one_line(arguments, words, capsys):
    with pytest.raises(SystemExit) as caught:
        run(raising(AssertionError("it ran")), *arguments)
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert all(word in line for word in words)


@pytest.mark.parametrize("count", [1, 100_000])  # written at the end, or before
def test_ends_quietly_when_its_reader_has_seen_enough(count):
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "enas_core.random_arcs", "--num-nodes=1", f"--count={count}"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, timeout=60)
    os.close(writer)
    assert done.returncode == 128 + signal.SIGPIPE
    assert done.stderr == b""


# --- log lines ----------------------------------------------------------------------------------


def test_lines_go_to_the_terminal_and_with_their_time_to_the_log_file(tmp_path, capsys):
    path = tmp_path / "new/folder/stage.log"
    for number in (1, 2):
        assert run(lambda number=number: log.info("epoch %d", number), "--log-file", str(path)) == 0
    assert run(raising(ValueError("a\nmistake")), "--log-file", str(path)) == 2
    assert capsys.readouterr().err == "epoch 1\nepoch 2\nerror: a mistake\n"
    lines = path.read_text().splitlines()
    assert [re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ", "", line) for line in lines] == [
        "epoch 1",
        "epoch 2",
        "error: a mistake",
    ]
    assert lines[0] != "epoch 1"
    assert log.handlers == []


def test_a_log_file_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file/stage.log", tmp_path):
        assert run(raising(AssertionError("it ran")), "--log-file", str(path)) == 2
        (line,) = set(capsys.readouterr().err.splitlines())
        assert line.startswith(f"error: {tmp_path}")


def test_a_full_disk_costs_the_lines_not_the_run(capsys):
    assert run(lambda: log.info("a line"), "--log-file", "/dev/full") == 0
    assert capsys.readouterr().err == "a line\n"


# --- progress -----------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_on_a_terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    seen = []

    def stage():
        for step in progress(range(2, 5), "epoch 7", total=5, initial=2):
            seen.append(step)
            log.info("at %d", step)

    assert run(stage) == 0
    assert seen == [2, 3, 4]
    text = terminal.getvalue()
    assert "epoch 7:  40%" in text
    assert "2/5" in text
    assert all(re.search(rf"(^|[\r\n])at {step}\n", text) for step in seen)  # lines of their own, the bar below


def test_no_bar_elsewhere(capsys):
    assert list(progress(range(3), "epoch", total=3)) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("done", "total", "seconds", "expected"),
    [(1, 1, 5.0, "0:00:00"), (1, 3, 30.0, "0:01:00"), (2, 4, 7200.5, "2:00:00"), (1, 1001, 360.0, "100:00:00")],
)
def test_time_left(done, total, seconds, expected):
    assert time_left(done, total, seconds) == expected


# --- options ------------------------------------------------------------------------------------


def test_the_programs_are_found():
    assert {"prepare_data", "random_arcs", "search", "select_arc", "augment", "final", "config"} <= set(PROGRAMS)


def test_options_have_the_bounds_of_settings():
    parse = checked(Annotated[int, Field(ge=0, le=9)])
    assert parse("7") == 7
    for text, message in (("10", "'10': allowed is less than or equal to 9"), ("x\n" * 99, "valid integer")):
        with pytest.raises(argparse.ArgumentTypeError, match=message):
            parse(text)


def parser_of(name, monkeypatch):
    """The parser of a module's command line."""
    found = []

    def parse_args(parser, arguments=None, namespace=None):
        found.append(parser)
        raise SystemExit(0)

    with monkeypatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", parse_args)
        with pytest.raises(SystemExit):
            importlib.import_module(f"enas_core.{name}").main([])
    return found[0]


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_is_complete(name, monkeypatch, capsys):
    parser = parser_of(name, monkeypatch)
    assert parser.prog == f"python -m enas_core.{name}"
    assert parser.description
    for action in parser._actions:
        assert action.help, action.dest
        shown = parser._get_formatter()._expand_help(action)
        if action.option_strings and not action.required and action.default not in (None, False, [], argparse.SUPPRESS):
            assert str(action.default) in shown, action.dest
    if name != "config":  # which runs before there is a folder for logs
        assert "--log-file" in parser._option_string_actions

    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as caught:
        importlib.import_module(f"enas_core.{name}").main(["--help"])
    assert caught.value.code == 0
    printed = capsys.readouterr().out
    assert all(option in printed for action in parser._actions for option in action.option_strings)


REQUIRED = {
    "prepare_data": ["--out-dir", "out"],
    "search": "--data data --seed 1 --out-dir out --state-dir state --device cpu".split(),
    "select_arc": "--data data --seed 1 --supernet s.pt --out-dir out --arc-out out/arc.txt --device cpu".split(),
    "augment": (
        "--data data --arc-file arc.txt --network mine --seed 1 --out-dir out --state-dir state --device cpu".split()
    ),
    "random_arcs": "--count 1 --out out/arcs.parquet".split(),
}


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("content", [None, "{", '{"experiment": "a", "speed": 3}'])
def test_a_mistake_in_a_stages_settings_writes_nothing(name, content, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / "stage.json").write_text(content)
    before = sorted(tmp_path.rglob("*"))
    assert importlib.import_module(f"enas_core.{name}").main(["--config", "stage.json", *REQUIRED[name]]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: stage.json: ")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["search", "select_arc", "augment"])
@pytest.mark.parametrize("seed", ["-1", "1.5", "x", str(2**63)])
def test_a_wrong_seed(name, seed, capsys):
    arguments = ["--config", "c.json", *REQUIRED[name]]
    arguments[arguments.index("--seed") + 1] = seed
    with pytest.raises(SystemExit) as caught:
        importlib.import_module(f"enas_core.{name}").main(arguments)
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: argument --seed: '{seed}': ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--arc-out", "arc.txt"], ["--candidates or --arc"]),
        (["--arc", "0", "--candidates", "c.parquet", "--arc-out", "arc.txt"], ["--candidates or --arc"]),
        (["--arc", "0", "--out", "final.pt"], ["--arc needs --arc-out"]),
        (["--arc", "0 1 2", "--arc-out", "arc.txt"], ["8 integers a node", "got 3"]),
        (["--candidates", "c.parquet", "--out", "final.pt"], ["--models: one folder"]),
        (["--candidates", "c.parquet", "--models", "a", "b", "--out", "final.pt"], ["--models: one folder"]),
        (["--candidates", "c.parquet", "--arc-out", "arc.txt"], ["c.parquet: not a readable Parquet file"]),
    ],
)
def test_mistakes_of_final_write_nothing(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert final.main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert all(word in line for word in words), line
    assert list(tmp_path.iterdir()) == []
