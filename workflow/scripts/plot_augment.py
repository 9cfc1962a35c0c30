"""Learning curves of the trained networks."""

from pathlib import Path

import numpy as np
import reporting

from enas_core.files.tables import read_provenance, read_table

reporting.start(snakemake.log[0])
# Found ones are drawn last, on top.
losses, errors = ({role: [] for role in ("random", "named", "strategy", "searched")} for _ in range(2))
for path in map(Path, snakemake.input.epochs):
    rows = read_table(path, "augment_epochs")
    role = read_provenance(path)["role"]
    losses[role].append([row["train_loss"] for row in rows])
    errors[role].append([1 - row["test_accuracy"] for row in rows])

figure, (left, right) = reporting.panels(2, height=3.8)
for ax, groups in ((left, losses), (right, errors)):
    for role, members in groups.items():
        look = reporting.ROLES[role]
        if members:
            reporting.curves(ax, np.array(members, float), look.label, look.colour, look.line)
left.set(title="Training loss", ylabel="cross-entropy, nats")
right.set(title="Test error")
reporting.percent_of_logarithm(right)
reporting.legend(right)
reporting.save(figure, snakemake.output[0])
