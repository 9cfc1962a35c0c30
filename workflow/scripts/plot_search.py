"""Learning curves of the search."""

from pathlib import Path

import reporting

from enas_core.files.tables import read_table

PANELS = {
    "Shared weights: training loss": {"train_loss": ("cross-entropy, nats", reporting.BLUE, "-")},
    "Accuracy of sampled children": {
        "train_accuracy": ("training", reporting.GREY, ":"),
        "valid_accuracy": ("validation", reporting.BLUE, "-"),
        "test_accuracy": ("test", reporting.ORANGE, "--"),
    },
    "Controller: reward": {
        "controller_reward": ("reward", reporting.BLUE, "-"),
        "controller_baseline": ("baseline", reporting.ORANGE, "--"),
    },
    "Controller: entropy of its arcs": {"controller_entropy": ("entropy, nats", reporting.GREEN, "-")},
}
FEW_EPOCHS = 30
"""Up to so many epochs, each is marked by a point."""

reporting.start(snakemake.log[0])
searches = [read_table(Path(path), "search_epochs") for path in snakemake.input.epochs]

figure, axes = reporting.panels(2, rows=2, height=2.6)
for ax, (title, lines) in zip(axes.flat, PANELS.items(), strict=True):
    ax.set_title(title)
    if all(row[column] is None for rows in searches for row in rows for column in lines):
        reporting.nothing(ax, "no controller was trained (search.policy: random)")
        continue
    for column, (label, colour, line) in lines.items():
        for rows in searches:
            epochs = [row["epoch"] for row in rows]
            values = [row[column] for row in rows]
            marker = "." if len(rows) <= FEW_EPOCHS else None
            ax.plot(epochs, values, line, color=colour, marker=marker, label=label)
    ax.set_xlabel("epoch")
    ax.locator_params(axis="x", integer=True)
    reporting.legend(ax)
reporting.save(figure, snakemake.output[0])
