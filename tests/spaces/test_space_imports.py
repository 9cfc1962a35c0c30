"""What spaces cost at start-up: arcs, sampling, drawing and settings need no torch, and the package itself nothing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import enas_core

PACKAGE = Path(enas_core.__file__).parent
USE_A_SPACE = """
from enas_core import spaces
space_class = spaces.space_class("micro")
space = space_class(space_class.Settings())
arc = space.uniform(0)
space.draw(space.parse(str(arc))), space.forms(arc), space.baseline("reference", 0, 1)
from enas_core.spaces.space import NetworkShape
space.check_images(NetworkShape(1, 2, 32, 3, 10, True), 100, 10)
"""


def loaded_by(program):
    """The heavy libraries that a program imports."""
    program += "\nimport sys; print([name for name in ('numpy', 'torch', 'pydantic') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_package_imports_nothing_heavy():
    assert loaded_by("import enas_core; enas_core.__version__") == "[]"


def test_arcs_need_no_torch():
    assert loaded_by(USE_A_SPACE) == "['numpy', 'pydantic']"


def test_what_the_package_offers():
    from enas_core.spaces.saved import load_network

    assert enas_core.load is load_network
    assert enas_core.__version__[0].isdigit()
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        enas_core.lode  # noqa: B018


@pytest.mark.parametrize("path", sorted((PACKAGE / "spaces").rglob("*.py")), ids=lambda path: path.stem)
def test_modules_know_nothing_above_them(path):
    """Spaces stand on `files`, `console` and `fields` alone."""
    imported = {node.module for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
    rooms = {module.split(".")[1] for module in imported if (module or "").startswith("enas_core.")}
    assert rooms <= {"spaces", "files", "console", "fields"}
