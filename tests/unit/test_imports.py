"""What importing a module does: nothing but define things, and nothing that takes long.

The floors of the package, who may import whom, are import-linter's contract in pyproject.toml.
"""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "enas_core"
FILES = sorted(PACKAGE.rglob("*.py"))
COMMANDS = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")
HEAVY = ["torch", "torchvision", "sklearn", "scipy", "matplotlib", "pandas", "snakemake"]


def name_of(path):
    """A file by its place in the package."""
    return str(path.relative_to(PACKAGE))


def imports(tree):
    """Dotted names of all modules that a source text imports, wherever it does; also `package.name` of every
    `from package import name`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_are_absolute_and_know_nothing_of_snakemake(path):
    found = set(imports(ast.parse(path.read_text())))
    assert not {dotted for dotted in found if dotted.startswith(".")}
    assert "snakemake" not in {dotted.split(".")[0] for dotted in found}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_private_name_crosses_modules(path):
    own = {dotted for dotted in imports(ast.parse(path.read_text())) if dotted.startswith("enas_core.")}
    private = {dotted for dotted in own for name in dotted.split(".") if name.startswith("_") and name[1] != "_"}
    assert private == set()


def test_the_check_sees_imports_of_every_form():
    text = "import a.b\ndef f():\n    from enas_core import search as s\n    from . import x\n"
    assert set(imports(ast.parse(text))) == {"a.b", "enas_core", "enas_core.search", ".", "..x"}


DEFINITIONS = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign


def runs_at_import(statement):
    """Whether a statement of a module does more than define something (or say something: a docstring)."""
    if isinstance(statement, ast.If):  # `if __name__ == "__main__"`, `if TYPE_CHECKING`
        names = {node.id for node in ast.walk(statement.test) if isinstance(node, ast.Name)}
        return names not in ({"__name__"}, {"TYPE_CHECKING"})
    if isinstance(statement, ast.Expr):
        return not isinstance(statement.value, ast.Constant)
    return not isinstance(statement, DEFINITIONS)


CTRL_C = "signal.signal(signal.SIGINT, signal.SIG_DFL)"
"""The one thing that is done at an import: what Ctrl-C does to a command until it works. It must come first."""


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_modules_only_define(path):
    body = ast.parse(path.read_text()).body
    work = [ast.unparse(statement) for statement in body if runs_at_import(statement)]
    assert [text for text in work if not (name_of(path) == "__init__.py" and text.endswith(CTRL_C))] == []


def test_the_check_sees_work():
    body = ast.parse("'text'\nx = 1\nprint(x)\nfor i in x: pass\nif x: pass\nif TYPE_CHECKING: import y").body
    assert [runs_at_import(statement) for statement in body] == [False, False, True, True, True, False]


def heavy_after(program):
    """The heavy libraries that are imported when a program has run in a process of its own."""
    text = f"{program}\nimport json, sys; print(json.dumps([name for name in {HEAVY} if name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_importing_all_commands_imports_nothing_heavy():
    modules = ", ".join(f"enas_core.{name}" for name in COMMANDS)
    assert heavy_after(f"import {modules}") == []


@pytest.mark.parametrize("option", ["--help", "--nonsense"])
def test_help_and_a_wrong_option_import_nothing_heavy(option):
    commands = [name for name in COMMANDS if name not in ("console", "options", "fields", "version")]
    calls = [f"try: enas_core.{name}.main(['{option}'])\nexcept SystemExit: pass" for name in commands]
    imported = [f"import enas_core.{name}" for name in commands]
    assert heavy_after("\n".join(imported + calls)) == []


COMMON = ["--config", "bad.json", "--data", "data", "--seed", "1", "--out-dir", "out"]
TRAINING = [*COMMON, "--state-dir", "state"]
BAD_FILES = {
    "prepare_data": ["--config", "bad.json", "--out-dir", "out"],
    "random_arcs": ["--config", "bad.json", "--count", "1", "--out", "out.parquet"],
    "search": TRAINING,
    "augment": [*TRAINING, "--arc-file", "arc.txt", "--network", "mine"],
    "select_arc": [*COMMON, "--supernet", "supernet.pt"],
    "strategies": ["--config", "bad.json", "--seed", "1", "--candidates", "c.parquet", "--out", "out.parquet"],
    "final": ["--candidates", "bad.json", "--arc-out", "out.txt"],
    "compare": ["bad.json"],
    "ablation": ["--config", "bad.json", "--metrics", "m.parquet", "--searches", "s", "--out", "out.parquet"],
    "config": ["--configfile", "bad.json"],
    "plan": ["--configfile", "bad.json"],
    "show_arc": ["0 1 2"],
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_answered_before_anything_heavy_is_imported(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("bad.json").write_text("{")
    program = f"import enas_core.{name}\nassert enas_core.{name}.main({BAD_FILES[name]}) == 2"
    assert heavy_after(program) == []
