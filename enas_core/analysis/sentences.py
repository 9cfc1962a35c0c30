"""Compare: found against random networks of one experiment, and experiments with each other.

As a stage (`--out-dir`) it writes metrics.parquet and comparison.parquet of one experiment. For people,
`python -m enas_core.compare results/cifar10 results/cifar10_corrected` shows one line for each, and says which
differences exceed the noise.

The unit of every statistic is a network: what one search has found, or one random arc. Its accuracy is the mean
over its augment seeds, since several trainings of the same arc say nothing more about searches or arcs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from enas_core.analysis.comparison import COMPARED, Difference, Row, summarise
from enas_core.analysis.statistics import ALPHA


def sentences(results: dict[str, list[Row]], found: Sequence[Difference]) -> list[str]:
    """What can be said: found against random in each of the results, then the results against each other."""
    lines = []
    for name, metrics in results.items():
        row, reasons = summarise(metrics)
        if row["p_value"] is None:
            lines.append(f"{name}: found against random: {reasons['p_value']}")
            continue
        why = f" ({reasons['p_value']})" if "p_value" in reasons else ""
        lines.append(
            f"{name}: found against random {row['relative_improvement']:+.3f} %, which {_verdict(row['p_value'])}"
            f" the noise: p = {row['p_value']:.3g}{why}{_size_note(row)}"
        )
    for d in found:
        pair = f"{d.second} against {d.first}: {COMPARED[d.role]} {d.change:+.4f}"
        if d.p is None:
            lines.append(f"{pair}; too few networks to say whether that is noise")
        else:
            lines.append(f"{pair}, which {_verdict(d.p)} the noise: p = {d.p:.3g}")
    return lines


def _verdict(p: float) -> str:
    return "exceeds" if p < ALPHA else "does not exceed"


def _size_note(row: Row) -> str:
    if not row["searched_params_mean"] or not row["random_params_mean"]:
        return ""
    return f"; found networks have {row['searched_params_mean'] / row['random_params_mean']:.2f} times the parameters"


SHOWN = {
    "results": "{results}",
    "dataset": "{dataset}",
    "found": "{searched_mean:.4f} ± {searched_std:.4f} ({n_searched})",
    "random": "{random_mean:.4f} ± {random_std:.4f} ({n_random})",
    "improvement %": "{relative_improvement:+.3f} [{ri_low:.3f}, {ri_high:.3f}]",
    "p": "{p_value:.3g}",
    "tau": "{kendall_tau:.2f} [{tau_low:.2f}, {tau_high:.2f}]",
    "params found": "{searched_params_mean:.0f}",
    "random ": "{random_params_mean:.0f}",
    "search h": "{search_hours:.2f}",
    "train h": "{train_hours:.2f}",
}
"""Columns for people. `±`: standard deviation between networks; `(n)`: networks; `[ ]`: 95 % interval."""


class _Cell:
    """A value that shows as `-` when it is None."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __format__(self, spec: str) -> str:
        return "-" if self.value is None else format(self.value, spec)


def as_text(table: pa.Table) -> str:
    """Aligned columns for a terminal."""
    rows = [{name: _Cell(value) for name, value in row.items()} for row in table.to_pylist()]
    lines = [list(SHOWN), *([shown.format(**row) for shown in SHOWN.values()] for row in rows)]
    lines = [[cell.replace(" [-, -]", "").replace("- ± - (0)", "-") for cell in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
