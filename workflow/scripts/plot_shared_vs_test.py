"""Shared-weight accuracy against test accuracy of the trained networks."""

from pathlib import Path

import reporting

from enas_core.analysis.comparison import rank_correlation, units
from enas_core.files.tables import read_table

reporting.start(snakemake.log[0])
metrics = read_table(Path(snakemake.input.metrics), "metrics")
networks = [unit for unit in units(metrics) if unit.shared_accuracy is not None]
tau = rank_correlation(metrics)

figure, ax = reporting.panels(1, height=4.2)
for role, look in reporting.ROLES.items():
    if members := [unit for unit in networks if unit.role == role]:
        x, y = [unit.shared_accuracy for unit in members], [unit.test_accuracy for unit in members]
        ax.scatter(x, y, 65, look.colour, marker=look.marker, label=look.label)
for unit in networks:
    if unit.role != "random":
        ax.annotate(unit.network, (unit.shared_accuracy, unit.test_accuracy), (6, 6), textcoords="offset points")
interval = "" if tau.low is None else f", 95 % interval {tau.low:.2f} to {tau.high:.2f}"
value = "" if tau.value is None else f"Kendall's tau {tau.value:.2f}{interval}, n = {len(networks)}"
ax.set_title("\n".join(filter(None, [value, tau.reason])))
ax.set(xlabel="validation accuracy with the shared weights", ylabel="test accuracy after training from scratch")
ax.legend()
reporting.save(figure, snakemake.output[0])
