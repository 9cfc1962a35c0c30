"""Test accuracy of found and random networks, and how large they are."""

import textwrap
from pathlib import Path

import reporting
from matplotlib.ticker import EngFormatter

from enas_core.analysis.comparison import summarise, units
from enas_core.analysis.statistics import std
from enas_core.files.tables import read_table

reporting.start(snakemake.log[0])
metrics = read_table(Path(snakemake.input.metrics), "metrics")
row, reasons = summarise(metrics)
networks = units(metrics)
roles = [role for role in reporting.ROLES if any(unit.role == role for unit in networks)]

figure, (strip, sizes) = reporting.panels(2, height=4.4, sharey=True, width_ratios=[3, 2])
for x, role in enumerate(roles):
    look = reporting.ROLES[role]
    members = [unit for unit in networks if unit.role == role]
    values = [unit.test_accuracy for unit in members]
    places = [x + offset for offset in reporting.spread(len(members))]
    for unit, place in zip(members, places, strict=True):
        seeds = [m["test_accuracy"] for m in metrics if m["network"] == unit.network]
        if len(seeds) > 1:
            strip.plot([place] * len(seeds), seeds, color=look.colour, lw=0.8, marker="_", alpha=0.6)
    strip.scatter(places, values, 60, look.colour, marker=look.marker, zorder=3)
    if role != "named":
        mean, deviation = sum(values) / len(values), std(values)
        strip.errorbar(x + 0.36, mean, deviation, fmt="_", color="black", ms=14, capsize=4, mew=1.5)
    size = [unit.params for unit in members]
    sizes.scatter(size, values, 60, look.colour, marker=look.marker, label=look.label, zorder=5 - x)
labels = [f"{reporting.ROLES[r].label}\nn = {sum(unit.role == r for unit in networks)}" for r in roles]
strip.set_xticks(range(len(roles)), labels)
strip.set_xlim(-0.6, len(roles) - 0.4)
strip.set(title="Found against random", ylabel="test accuracy")
sizes.set(title="Accuracy and size", xlabel="parameters")
sizes.xaxis.set_major_formatter(EngFormatter(sep=""))
sizes.legend()

lines = []
if row["relative_improvement"] is not None:
    interval = "" if row["ri_low"] is None else f", 95 % interval {row['ri_low']:+.3f} to {row['ri_high']:+.3f} %"
    lines.append(f"Relative improvement {row['relative_improvement']:+.3f} %{interval}.")
if row["p_value"] is not None:
    lines.append(f"Permutation test: p = {row['p_value']:.3g}.")
names = {"relative_improvement": "Improvement", "p_value": "p-value"}
lines += [f"{name}: {reasons[column]}." for column, name in names.items() if column in reasons]
figure.supxlabel(
    "\n".join(line for text in lines for line in textwrap.wrap(text, 110)), fontsize=8.5, x=0.02, ha="left"
)
reporting.save(figure, snakemake.output[0])
