"""Command `config`: validate config.yaml and print every setting with its value and its meaning.

The rule `resolve_config` calls it with `--resolved` to write the settings of one stage, which the workflow has read and
validated already.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from enas_core.console import UserError
from enas_core.files.atomic import write_text
from enas_core.options import run_command
from enas_core.settings.describe import as_lines, describe
from enas_core.settings.workflow import load_workflow


def config(
    *,
    configfile: Annotated[Path, Parameter(help="file to read")] = Path("config.yaml"),
    experiment: Annotated[str | None, Parameter(help="print only this experiment")] = None,
    resolved: Annotated[
        str | None, Parameter(help="text of one stage's settings to write to --out (used by the workflow)")
    ] = None,
    out: Annotated[Path | None, Parameter(help="where to write --resolved")] = None,
) -> None:
    """Validate config.yaml and print the resolved settings."""
    if resolved is not None and out is not None:
        write_text(out, resolved)
        return
    if resolved is not None or out is not None:
        raise UserError("--resolved and --out go together")

    experiments = load_workflow(configfile).experiments
    if experiment is not None and experiment not in experiments:
        allowed = ", ".join(experiments)
        raise UserError(f"{configfile}: experiments: {experiment!r} is not there; allowed: {allowed}")
    for name in [experiment] if experiment is not None else experiments:
        print("\n".join([f"# {name}", *as_lines(describe(experiments[name])), ""]))


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return run_command(config, arguments)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a reader such as `head` has seen enough
    sys.exit(main())
