"""Results as pandas tables, for notebooks: `enas_core.results("results/digits")`.

Reads the tables of one experiment when they are asked for. Whole numbers stay whole where some are missing, and arcs
draw themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd
import pyarrow as pa

from enas_core.analysis.identity import Common, facts_of
from enas_core.analysis.statistics import binomial_interval
from enas_core.console import UserError
from enas_core.files.schemas import SCHEMAS
from enas_core.files.tables import read_table
from enas_core.spaces import space_class
from enas_core.spaces.space import Arc, SearchSpace

NULLABLE: dict[pa.DataType, pd.api.extensions.ExtensionDtype] = {
    pa.int64(): pd.Int64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
    pa.string(): pd.StringDtype(),
}
"""pandas' types in which a value can be missing; what is missing in a column of numbers with a point is NaN."""


@dataclass(frozen=True)
class NetworkArc:
    """The arc of one network. A notebook shows its picture, `str` gives its text form."""

    network: str
    arc: Arc
    space: SearchSpace = field(repr=False)

    def __str__(self) -> str:
        return str(self.arc)

    def _repr_svg_(self) -> str:
        return self.space.draw(self.arc)


class Results:
    """The tables of one experiment, as far as they are there. Columns: docs/columns.md. Asking for one raises UserError
    where it is not there, not such a table, or of another experiment or dataset than those before."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._common = Common()
        if not self.folder.is_dir():
            raise UserError(f"{self.folder}: no such folder; an experiment's is results/EXPERIMENT")

    def __repr__(self) -> str:
        return f"Results({str(self.folder)!r})"

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """One row a training."""
        return self._one("metrics.parquet", "metrics")

    @cached_property
    def comparison(self) -> pd.DataFrame:
        """Found against random: one row."""
        return self._one("comparison.parquet", "comparison")

    @cached_property
    def search_epochs(self) -> pd.DataFrame:
        """One row an epoch of each search."""
        return self._all("search/s*/epochs.parquet", "search_epochs")

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """One row an epoch of each training from scratch."""
        return self._all("networks/*/seed*/epochs.parquet", "augment_epochs")

    @cached_property
    def candidates(self) -> pd.DataFrame:
        """One row an arc that a search has scored, in the first column that search's seed. Random and named arcs are
        among them once they have been scored."""
        tables = []
        for search in sorted(self._found("search/s*"), key=_seed):
            path = search / "candidates.parquet"
            table = self._frame(path if path.exists() else search / "own/candidates.parquet", "candidates")
            table.insert(0, "search_seed", pd.Series(_seed(search), index=table.index, dtype="Int64"))
            tables.append(table)
        return pd.concat(tables, ignore_index=True)

    @cached_property
    def signal(self) -> pd.DataFrame:
        """Whether each search's ranking says anything: one row a search."""
        return self._all("search/s*/signal.parquet", "signal")

    @cached_property
    def strategies(self) -> pd.DataFrame:
        """One row an evaluation of each way to choose an arc."""
        return self._all("search/s*/strategies.parquet", "strategies")

    @cached_property
    def ablation(self) -> pd.DataFrame:
        """One row a search of each variant of the experiment."""
        return self._one("ablation.parquet", "ablation")

    @cached_property
    def classes(self) -> pd.DataFrame:
        """One row a class, of the final network's answers to the test images."""
        return self._one("classes.parquet", "classes")

    @cached_property
    def confusion(self) -> pd.DataFrame:
        """Test images of each class, a row, by the final network's answer, a column."""
        pairs = self._one("confusion.parquet", "confusion")
        order = pairs["class"].unique()
        return pairs.pivot(index="class", columns="answer", values="images").loc[order, order]

    @cached_property
    def final(self) -> pd.DataFrame:
        """Accuracy of the final network on the test images with its binomial interval, in one row."""
        images, correct = (int(self.classes[column].sum()) for column in ("test_images", "correct"))
        interval = binomial_interval(correct, images)
        row = {
            "test_images": images,
            "correct": correct,
            "test_accuracy": interval.value,
            "accuracy_low": interval.low,
            "accuracy_high": interval.high,
            "balanced_accuracy": self.classes["accuracy"].mean(),
        }
        return pd.DataFrame([row])

    @cached_property
    def arcs(self) -> dict[str, NetworkArc]:
        """The arc of every trained network, by its name."""
        named = self.metrics.drop_duplicates("network")[["network", "space", "arc"]]
        return {network: _arc(network, space, arc) for network, space, arc in named.itertuples(index=False)}

    def _one(self, name: str, kind: str) -> pd.DataFrame:
        path = self.folder / name
        if not path.exists():
            raise UserError(f"{path}: not there yet; `snakemake --cores 2 {path}` makes it")
        return self._frame(path, kind)

    def _all(self, pattern: str, kind: str) -> pd.DataFrame:
        return pd.concat([self._frame(path, kind) for path in self._found(pattern)], ignore_index=True)

    def _found(self, pattern: str) -> list[Path]:
        paths = sorted(self.folder.glob(pattern))
        if not paths:
            raise UserError(f"{self.folder / pattern}: none there yet")
        return paths

    def _frame(self, path: Path, kind: str) -> pd.DataFrame:
        rows = read_table(path, kind)
        self._common.require(path, facts_of(rows[0] if rows else None))
        return pa.Table.from_pylist(rows, schema=SCHEMAS[kind]).to_pandas(types_mapper=NULLABLE.get)


def _seed(search: Path) -> int:
    """Of a search, by its folder's name: `s1`."""
    return int(search.name[1:])


def _arc(network: str, space: str, text: str) -> NetworkArc:
    of_text, arc = space_class(space).of_text(text)
    return NetworkArc(network, arc, of_text)
