"""Command `report`: one page of one or several finished experiments, which opens on the answer and without a network.

Reads what is in the folders of experiments: `metrics.parquet` with the comparison, the figures in `report/`, and the
tables and settings beside them; writes an HTML file. The rule `report` makes `results/{experiment}/report.html` by it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from enas_core.console import log
from enas_core.files.atomic import write_text
from enas_core.options import run_command


def report(
    results: Annotated[
        Sequence[Path],
        Parameter(
            negative="",
            show_default=False,
            metavar="RESULTS_DIR",
            help="an experiment's results, or a folder of some",
        ),
    ],
    /,
    *,
    out: Annotated[Path, Parameter(help="page to write")] = Path("report.html"),
) -> None:
    """Write a page on one or several experiments that opens on the answer.

    Example: enas report results/cifar10 results/cifar10_corrected --out report.html
    """
    from enas_core.analysis.results import read_results
    from enas_core.pages.report import report_page

    write_text(out, report_page(read_results(results)))
    log.info("%s is written", out)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return run_command(report, arguments)


if __name__ == "__main__":
    sys.exit(main())
