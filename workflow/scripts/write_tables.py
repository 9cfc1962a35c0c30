"""The comparison, the trained networks, and the settings with their provenance, as HTML."""

from pathlib import Path

import reporting

from enas_core.analysis.comparison import check_searches, summarise
from enas_core.analysis.results import read_search
from enas_core.files.tables import read_table
from enas_core.pages.comparison import comparison_table
from enas_core.pages.contents import makers_table, networks_table, settings_tables
from enas_core.pages.finished import settings_of
from enas_core.pages.page import table_page

reporting.start(snakemake.log[0])
name, files, output = snakemake.wildcards.experiment, snakemake.input, snakemake.output
metrics = read_table(Path(files.metrics), "metrics")

checked, unchecked = check_searches([read_search(Path(table).parent)[1] for table in files.candidates])
summary, reasons = summarise(metrics, checked)
comparison = comparison_table(summary, reasons | unchecked)
Path(output.comparison).write_text(table_page(f"{name}: found against random", [comparison]))

networks = networks_table(metrics)
Path(output.networks).write_text(table_page(f"{name}: trained networks", [networks]))

tables = [files.random_arcs, *files.searches, *files.candidates, *files.signals, files.metrics]
makers = makers_table(list(map(Path, tables)), list(map(Path, files.epochs)), "What made each table")
settings = settings_tables(settings_of(list(map(Path, files.config))))
Path(output.settings).write_text(table_page(f"{name}: settings and provenance", [*settings, makers]))
