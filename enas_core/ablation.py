"""Command `ablation`: which settings of a search matter.

Reads the settings of the stage, which name the variants of an experiment; the experiment's metrics.parquet, whose
random arcs are the truth by which the variants are judged; and of each search of a variant `epochs.parquet`,
`candidates.parquet` and `signal.parquet`. Writes ablation.parquet, a search a row, and says which settings matter.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from enas_core.console import log
from enas_core.files.lock import only_writer
from enas_core.files.tables import provenance, read_provenance, write_table
from enas_core.options import ConfigFile, run_command, several
from enas_core.settings.stages import AblationStage, fingerprint, plain, read_stage


def ablation(
    *,
    config: ConfigFile,
    metrics: Annotated[Path, Parameter(help="metrics.parquet of the experiment, with its random networks")],
    searches: Annotated[Sequence[Path], several(1, help="folder of each search of a variant")],
    out: Annotated[Path, Parameter(help="where to write ablation.parquet")],
) -> None:
    """Compare variants of a search: which of its settings matter.

    Example: enas ablation --config config/ablation.json --metrics metrics.parquet --searches v1/s1 v2/s1
    --out ablation.parquet
    """
    settings = read_stage(config, AblationStage)

    from enas_core.analysis.ablation import ablation_rows, sentences
    from enas_core.analysis.results import read_metrics

    with only_writer(out):
        rows = ablation_rows(settings, read_metrics(metrics), searches)
        devices = {str(read_provenance(folder / "epochs.parquet").get("device")) for folder in searches}
        made_by = provenance(" + ".join(sorted(devices)), fingerprint(settings), plain(settings))
        write_table(out, "ablation", rows, made_by)
        for line in sentences(settings, rows):
            log.info("%s", line)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return run_command(ablation, arguments)


if __name__ == "__main__":
    sys.exit(main())
