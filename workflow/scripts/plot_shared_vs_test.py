"""Shared accuracy against test accuracy of the trained networks."""

from pathlib import Path

import reporting

from enas_core.analysis.comparison import network_means, rank_correlation, shared_and_test, summarise
from enas_core.analysis.results import read_checked
from enas_core.analysis.sentences import about_signal
from enas_core.files.tables import read_table

CALLED_BY_NAME, MOST_NAMES = ("searched", "named"), 60
"""Networks of these roles are called by name where there are so many networks at most."""

reporting.start(snakemake.log[0])
metrics = read_table(Path(snakemake.input.metrics), "metrics")
networks = [network for network in network_means(metrics) if network.shared_accuracy is not None]
tau = rank_correlation(metrics)
row, reasons = summarise(metrics, read_checked(Path(snakemake.input.comparison).parent))

figure, ax = reporting.panels(1, height=4.2)
for role, look in reporting.ROLES.items():
    members = [network for network in networks if network.role == role]
    if members:
        shared = [network.shared_accuracy for network in members]
        test = [network.test_accuracy for network in members]
        reporting.points(ax, shared, test, 65, look, label=look.label)
for network in networks:
    if network.role in CALLED_BY_NAME and len(networks) <= MOST_NAMES:
        place = network.shared_accuracy, network.test_accuracy
        at_the_right = place[0] > sum(ax.get_xlim()) / 2
        offset, side = (-7, "right") if at_the_right else (7, "left")
        ax.annotate(network.network, place, (offset, 0), textcoords="offset points", ha=side, va="center", fontsize=7)

if row["chance"] is not None:
    low, high = ax.get_xlim()
    if low - row["chance"] <= high - low:
        reporting.chance_line(ax.axvline, row["chance"])
    else:  # so far away, the line would squeeze the networks together; words stand below them
        bottom, top = ax.get_ylim()
        ax.set_ylim(bottom - 0.08 * (top - bottom), top)
        place = {"xy": (0.002, 0.03), "xytext": (22, 0), "xycoords": "axes fraction", "textcoords": "offset points"}
        arrow = {"arrowstyle": "->", "color": reporting.GREY, "ls": ":"}
        text = f"guessing, {100 * row['chance']:.3g} %"
        ax.annotate(text, **place, arrowprops=arrow, color=reporting.GREY, va="center")
    text = about_signal(row, reasons)
    reporting.remark(figure, [f"{text[0].upper()}{text[1:]}."])

title = []
if tau.value is not None:
    interval = "" if tau.low is None else f", 95 % interval {tau.low:.2f} to {tau.high:.2f}"
    title.append(f"Kendall's tau {tau.value:.2f}{interval}, n = {len(shared_and_test(metrics)[0])}")
if tau.reason:
    title.append(tau.reason)
ax.set_title("\n".join(title))
ax.set(xlabel="validation accuracy with the shared weights", ylabel="test accuracy after training from scratch")
reporting.percent(ax.xaxis)
reporting.percent(ax.yaxis)
ax.legend()
reporting.save(figure, snakemake.output[0])
