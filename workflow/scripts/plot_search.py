"""Learning curves of the search."""

from pathlib import Path

import numpy as np
import reporting

from enas_core.files.tables import read_table

TEST = {"alpha": 0.4, "lw": 0.8}
"""Test images choose nothing in a search, so their curve stays in the background."""

PANELS = {
    "Shared weights: training loss": {"train_loss": ("cross-entropy, nats", reporting.BLUE, "-", {})},
    "Accuracy of sampled children": {
        "test_accuracy": ("test", reporting.ORANGE, "--", TEST),
        "train_accuracy": ("training", reporting.GREY, ":", {}),
        "valid_accuracy": ("validation", reporting.BLUE, "-", {}),
    },
    "Controller: reward": {
        "controller_reward": ("reward", reporting.BLUE, "-", {}),
        "controller_baseline": ("baseline", reporting.ORANGE, "--", {}),
    },
    "Controller: entropy of its arcs": {"controller_entropy": ("entropy, nats", reporting.GREEN, "-", {})},
}
ACCURACIES = ("Accuracy of sampled children", "Controller: reward")

reporting.start(snakemake.log[0])
searches = [read_table(Path(path), "search_epochs") for path in snakemake.input.epochs]
chance = read_table(Path(snakemake.input.signals[0]), "signal")[0]["chance"]

# A search whose policy is no controller has none of its columns.
panels = {
    title: lines
    for title, lines in PANELS.items()
    if any(row[column] is not None for rows in searches for row in rows for column in lines)
}
figure, axes = reporting.panels(2, rows=(len(panels) + 1) // 2, height=2.7, squeeze=False)
for spare in axes.flat[len(panels) :]:
    spare.set_axis_off()
for ax, (title, lines) in zip(axes.flat, panels.items(), strict=False):
    ax.set_title(title)
    for column, (label, colour, line, faint) in lines.items():
        curves = np.array([[row[column] for row in rows] for rows in searches], float)
        reporting.curves(ax, curves, label, colour, line, **faint)
    if title in ACCURACIES:
        reporting.percent(ax.yaxis)
        reporting.chance_line(ax.axhline, chance)
    reporting.legend(ax)
if panels.keys() != PANELS.keys():
    reporting.remark(figure, ["No controller was trained (search.policy)."])
reporting.save(figure, snakemake.output[0])
