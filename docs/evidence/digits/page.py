"""Makes this folder's README.md and figures from its tables: `python docs/evidence/digits/page.py`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from evidence import compared, figure, made_by, markdown, number

from enas_core.analysis.ablation import in_order_of_effect, sentences, values_of
from enas_core.analysis.statistics import mean_of_known, std
from enas_core.files.tables import read_table
from enas_core.settings.stages import AblationStage, read_stage

FOLDER = Path(__file__).resolve().parent
COLUMNS = {
    "candidates_mean": "candidates' accuracy",
    "reliability": "reliability",
    "kendall_tau": "tau",
    "precision_at_k": "precision@k",
    "regret_at_k": "regret@k",
    "controller_entropy": "entropy",
}
"""Columns of the table: mean and standard deviation over the search seeds."""


def page(folder: Path) -> str:
    """The text, from the tables in `folder`."""
    rows = read_table(folder / "ablation.parquet", "ablation")
    settings = read_stage(folder / "ablation.json", AblationStage)
    values = {column: values_of(rows, column) for column in COLUMNS}
    order = [name for group in in_order_of_effect(rows, "candidates_mean").values() for name in group]
    learned = {name: [row["verdict"] != "at chance" for row in rows if row["variant"] == name] for name in order}

    table = []
    for name in order:
        cells = []
        for column in COLUMNS:
            known = values[column][name]
            cells.append(f"{number(mean_of_known(known))} ± {number(std(known))}" if known else "–")
        table.append([f"`{name}`", f"{sum(learned[name])} of {len(learned[name])}", *cells])

    hours = sum(row["hours"] for row in rows)
    return TEXT.format(
        seeds=len({row["seed"] for row in rows}),
        variants=len(order),
        arcs=rows[0]["n_random"],
        chance=number(mean_of_known(row["chance"] for row in rows), 2),
        k=rows[0]["k"],
        table=markdown(["variant", "learned", *COLUMNS.values()], table),
        sentences="\n".join(f"* {line}" for line in sentences(settings, rows)),
        comparison="\n".join(f"* {line}" for line in compared(folder)),
        hours=f"{hours:.2f}",
        made_by=made_by([folder / "ablation.parquet", folder / "metrics.parquet"]),
    )


TEXT = """PLACEHOLDER"""


def main() -> None:
    """Write them."""
    figure("plot_ablation.py", {"ablation": FOLDER / "ablation.parquet"}, FOLDER / "ablation.svg")
    figure("plot_found_vs_random.py", {"metrics": FOLDER / "metrics.parquet"}, FOLDER / "found_vs_random.svg")
    (FOLDER / "README.md").write_text(page(FOLDER))


if __name__ == "__main__":
    main()
