"""Shared accuracy of the policy's candidates and of random arcs, and what their order is worth."""

from pathlib import Path

import reporting

from enas_core.analysis.signal import sentence
from enas_core.files.tables import read_table

ENOUGH_FOR_A_BOX = 5
LOOKS = {
    "policy": reporting.ROLES["searched"],
    "strategy": reporting.ROLES["searched"],
    "random": reporting.ROLES["random"],
    "named": reporting.ROLES["named"],
}

reporting.start(snakemake.log[0])
checks = [read_table(Path(path), "signal")[0] for path in snakemake.input.signals]
groups = []  # of candidates with the same source: label, look, rows
for seed, path in zip(snakemake.params.seeds, snakemake.input.candidates, strict=True):
    rows = read_table(Path(path), "candidates")
    for source, look in LOOKS.items():
        members = [row for row in rows if row["source"] == source]
        if members:
            name = members[0]["policy"] or look.label
            groups.append((f"{name}\nsearch seed {seed}, n = {len(members)}", look, members))

figure, ax = reporting.panels(1, height=1.2 + 0.75 * len(groups))
for y, (_, look, rows) in enumerate(groups):
    values = [row["valid_accuracy"] for row in rows]
    if len(values) >= ENOUGH_FOR_A_BOX:
        line = {"color": reporting.GREY}
        ax.boxplot(values, positions=[y], orientation="horizontal", widths=0.6, showfliers=False, manage_ticks=False,
                   boxprops=line, whiskerprops=line, capprops=line, medianprops={"color": reporting.INK})  # fmt: skip
    heights = [y + offset for offset in reporting.spread(len(values))]
    reporting.points(ax, values, heights, 30, look, alpha=0.75, linewidths=0)
    for row, value, height in zip(rows, values, heights, strict=True):
        if row["selected"]:
            ax.scatter([value], [height], 170, "none", marker="*", edgecolors=reporting.INK, label="selected")

reporting.chance_line(ax.axvline, checks[0]["chance"])
reporting.percent(ax.xaxis)

ax.set_yticks(range(len(groups)), [label for label, _, _ in groups])
ax.set_ylim(len(groups) - 0.5, -0.5)
ax.set(title="Candidates under the shared weights", xlabel="accuracy on the validation images, shared weights")
reporting.legend(ax, loc="best")
reporting.remark(figure, [f"Search seed {row['seed']}: {sentence(row['verdict'], row)}." for row in checks])
reporting.save(figure, snakemake.output[0])
