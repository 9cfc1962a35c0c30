"""Command `class_accuracy`: which classes a trained network tells apart, and which it takes for each other.

Reads a trained network, such as `final.pt`, which holds the answers to the test images after its last epoch; writes
`classes.parquet`, a class a row, and `confusion.parquet`, a pair of classes a row.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from enas_core.console import log
from enas_core.files.tables import provenance, write_table
from enas_core.options import run_command


def class_accuracy(
    *,
    network: Annotated[Path, Parameter(help="a trained network, e.g. results/cifar10/final.pt")],
    out_dir: Annotated[Path, Parameter(help="where to write classes.parquet and confusion.parquet")],
) -> None:
    """Write how well a trained network tells each class, and what it takes it for.

    Example: enas class-accuracy --network results/cifar10/final.pt --out-dir results/cifar10
    """
    from enas_core.analysis.classes import class_rows, confusion_rows, sentence
    from enas_core.spaces.saved import read_confusion

    answers = read_confusion(network)
    of_network = {"experiment": answers.experiment, "dataset": answers.dataset}
    rows, pairs = [], []
    if answers.confusion is None:
        log.info("%s: an earlier version wrote it, without its answers; the tables are empty", network)
    else:
        rows = [of_network | row for row in class_rows(answers.confusion, answers.classes)]
        pairs = [of_network | row for row in confusion_rows(answers.confusion, answers.classes)]
        log.info("%s: %s", network, sentence(answers.confusion, answers.classes))
    made_by = provenance(answers.device, answers.fingerprint, answers.settings)
    write_table(out_dir / "classes.parquet", "classes", rows, made_by)
    write_table(out_dir / "confusion.parquet", "confusion", pairs, made_by)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return run_command(class_accuracy, arguments)


if __name__ == "__main__":
    sys.exit(main())
