"""Who may import whom: the layers of the package, and what starts without the heavy libraries."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "enas_core"

LAYERS = (
    ("arc",),  # config checks the arcs of config.yaml with it
    ("config",),
    ("schedule", "tables", "stats", "cli"),
    ("parallel",),
    ("ops", "data", "checkpoint", "draw", "events"),
    ("supernet", "network", "controller"),
    ("engine",),
    ("prepare_data", "random_arcs", "search", "select_arc", "augment", "final", "compare"),
    ("calibrate",),
    ("show_arc", "predict", "from_flags", "plan"),
)
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names}

WITHIN_A_LAYER = {("supernet", "network")}
"""Imports that do not point downwards: what the two networks have in common is in `network`."""

WITH_TORCH = {"parallel", "ops", "data", "checkpoint", "supernet", "network", "controller", "engine"} | {
    "search",
    "select_arc",
    "augment",
}
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")


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


def own_imports(name):
    """Modules of the package that module `name` imports."""
    found = {tuple(dotted.split(".")) for dotted in imports(ast.parse((PACKAGE / f"{name}.py").read_text()))}
    return {parts[1] for parts in found if parts[0] == "enas_core" and len(parts) > 1}


def test_every_module_has_a_layer():
    assert set(MODULES) <= set(LAYER)


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_downwards(name):
    others = own_imports(name)
    assert others <= set(LAYER)
    upwards = {other for other in others if LAYER[other] >= LAYER[name]}
    assert {(name, other) for other in upwards} <= WITHIN_A_LAYER


@pytest.mark.parametrize("name", [*MODULES, "__init__"])
def test_imports_are_absolute_and_know_nothing_of_snakemake(name):
    found = set(imports(ast.parse((PACKAGE / f"{name}.py").read_text())))
    assert not {dotted for dotted in found if dotted.startswith(".")}
    assert "snakemake" not in {dotted.split(".")[0] for dotted in found}


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


@pytest.mark.parametrize("name", [*MODULES, "__init__"])
def test_modules_only_define(name):
    body = ast.parse((PACKAGE / f"{name}.py").read_text()).body
    assert [ast.unparse(statement) for statement in body if runs_at_import(statement)] == []


def test_the_check_sees_work():
    body = ast.parse("'text'\nx = 1\nprint(x)\nfor i in x: pass\nif x: pass\nif TYPE_CHECKING: import y").body
    assert [runs_at_import(statement) for statement in body] == [False, False, True, True, True, False]


def test_light_modules_start_without_heavy_libraries():
    light = [name for name in MODULES if name not in WITH_TORCH]
    heavy = ["torch", "torchvision", "sklearn", "scipy", "matplotlib", "pandas", "snakemake"]
    program = (
        "import importlib, json, sys\n"
        f"for name in {light}:\n"
        "    importlib.import_module('enas_core.' + name)\n"
        f"    print(json.dumps([name, [heavy for heavy in {heavy} if heavy in sys.modules]]))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    found = dict(map(json.loads, done.stdout.splitlines()))
    assert found == {name: [] for name in light}


def test_importing_does_no_work():
    program = (
        "import sys, enas_core.augment; print(sorted({'torchvision', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
