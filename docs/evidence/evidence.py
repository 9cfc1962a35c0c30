"""What the pages of evidence share: tables in Markdown, figures drawn by the report's scripts, and what made numbers.

A folder of evidence holds the metric tables of real runs, a script `page.py` that makes its README and figures from
them, and these. `tests/unit/test_evidence.py` makes each page again and compares.
"""

from __future__ import annotations

import runpy
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from enas_core.analysis.results import read_checked, read_results
from enas_core.analysis.sentences import sentences
from enas_core.files.atomic import write_text
from enas_core.files.tables import read_provenance, read_table
from enas_core.spaces import space_class

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "workflow" / "scripts"


def figure(script: str, inputs: Mapping[str, Path | list[Path]], output: Path, **params: object) -> None:
    """Draw a figure by a script of the report, from tables instead of a running workflow."""
    given = {
        name: [str(path) for path in paths] if isinstance(paths, list) else str(paths) for name, paths in inputs.items()
    }
    snakemake = SimpleNamespace(
        input=SimpleNamespace(**given), output=[str(output)], log=["/dev/null"], params=SimpleNamespace(**params)
    )
    errors = sys.stderr
    sys.path.insert(0, str(SCRIPTS))
    try:
        runpy.run_path(str(SCRIPTS / script), {"snakemake": snakemake})
    finally:
        sys.path.remove(str(SCRIPTS))
        sys.stderr = errors  # the scripts turn it to their log


def cell(metrics: Path, network: str, output: Path) -> None:
    """Draw the arc of one network of a table of metrics."""
    row = next(row for row in read_table(metrics, "metrics") if row["network"] == network)
    space, arc = space_class(row["space"]).of_text(row["arc"])
    write_text(output, space.draw(arc))


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def made_by(tables: Sequence[Path]) -> str:
    """Commits, version and device of tables, as their metadata say."""
    commits: dict[tuple[str, str], dict[str, None]] = {}
    for path in tables:
        recorded = read_provenance(path)
        machine = (f"torch {recorded.get('torch_version')}", str(recorded.get("device")))
        commits.setdefault(machine, {})[f"`{recorded.get('git_commit')}`"] = None
    parts = [f"commit {', '.join(sorted(those))}, {', '.join(machine)}" for machine, those in sorted(commits.items())]
    return "; ".join(parts)


def trained_by(rows: Iterable[Mapping[str, Any]]) -> str:
    """The commits that trained the networks of metrics, with how many each; a network in several rows counts once."""
    trainings = {(row["trained_by"], row["network"], row["seed"]): row["git_commit"] for row in rows}
    counts = Counter(trainings.values())
    return ", ".join(f"{count} by commit `{commit or 'unknown'}`" for commit, count in counts.most_common())


def compared(folder: Path) -> list[str]:
    """What `enas compare` says of the tables in a folder."""
    metrics = read_results([folder])
    checked = {name: read_checked(Path(name)) for name in metrics}
    lines = sentences(metrics, [], checked)
    return [line.replace(f"{name}: ", "", 1) for name in metrics for line in lines if line.startswith(f"{name}: ")]


def number(value: float | None, digits: int = 3) -> str:
    """For a table; what is not known is a dash."""
    return "–" if value is None else f"{value:.{digits}f}"
