"""ENAS micro search: everything that computes. The workflow around it is in `workflow/`.

`enas_core.load("results/cifar10/final.pt")` gives a trained network in evaluation mode,
`enas_core.results("results/cifar10")` the tables of an experiment as pandas frames.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.2.0.dev0"
"""Of this code, installed or not: `pyproject.toml` reads it here. `.dev0`: on the way to the release of that number."""

# Importing this package imports nothing else: every command does, and most need neither torch nor numpy. A module that
# imports torch imports numpy first: torch would import it, and go on with half of it when a signal interrupts that.


def __getattr__(name: str) -> Any:
    """`load` and `results`, which are looked for when they are used."""
    if name == "load":
        from enas_core.spaces.saved import load_network

        return load_network
    if name == "results":
        from enas_core.analysis.frames import Results

        return Results
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
