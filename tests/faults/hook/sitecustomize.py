"""Stops a stage at a chosen moment. Python imports this file when it starts, where PYTHONPATH names its folder.

STOP_BEFORE is a stage and a file's name, `select_arc candidates.parquet`: that stage's process stops (SIGSTOP) just
before the file takes its name.
"""

import os
import signal
import sys


def stop_before(name: str) -> None:
    """Arrange for it, once."""

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal name
        if event == "os.rename" and os.path.basename(str(arguments[1])) == name:
            name = ""
            os.kill(os.getpid(), signal.SIGSTOP)

    sys.addaudithook(hook)


stage, _, file = os.environ.get("STOP_BEFORE", "").partition(" ")
if stage and f"enas_core.{stage}" in sys.orig_argv:
    stop_before(file)
