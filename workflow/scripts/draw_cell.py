"""The cells of one network."""

from pathlib import Path

import reporting

from enas_core.analysis.comparison import network_means
from enas_core.files.tables import read_table
from enas_core.spaces import space_class

reporting.start(snakemake.log[0])
metrics = read_table(Path(snakemake.input.metrics), "metrics")

name = snakemake.wildcards.which
if name == "best-random":
    random = [network for network in network_means(metrics) if network.role == "random"]
    name = max(random, key=lambda network: network.test_accuracy).network

row = next(row for row in metrics if row["network"] == name)
space, arc = space_class(row["space"]).of_text(row["arc"])
Path(snakemake.output[0]).write_text(space.draw(arc))
