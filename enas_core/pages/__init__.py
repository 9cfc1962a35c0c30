"""HTML pages that open without a network: the report of one or several experiments, and the tables of Snakemake's.

`enas_core.report` writes the report, `workflow/scripts/write_tables.py` the tables. What is on the page are sections,
one after the other (`sections.SECTIONS`). To add one:

1. a function in `sections.py`, or in a module of its own that it is imported from: it takes a `Finished` experiment and
   gives what the template needs, or None where there is nothing to show, as in results of an earlier version;
2. `templates/sections/NAME.html`, which shows that, with the macros of `parts.html`: `figure`, `table`;
3. a line in `SECTIONS`, which says where it stands.

A figure is drawn by a script of the workflow, in a rule of its own that writes it as `report/FIGURE.svg` into the
folder of the experiment. It is listed in `report_figures` (`workflow/rules/inputs.smk`), so that Snakemake's report has
it too, and so that it is made before this page. `Finished.figure("FIGURE", ...)` puts it on the page; drawn in the
colours of `figures.COLOURS`, it fits light and dark.
"""
