"""ENAS micro search: everything that computes. The workflow around it is in `workflow/`.

`enas_core.load("results/cifar10/final.pt")` gives a trained network in evaluation mode,
`enas_core.results("results/cifar10")` the tables of an experiment as pandas frames.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from enas_core.version import VERSION as __version__  # noqa: F401, N811  # the name that Python packages have for it

# Importing this package imports nothing else but its version: every command does so, and most need neither torch nor
# numpy. A module that imports torch imports numpy first: torch would import it, and go on with half of it when a signal
# interrupts that.

# `python -m enas_core.search` (under the name of `-m`) and `enas` come by here before they import what they need. Until
# they work, Ctrl-C ends them at once, without the traceback of an import (`options.exit_code` says what it does then).
if os.path.basename(sys.argv[0]) in ("-m", "enas") and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def __getattr__(name: str) -> Any:
    """`load` and `results`, which are looked for when they are used."""
    if name == "load":
        from enas_core.spaces.saved import load_network

        return load_network
    if name == "results":
        from enas_core.analysis.frames import Results

        return Results
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
