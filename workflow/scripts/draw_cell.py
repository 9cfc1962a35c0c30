"""The cells of one network."""

from pathlib import Path

import reporting

from enas_core.analysis.comparison import units
from enas_core.files.tables import read_table
from enas_core.spaces.micro.arc import MicroArc
from enas_core.spaces.micro.drawing import draw

reporting.start(snakemake.log[0])
metrics = read_table(Path(snakemake.input.metrics), "metrics")
network = snakemake.wildcards.which
if network == "best-random":
    random = [unit for unit in units(metrics) if unit.role == "random"]
    network = max(random, key=lambda unit: unit.test_accuracy).network
arc = next(row["arc"] for row in metrics if row["network"] == network)
Path(snakemake.output[0]).write_text(draw(MicroArc.parse(arc)))
