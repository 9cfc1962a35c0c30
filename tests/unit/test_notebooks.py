"""The notebooks of docs/ run from their first cell to the last, on the results of a small experiment, and are kept with
what they have shown of another one."""

import importlib.util
from pathlib import Path

import nbformat
import pytest
from answers import write_answers
from earlier import ARCHIVES, unpack

FOLDER = Path(__file__).parents[2] / "docs/notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


@pytest.fixture(scope="module")
def executed():
    """The function by which the kept outputs were made."""
    spec = importlib.util.spec_from_file_location("execute", FOLDER / "execute.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.executed


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the notebooks find results/digits: those of an experiment that takes seconds, with made-up answers."""
    top = tmp_path_factory.mktemp("project")
    unpack(ARCHIVES[0], top)
    digits = (top / "results/toy").rename(top / "results/digits")
    write_answers(digits, [[4, 1], [2, 3]], ["0", "1"])
    (top / "docs/notebooks").mkdir(parents=True)
    return top / "docs/notebooks"


def cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(cell):
    """Of what a cell shows."""
    return [sorted(output.get("data", {output.get("name"): ""})) for output in cell.outputs]


def check_outputs(notebook):
    outputs = [output for cell in cells(notebook) for output in cell.outputs]
    assert {"text/html", "image/svg+xml", "image/png"} <= {
        kind for output in outputs for kind in output.get("data", {})
    }
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_what_is_kept(path, folder, executed):
    notebook = executed(path, folder)
    check_outputs(notebook)
    kept = nbformat.read(path, as_version=4)
    assert [kinds(cell) for cell in cells(kept)] == [kinds(cell) for cell in cells(notebook)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_is_kept_is_small_and_names_no_machine(path):
    kept = nbformat.read(path, as_version=4)
    check_outputs(kept)
    assert [cell.execution_count for cell in cells(kept)] == list(range(1, len(cells(kept)) + 1))
    text = path.read_text()
    assert len(text) < 300_000
    assert [word for word in ("/home", "/root", "/tmp", "/work", "timestamp", "iopub") if word in text] == []


def test_there_are_notebooks():
    assert NOTEBOOKS
