"""Which classes the final network tells apart: the confusion matrix as a figure, and the classes as a table."""

from pathlib import Path

import numpy as np
import reporting

from enas_core.analysis.classes import sentence
from enas_core.files.tables import read_table
from enas_core.pages.contents import classes_table
from enas_core.pages.page import table_page

MOST_NAMES = 30
"""With more classes their names would not be legible."""

MOST_NUMBERS = 12

LIGHT, DARK = "#fefefe", "#101010"
"""Numbers on the matrix, whose colours are the same on a dark page; so these are none that such a page changes."""


def draw(classes: list[str], confusion: np.ndarray, path: str) -> None:
    """The shares of each class's images, a row, by the answer."""
    figure, ax = reporting.panels(1, height=6.5)
    shares = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    picture = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ax.grid(False)
    if len(classes) <= MOST_NAMES:
        ax.set_xticks(range(len(classes)), classes, rotation=90)
        ax.set_yticks(range(len(classes)), classes)
    if len(classes) <= MOST_NUMBERS:
        for (row, column), count in np.ndenumerate(confusion):
            colour = LIGHT if shares[row, column] > 0.5 else DARK
            ax.text(column, row, str(count), ha="center", va="center", color=colour)
    ax.set(title="Answers of the final network", xlabel="answer", ylabel="class")
    bar = figure.colorbar(picture, label="share of the class's test images", shrink=0.7)
    reporting.percent(bar.ax.yaxis)
    reporting.remark(figure, [f"{sentence(confusion, classes)}."])
    reporting.save(figure, path)


reporting.start(snakemake.log[0])
rows = read_table(Path(snakemake.input.classes), "classes")
pairs = read_table(Path(snakemake.input.confusion), "confusion")
if rows:
    names = [row["class"] for row in rows]
    counts = np.array([pair["images"] for pair in pairs], np.int64).reshape(len(names), len(names))
    draw(names, counts, snakemake.output.figure)
else:
    empty, panel = reporting.panels(1)
    reporting.nothing(panel, "An earlier version has trained the network, and kept no answers.")
    reporting.save(empty, snakemake.output.figure)
title = f"{snakemake.wildcards.experiment}: classes"
Path(snakemake.output.table).write_text(table_page(title, [classes_table(rows)]))
