"""Makes this folder's README.md and figures from its tables: `python docs/evidence/digits/page.py`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from evidence import cell, compared, figure, made_by, markdown, number

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


FINAL = "searched-s3"
"""The network of the search with the best shared accuracy, which `final.pt` is."""


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


TEXT = """# Which of the original's surprises matter: the digits

The authors' program does some things that its paper does not say, each of which is a setting here; the preset `original` has
them as they are, `corrected` as one would expect them. Which of them decide whether a search learns, and whether its order of
arcs means anything? Each **search** setting was changed alone on top of `original` (`original+KEY`) and taken back alone from
`corrected` (`corrected-KEY`): {variants} variants, {seeds} search seeds each. The same {arcs} random arcs, trained from scratch
once, judge all of them. The task is that of the demo: noisy digits, cells of 2 nodes, a minute a search. What holds here need
not hold at full size.

## What was found

* **`original` does not learn here, `corrected` does**: guessing gives {chance}. Every search under `original` ends at chance, and
  so does `original` with any correction but two.
* **Two settings make the difference**: `init_fan_in` (the scale of the initial weights) and `reduction_inputs` (what a reduction
  layer of the supernet reads). Either alone lifts `original` off chance; `corrected` without either loses more than a third of
  its accuracy. `controller.op_bias_init`, the head start that the original's policy gives to two operations, costs `corrected`
  a little accuracy, and nothing of its order that could be shown.
* **Gradient clipping, Adam's epsilon and the baseline of the advantage change nothing that {seeds} searches could show.**
* **The order of arcs**: in every variant that has learned, the ranking of the random arcs by shared weights agrees with that by
  training from scratch (tau about 0.4). Once it has learned, how well a supernet is trained matters less for the order than
  for the accuracy.
* **The policy hardly moves**: its entropy stays close to that of uniform draws in all variants. What is found is found by
  scoring candidates, not by the controller.

Sentences below are the program's own; a change is named when it exceeds the noise between search seeds (Welch's t-test,
corrected by Holm for the number of variants, p below 0.05).

{sentences}

![Candidates' accuracy and Kendall's tau of each variant](ablation.svg)

Mean ± standard deviation over the search seeds; k = {k}. Precision@k: the share of the best k arcs that are among the first k by
shared weights. Regret@k: what the best of these loses to the best of all. Entropy in nats an arc.

{table}

The experiment whose random networks judge them, `digits`:

{comparison}

![Found against random networks](found_vs_random.svg)

The arc of its final network:

![The normal and the reduction cell](cell.svg)

## How it was made

    snakemake --profile workflow/profiles/default --cores 1 results/digits/comparison.parquet results/digits_ablation/ablation.parquet
    python docs/evidence/digits/page.py

The tables beside this page are the workflow's own (`ablation.json` is `config/ablation.json`); the second command makes the page
and its figures from them. Searches took {hours} core-hours on a machine that did other work as well. Tables: {made_by}.
"""


def make(out: Path) -> None:
    """Write page and figures into the folder `out`."""
    figure("plot_ablation.py", {"ablation": FOLDER / "ablation.parquet"}, out / "ablation.svg")
    figure("plot_found_vs_random.py", {"metrics": FOLDER / "metrics.parquet"}, out / "found_vs_random.svg")
    cell(FOLDER / "metrics.parquet", FINAL, out / "cell.svg")
    (out / "README.md").write_text(page(FOLDER))


if __name__ == "__main__":
    make(FOLDER)
