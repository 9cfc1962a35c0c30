"""Learning curves of the trained networks."""

from pathlib import Path

import reporting

from enas_core.files.tables import read_provenance, read_table

PANELS = {
    "train_loss": ("Training loss", "cross-entropy, nats"),
    "test_accuracy": ("Test accuracy", "fraction"),
}

reporting.start(snakemake.log[0])
trainings = []
for path in map(Path, snakemake.input.epochs):
    trainings.append((read_provenance(path)["role"], read_table(path, "augment_epochs")))
trainings.sort(key=lambda training: training[0] == "searched")  # found ones are drawn last, on top

figure, axes = reporting.panels(2, height=3.6)
for ax, (column, (title, unit)) in zip(axes, PANELS.items(), strict=True):
    for role, rows in trainings:
        look = reporting.ROLES[role]
        width = 2.0 if role == "searched" else 1.0
        epochs = [row["epoch"] for row in rows]
        values = [row[column] for row in rows]
        ax.plot(epochs, values, look.line, color=look.colour, lw=width, label=look.label)
    ax.set(title=title, xlabel="epoch", ylabel=unit)
    ax.locator_params(axis="x", integer=True)
reporting.legend(axes[1])
reporting.save(figure, snakemake.output[0])
