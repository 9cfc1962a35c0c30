"""Shared accuracy of all candidates against their cost, and the Pareto front of each search."""

from pathlib import Path

import reporting
from matplotlib.ticker import EngFormatter

from enas_core.analysis.front import on_front
from enas_core.files.tables import read_table

LOOKS = {
    "policy": reporting.ROLES["searched"]._replace(label="proposed"),
    "strategy": reporting.ROLES["searched"]._replace(label="proposed"),
    "random": reporting.ROLES["random"],
    "named": reporting.ROLES["named"],
}
COLUMNS = 3
"""Panels beside each other."""

reporting.start(snakemake.log[0])
seeds = snakemake.params.seeds
height = -(-len(seeds) // COLUMNS)
figure, axes = reporting.panels(min(len(seeds), COLUMNS), height, height=3.4, sharey=True, squeeze=False)
for ax in axes.flat[len(seeds) :]:
    ax.set_axis_off()
for ax, seed, path in zip(axes.flat, seeds, snakemake.input.candidates, strict=False):
    rows = read_table(Path(path), "candidates")
    for source, look in LOOKS.items():
        members = [row for row in rows if row["source"] == source]
        if members:
            macs, accuracies = ([row[name] for row in members] for name in ("macs", "valid_accuracy"))
            reporting.points(ax, macs, accuracies, 25, look, label=look.label, alpha=0.75, linewidths=0)

    # Tables of an earlier version do not mark the front.
    marks = on_front([row["macs"] for row in rows], [row["valid_accuracy"] for row in rows])
    front = sorted((row["macs"], row["valid_accuracy"]) for row, best in zip(rows, marks, strict=True) if best)
    ax.step(*zip(*front, strict=True), where="post", color=reporting.INK, lw=1.2, label="Pareto front")
    for row in rows:
        if row["selected"]:
            place = [row["macs"]], [row["valid_accuracy"]]
            ax.scatter(*place, 170, "none", marker="*", edgecolors=reporting.INK, label="selected")
    ax.set(title=f"Search seed {seed}", xlabel="multiply-accumulates")
    ax.xaxis.set_major_formatter(EngFormatter(sep=""))
reporting.percent(axes[0, 0].yaxis)
for row_of_axes in axes:
    row_of_axes[0].set_ylabel("validation accuracy,\nshared weights")
reporting.legend(axes[0, 0], loc="best")
reporting.save(figure, snakemake.output[0])
