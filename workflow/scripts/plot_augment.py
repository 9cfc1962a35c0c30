"""Learning curves of the trained networks."""

from pathlib import Path

import reporting

from enas_core.analysis.comparison import role_of
from enas_core.files.tables import read_table

reporting.start(snakemake.log[0])
trainings = [read_table(Path(path), "augment_epochs") for path in snakemake.input.epochs]
trainings.sort(key=lambda rows: role_of(rows[0]["network"])[0] == "searched")  # found ones on top
figure, axes = reporting.panels(2, height=3.6)
for ax, column, title in zip(axes, ("train_loss", "test_accuracy"), ("Training loss", "Test accuracy"), strict=True):
    for rows in trainings:
        role, _ = role_of(rows[0]["network"])
        look = reporting.ROLES[role]
        width = 2.0 if role == "searched" else 1.0
        values = [row[column] for row in rows]
        ax.plot([row["epoch"] for row in rows], values, look.line, color=look.colour, lw=width, label=look.label)
    ax.set(title=title, xlabel="epoch", ylabel="cross-entropy, nats" if column == "train_loss" else "fraction")
    ax.locator_params(axis="x", integer=True)
handles = dict(zip(*reversed(axes[1].get_legend_handles_labels()), strict=True))
axes[1].legend(handles.values(), handles.keys())
reporting.save(figure, snakemake.output[0])
