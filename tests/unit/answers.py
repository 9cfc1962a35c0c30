"""Tables of a made-up network's answers, for tests that read them."""

import numpy as np

from enas_core.analysis.classes import class_rows, confusion_rows
from enas_core.files.tables import write_table


def write_answers(folder, confusion, classes):
    """classes.parquet and confusion.parquet of `confusion`, which counts images of each class, a row, by the answer."""
    of_network = {"experiment": "toy", "dataset": "digits"}
    for kind, rows in (("classes", class_rows), ("confusion", confusion_rows)):
        table = [of_network | row for row in rows(np.array(confusion), classes)]
        write_table(folder / f"{kind}.parquet", kind, table, {})
