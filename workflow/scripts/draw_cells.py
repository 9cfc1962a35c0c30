"""The cells of networks, a file each."""

from pathlib import Path

import reporting

from enas_core.files.tables import read_table
from enas_core.pages.arcs import draw_arc
from enas_core.pages.finished import Finished

reporting.start(snakemake.log[0])
path = Path(snakemake.input.metrics)
experiment = Finished(path.parent, read_table(path, "metrics"))

folder = Path(snakemake.output[0])
folder.mkdir()
for name in snakemake.params.networks:
    row = experiment.best_random if name == "best-random" else experiment.training_of(name)
    (folder / f"{name}.svg").write_text(draw_arc(row, with_notes=True))
