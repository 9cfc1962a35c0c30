"""Test accuracy of found and random networks, and how large they are."""

from collections import defaultdict
from pathlib import Path

import reporting
from matplotlib.ticker import EngFormatter

from enas_core.analysis.comparison import network_means, summarise
from enas_core.files.tables import read_table

REMARKS = {"relative_improvement": "Improvement", "p_value": "p-value"}


def verdict(row: dict, reasons: dict[str, str]) -> list[str]:
    """What the comparison says, and what it cannot say."""
    lines = []
    if row["relative_improvement"] is not None:
        interval = "" if row["ri_low"] is None else f", 95 % interval {row['ri_low']:+.3g} to {row['ri_high']:+.3g} %"
        lines.append(f"Relative improvement {row['relative_improvement']:+.3g} %{interval}.")
    if row["p_value"] is not None:
        lines.append(f"Permutation test: p = {row['p_value']:.3g}.")
    return lines + [f"{name}: {reasons[column]}." for column, name in REMARKS.items() if column in reasons]


reporting.start(snakemake.log[0])
metrics = read_table(Path(snakemake.input.metrics), "metrics")
networks = network_means(metrics)
groups = {role: [network for network in networks if network.role == role] for role in reporting.ROLES}
groups = {role: members for role, members in groups.items() if members}

of_seeds = defaultdict(list)
for row in metrics:
    of_seeds[row["network"]].append(row["test_accuracy"])

figure, (strip, sizes) = reporting.panels(2, height=4.4, sharey=True, width_ratios=[3, 2])
for x, (role, members) in enumerate(groups.items()):
    look = reporting.ROLES[role]
    values = [network.test_accuracy for network in members]
    places = [x + offset for offset in reporting.spread(len(members))]
    for network, place in zip(members, places, strict=True):
        accuracies = of_seeds[network.network]
        if len(accuracies) > 1:
            strip.plot([place] * len(accuracies), accuracies, color=look.colour, lw=0.8, marker="_", alpha=0.6)
    reporting.points(strip, places, values, 60, look, zorder=3)
    if role != "named":
        reporting.group_mean(strip, x, values, look.colour)
    params = [network.params for network in members]
    reporting.points(sizes, params, values, 60, look, label=look.label, zorder=5 - x)

labels = [f"{reporting.ROLES[role].label}\nn = {len(members)}" for role, members in groups.items()]
strip.set_xticks(range(len(groups)), labels)
strip.set_xlim(-0.6, len(groups) - 0.4)
strip.set(title="Found against random", ylabel="test accuracy")
sizes.set(title="Accuracy and size", xlabel="parameters")
reporting.percent(strip.yaxis)
sizes.xaxis.set_major_formatter(EngFormatter(sep=""))
sizes.legend()

reporting.remark(figure, verdict(*summarise(metrics)))
reporting.save(figure, snakemake.output[0])
