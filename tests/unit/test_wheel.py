"""A built wheel holds every room, and the program `enas` works from it."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the contents of the wheel, built from a copy of the source."""
    source, wheels, target = (tmp_path_factory.mktemp(name) for name in ("source", "wheels", "installed"))
    shutil.copytree(ROOT / "enas_core", source / "enas_core", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--wheel-dir", str(wheels), str(source)], check=True, capture_output=True, text=True)
    (wheel,) = wheels.glob("enas_workflow-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def modules(folder):
    """Relative paths of all modules of the package."""
    files = (folder / "enas_core").rglob("*")
    return {str(path.relative_to(folder)) for path in files if path.suffix in (".py", ".cpp", ".h")}


def test_every_module_is_in_it(installed):
    assert modules(installed) == modules(ROOT)


def test_the_program_works_from_it(installed):
    """Isolated from the source tree, which would be found first otherwise."""
    program = (
        f"import sys; sys.path.insert(0, {str(installed)!r}); from enas_core.__main__ import main; sys.exit(main())"
    )
    command = [sys.executable, "-P", "-c", program, "random-arcs", "--num-nodes", "2", "--count", "2"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=installed)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2
