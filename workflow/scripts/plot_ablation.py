"""Which settings of a search matter: each variant's mean over search seeds, in order of effect."""

from pathlib import Path

import reporting

from enas_core.analysis.ablation import MEASURES, effects, in_order_of_effect, values_of
from enas_core.analysis.statistics import mean_interval, mean_of_known
from enas_core.files.tables import read_table

COLOURS = {"original": reporting.BLUE, "corrected": reporting.ORANGE}

reporting.start(snakemake.log[0])
rows = read_table(Path(snakemake.input.ablation), "ablation")
first_measure = next(iter(MEASURES))
groups = in_order_of_effect(rows, first_measure)
names = [name for group in groups.values() for name in group]
places = {name: y for y, name in enumerate(names)}

figure, axes = reporting.panels(len(MEASURES), height=1.4 + 0.27 * len(names), sharey=True)
for ax, (column, title) in zip(axes, MEASURES.items(), strict=True):
    values = values_of(rows, column)
    beyond_noise = {effect.variant for effect in effects(rows, column) if effect.exceeds_noise}
    for preset, group in groups.items():
        colour = COLOURS[preset]
        for name in group:
            mean = mean_interval(values[name])
            if mean.value is None:
                continue
            y, fill = places[name], colour if name in beyond_noise or name == preset else "white"
            if mean.low is not None:
                ax.plot([mean.low, mean.high], [y, y], color=colour, lw=1.2)
            ax.scatter(values[name], [y + 0.28] * len(values[name]), 9, reporting.GREY, linewidths=0)
            ax.scatter([mean.value], [y], 38, fill, edgecolors=colour, zorder=3)
            if name == preset:
                ends = [places[group[0]] - 0.4, places[group[-1]] + 0.4]
                ax.plot([mean.value] * 2, ends, "--", color=colour, lw=0.8, zorder=1)
    ax.set_xlabel(title)
    if column == first_measure:  # the other one is no fraction
        reporting.percent(ax.xaxis)

guessing = mean_of_known(row["chance"] for row in rows)
for ax, level, label in ((axes[0], guessing, "guessing"), (axes[1], 0.0, "no relation")):
    if level is not None:
        ax.axvline(level, color=reporting.INK, lw=0.8, ls=":", label=label)
        ax.legend(loc="best")
axes[0].set_yticks(range(len(names)), names)
axes[0].set_ylim(len(names) - 0.5, -0.5)
figure.suptitle("One setting changed, search by search", fontsize=10)
reporting.save(figure, snakemake.output[0])
