"""All commands: their help, `enas` with all of them, and mistakes before any work."""

import importlib
import inspect
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import enas_core
from enas_core import __main__ as enas
from enas_core import final, options

PACKAGE = Path(enas_core.__file__).parent
COMMANDS = sorted(
    path.stem for path in PACKAGE.glob("*.py") if path.stem != "__main__" and "def main(" in path.read_text()
)


def main_of(name):
    """The entry of a command."""
    return importlib.import_module(f"enas_core.{name}").main


def function_of(name):
    """The function of a command."""
    return vars(importlib.import_module(f"enas_core.{name}"))[name]


# --- help ---------------------------------------------------------------------------------------


def test_the_commands_are_found():
    assert {"prepare_data", "random_arcs", "search", "select_arc", "augment", "final", "config"} <= set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_complete(name, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as caught:
        main_of(name)(["--help"])
    assert caught.value.code == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"Usage: python -m enas_core.{name} ")
    app = enas.command_line_of("x")
    app.default(function_of(name))
    for argument in app.assemble_argument_collection():
        if argument.parse and argument.show:
            assert argument.parameter.help or argument.field_info.help, argument.name
            assert argument.name in printed
            default = argument.field_info.default
            if argument.parameter.show_default is None and isinstance(default, str | int | float) and default:
                assert f"[default: {default}]" in " ".join(printed.replace("│", " ").split()), argument.name
    assert "--log-file" in printed


def example_of(name):
    """The words of the example in a command's help, as one would type them."""
    (text,) = re.findall(r"^Example: (.*)", inspect.getdoc(function_of(name)), re.MULTILINE | re.DOTALL)
    return shlex.split(text)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example_that_could_be_run(name):
    program, command, *words = example_of(name)
    assert (program, command) == ("enas", name.replace("_", "-"))
    call = options.parsed(enas.program([command]), (command, *words), None)
    assert call.func is function_of(name)


# --- enas ---------------------------------------------------------------------------------------


def test_enas_has_every_command_with_the_first_line_of_its_help():
    table = {name: line for commands in enas.COMMANDS.values() for name, line in commands.items()}
    assert sorted(table) == COMMANDS
    for name, line in table.items():
        assert inspect.getdoc(function_of(name)).splitlines()[0] == line


def test_enas_is_installed_as_a_program():
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    module, _, function = project["scripts"]["enas"].partition(":")
    assert getattr(importlib.import_module(module), function) is enas.main


def test_enas_without_a_command_prints_its_help(capsys):
    assert enas.main([]) == 0
    assert capsys.readouterr().out.startswith("Usage: enas COMMAND")


def test_enas_lists_its_commands_in_groups(capsys):
    with pytest.raises(SystemExit, match="0"):
        enas.main(["--help"])
    printed = capsys.readouterr().out
    places = [
        printed.index(text) for text in ("For people", "config", "show-arc", "Stages", "prepare-data", "select-arc")
    ]
    assert places == sorted(places)


def test_enas_runs_a_command(capsys):
    assert enas.main(["random-arcs", "--num-nodes", "1", "--count", "2"]) == 0
    by_enas = capsys.readouterr().out
    assert main_of("random_arcs")(["--num-nodes", "1", "--count", "2"]) == 0
    assert capsys.readouterr().out == by_enas


def test_enas_passes_on_what_follows_dashes(capsys):
    assert enas.main(["from-flags", "--name", "x", "--", "--nonsense", "--", "--help"]) == 2
    assert capsys.readouterr().err.startswith("error: --nonsense: unknown flag")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["serch"], "error: unknown command 'serch' (--help explains the options)"),
        (["select_arc"], "error: unknown command 'select_arc' (--help explains the options)"),
        (["final", "--speed"], "error: unrecognized arguments: --speed (--help explains the options)"),
        (["--speed"], "error: unknown command '--speed' (--help explains the options)"),
    ],
)
def test_mistakes_of_enas_are_one_line(arguments, line, capsys):
    with pytest.raises(SystemExit, match="2"):
        enas.main(arguments)
    assert capsys.readouterr().err == f"{line}\n"


def test_help_of_one_command_is_the_longer_one(capsys):
    with pytest.raises(SystemExit, match="0"):
        enas.main(["prepare-data", "--help"])
    printed = capsys.readouterr().out
    assert printed.startswith("Usage: enas prepare-data ")
    assert "test_labels.npy" in printed
    assert "--log-file" in printed


@pytest.mark.parametrize("arguments", [["--version"], ["search", "--version"]])
def test_version(arguments, capsys):
    with pytest.raises(SystemExit, match="0"):
        enas.main(arguments)
    assert capsys.readouterr().out.strip() == enas_core.__version__


def test_completion(tmp_path):
    environment = os.environ | {"HOME": str(tmp_path), "SHELL": "/bin/bash"}
    command = [sys.executable, "-m", "enas_core", "--install-completion", "--shell", "bash"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    script = (tmp_path / ".local/share/bash-completion/completions/enas").read_text()
    assert all(word in script for word in ("select-arc", "--state-dir"))


# --- mistakes -----------------------------------------------------------------------------------


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
    assert main_of(name)(["--config", "stage.json", *REQUIRED[name]]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: stage.json: ")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["search", "select_arc", "augment"])
@pytest.mark.parametrize("seed", ["-1", "1.5", "x", str(2**63)])
def test_a_wrong_seed(name, seed, capsys):
    arguments = ["--config", "c.json", *REQUIRED[name]]
    arguments[arguments.index("--seed") + 1] = seed
    with pytest.raises(SystemExit) as caught:
        main_of(name)(arguments)
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
        (["--candidates", "c.parquet"], ["--out or --arc-out is needed"]),
        (["--candidates", "c.parquet", "--out", "x", "--arc-out", "y"], ["--out or --arc-out is needed"]),
    ],
)
def test_mistakes_of_final_write_nothing(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert final.main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert all(word in line for word in words), line
    assert list(tmp_path.iterdir()) == []
