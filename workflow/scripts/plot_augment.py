"""Learning curves of the trained networks."""

from pathlib import Path

import numpy as np
import reporting

from enas_core.files.tables import read_provenance, read_table

PANELS = {
    "train_loss": ("Training loss", "cross-entropy, nats"),
    "test_accuracy": ("Test accuracy", "fraction"),
}

MANY = 100
"""The curves of more trainings of one role than so many become their median and a band."""
BAND = (5, 95)
"""Percentiles at its edges."""

reporting.start(snakemake.log[0])
trainings = {role: [] for role in ("random", "named", "searched")}  # found ones are drawn last, on top
for path in map(Path, snakemake.input.epochs):
    rows = read_table(path, "augment_epochs")
    trainings[read_provenance(path)["role"]].append({column: [row[column] for row in rows] for column in PANELS})

figure, axes = reporting.panels(2, height=3.6)
for ax, (column, (title, unit)) in zip(axes, PANELS.items(), strict=True):
    for role, members in trainings.items():
        look = reporting.ROLES[role]
        width = 2.0 if role == "searched" else 1.0
        curves = [member[column] for member in members]
        if len(curves) > MANY:
            low, high = np.percentile(curves, BAND, axis=0)
            ax.fill_between(range(len(low)), low, high, color=look.colour, alpha=0.25, linewidth=0)
            curves = [np.median(curves, axis=0)]
        for values in curves:
            ax.plot(values, look.line, color=look.colour, lw=width, label=look.label)
    ax.set(title=title, xlabel="epoch", ylabel=unit)
    ax.locator_params(axis="x", integer=True)
reporting.legend(axes[1])
reporting.save(figure, snakemake.output[0])
