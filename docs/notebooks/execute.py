"""Runs the notebooks beside it and keeps what their cells show: `python docs/notebooks/execute.py`, after `make demo`,
whose results they read."""

from __future__ import annotations

import copy
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

FOLDER = Path(__file__).resolve().parent


def executed(path: Path, folder: Path) -> NotebookNode:
    """A notebook after its cells have run in `folder`, from the first to the last. What it says of the machine, which
    Python and when, is left out."""
    notebook = nbformat.read(path, as_version=4)
    metadata = copy.deepcopy(notebook.metadata)
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=300, resources=resources, record_timing=False).execute()
    notebook.metadata = metadata
    return notebook


if __name__ == "__main__":
    for path in sorted(FOLDER.glob("*.ipynb")):
        nbformat.write(executed(path, FOLDER), path)
