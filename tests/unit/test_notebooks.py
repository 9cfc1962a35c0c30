"""The notebooks of docs/ run from their first cell to the last, on the results of a small experiment."""

from pathlib import Path

import nbformat
import pytest
from answers import write_answers
from earlier import ARCHIVES, unpack
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "docs/notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the notebooks find results/digits: those of an experiment that takes seconds, with made-up answers."""
    top = tmp_path_factory.mktemp("project")
    unpack(ARCHIVES[0], top)
    digits = (top / "results/toy").rename(top / "results/digits")
    write_answers(digits, [[4, 1], [2, 3]], ["0", "1"])
    (top / "docs/notebooks").mkdir(parents=True)
    return top / "docs/notebooks"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, folder):
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    shown = {kind for output in outputs for kind in output.get("data", {})}
    assert {"text/html", "image/svg+xml", "image/png"} <= shown
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]


def test_there_are_notebooks():
    assert NOTEBOOKS
