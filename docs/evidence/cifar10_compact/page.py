"""Makes this folder's README.md and figures from its tables, which it takes from the results of finished runs.

    python docs/evidence/cifar10_compact/page.py                   the page, from the tables beside it
    python docs/evidence/cifar10_compact/page.py --take RESULTS    takes the tables of the runs in the folder RESULTS first

With `--experiment cifar10_full` both are about the same runs at full size, in docs/evidence/cifar10_full.
"""

from __future__ import annotations

import argparse
import math
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import searches as evidence
from evidence import compared, figure, made_by, markdown, number, trained_by
from published import about_published, published_rows
from searches import Runs, code

from enas_core.analysis.ablation import accuracy_from_scratch, values_of
from enas_core.analysis.comparison import summarise
from enas_core.analysis.sentences import about_equal_hours
from enas_core.analysis.statistics import mean_of_known, std
from enas_core.analysis.strategies import bought, bought_by_choosing
from enas_core.files.tables import read_table, write_table
from enas_core.settings.stages import AugmentStage, SearchStage, read_stage

FOLDER = Path(__file__).resolve().parent
BASE, UNIFORM = "corrected", "corrected, uniform"
VARIANTS = {
    "_original": "original",
    "_fan_in": "original+init_fan_in",
    "_reduction_inputs": "original+reduction_inputs",
    "": BASE,
    "_random_policy": UNIFORM,
}
"""What stands behind the experiment's name in config.yaml, and the variant's name on the page."""

PRESETS = {
    "original": ("original", None),
    "original+init_fan_in": ("original", "init_fan_in"),
    "original+reduction_inputs": ("original", "reduction_inputs"),
    BASE: ("corrected", None),
}
"""Preset and single correction of those variants that are compared as an ablation is."""

TABLES = (
    *("metrics.parquet", "comparison.parquet", "config/search.json", "config/augment.json"),
    *("search/s*/epochs.parquet", "search/s*/candidates.parquet", "search/s*/signal.parquet"),
    "search/s*/strategies.parquet",
)
FURTHER_SEEDS = "networks/random-[0-9]*/seed*/epochs.parquet"
"""Of random arcs that were trained again by hand, to see how much seeds differ."""

REMARKS = {
    "cifar10_compact": "Hours are by the clock: the two cores did other work as well, and some runs were stopped for minutes, so"
    " they are too long, and random search at equal hours has more arcs than it should. No accuracy depends on that.",
}
"""What the tables cannot say of the runs of an experiment."""

COLUMNS = {
    "candidates_mean": "candidates' accuracy",
    "reliability": "reliability",
    "kendall_tau": "tau",
    "precision_at_k": "precision@k",
    "regret_at_k": "regret@k",
    "controller_entropy": "entropy",
}


def take(results: Path, folder: Path) -> None:
    """Copy the tables of those variants that are complete."""
    for ending in VARIANTS:
        source = results / f"{folder.name}{ending}"
        if not (source / "comparison.parquet").exists():
            print(f"not complete: {source}")
            continue
        patterns = TABLES if ending else (*TABLES, FURTHER_SEEDS)
        for path in sorted(path for pattern in patterns for path in source.glob(pattern)):
            if path.match("networks/*/seed1/*"):  # its accuracy stands in metrics.parquet
                continue
            copy = folder / path.relative_to(results)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


def read_all(folder: Path, name: str) -> dict[str, Runs]:
    """The variants whose tables are in `folder`, by their names on the page."""
    found = {label: evidence.read_runs(folder / f"{name}{ending}", label) for ending, label in VARIANTS.items()}
    return {label: runs for label, runs in found.items() if runs is not None}


def page(folder: Path, name: str) -> str:
    """The text, from the tables in `folder`."""
    variants = read_all(folder, name)
    base = variants[BASE]
    everything = list(variants.values())
    truth = accuracy_from_scratch(base.metrics)
    further = evidence.read_seed_noise(folder / name, base.metrics)
    presets = {PRESETS[label]: runs for label, runs in variants.items() if label in PRESETS}
    rows = evidence.variant_rows(presets, truth)
    table = evidence.variant_rows({(label, None): runs for label, runs in variants.items()}, truth)
    found = evidence.about_found(everything)
    controller = ["The searches without a controller are not complete yet."]
    if UNIFORM in variants:
        controller = evidence.about_controller(base, variants[UNIFORM])
    decisions = read_stage(folder / name / "config/search.json", SearchStage).search_space.decisions
    entropy = evidence.about_entropy(base, math.fsum(math.log(decision.choices) for decision in decisions))
    if entropy is not None:
        controller.append(entropy)
    row, reasons = summarise(base.metrics, base.checked)
    equal_hours = about_equal_hours(row, reasons)
    strategies = evidence.strategy_rows(base, folder / name)
    said = [text for text in (bought(base.metrics), bought_by_choosing(base.metrics)) if text is not None]
    missing = [label for label in VARIANTS.values() if label not in variants]

    return TEXT.format(
        name=name,
        headline=headline(variants, truth),
        missing=f"\n**Not complete yet: {code(missing)}.** What follows is about the others.\n" if missing else "",
        size=size(folder / name, base),
        learning=listed(evidence.about_learning(everything)),
        order=listed(evidence.about_order(everything, truth)),
        seeds=listed(evidence.about_seeds(evidence.seed_noise(further), everything)),
        found=listed(found),
        corrections=listed(
            evidence.about_corrections(rows, "candidates_mean", "Candidates' accuracy")
            + evidence.about_corrections(rows, "kendall_tau", "Kendall's tau")
        ),
        controller=listed([*controller, *(f"{text[0].upper()}{text[1:]}." for text in (*said, equal_hours))]),
        strategies=strategy_text(strategies),
        published=markdown(["", "random, %", "found, %", "difference, points", "shows"], published_rows(base)),
        published_words=about_published(base),
        table=variant_table(table, everything),
        k=table[0]["k"],
        command="python docs/evidence/cifar10_compact/page.py"
        + ("" if name == FOLDER.name else f" --experiment {name}"),
        compared=listed(compared(folder / name)),
        hours=f"{hours(everything, folder / name):.1f}",
        trained_by=trained_by(row for runs in everything for row in runs.metrics),
        remark=REMARKS.get(name, ""),
        made_by=made_by(sorted(folder.glob("*/search/s*/epochs.parquet"))),
        targets=" ".join(f"results/{name}{ending}/comparison.parquet" for ending in VARIANTS),
    )


def listed(lines: list[str]) -> str:
    """A list in Markdown."""
    return "\n".join(f"* {line}" for line in lines)


def headline(variants: dict[str, Runs], truth: dict[str, float]) -> str:
    """The answer in one sentence."""
    base = variants[BASE]
    learned, searches = evidence.have_learned(base), len(base.searches)
    tau = evidence.kendall_tau(*evidence.shared_and_truth(base, truth))
    row, _ = summarise(base.metrics, base.checked)
    order = "is not shown to mean anything"
    if tau.low is not None and tau.low > 0:
        order = "means something"
    if tau.high is not None and tau.high < 0:
        order = "is the wrong one"
    difference = row["searched_mean"] - row["random_mean"]
    better = (
        "are better than random ones"
        if row["p_value"] < evidence.ALPHA
        else "are not shown to be better than random ones"
    )
    parts = [
        f"{learned} of {searches} searches under `{BASE}` learn",
        f"their order of arcs {order} for networks that are trained from scratch (tau {tau.value:.2f})",
        f"found networks {better} ({evidence.points(difference)} points, p = {row['p_value']:.2g})",
    ]
    if UNIFORM in variants:
        parts.append(evidence.controller_in_short(base, variants[UNIFORM]))
    return f"{'; '.join(parts)}."


def size(folder: Path, base: Runs) -> str:
    """What was trained, from the settings of the stages."""
    search = read_stage(folder / "config/search.json", SearchStage)
    augment = read_stage(folder / "config/augment.json", AugmentStage)
    parts = []
    for name, section in (("search", search.search), ("stand-alone training", augment.augment)):
        images = "all" if section.max_train_images is None else f"{section.max_train_images:,}"
        parts.append(
            f"{name}: num_layers {section.num_layers}, {section.num_filters} filters, batches of {section.batch_size},"
            f" {section.num_epochs} epochs over {images} images"
        )
    arcs = len(accuracy_from_scratch(base.metrics))
    space = augment.space_settings.model_dump(exclude_unset=True)
    parts = [", ".join(f"{key} {value}" for key, value in space.items()), *parts]
    return f"{'; '.join(parts)}; {arcs} random arcs, {len(base.searches)} search seeds a variant"


def variant_table(rows: list[dict], everything: list[Runs]) -> str:
    """Mean and standard deviation over the search seeds of each variant."""
    values = {column: values_of(rows, column) for column in COLUMNS}
    table = []
    for runs in everything:
        cells = []
        for column in COLUMNS:
            known = values[column][runs.label]
            deviation = f" ± {number(std(known))}" if len(known) > 1 else ""
            cells.append(f"{number(mean_of_known(known))}{deviation}" if known else "–")
        table.append([f"`{runs.label}`", f"{evidence.have_learned(runs)} of {len(runs.searches)}", *cells])
    return markdown(["variant", "learned", *COLUMNS.values()], table)


def strategy_text(rows: list[list[str]]) -> str:
    """Other ways to choose an arc, where they were tried."""
    if not rows:
        return "Other ways to choose an arc from these supernets (`select.compare`) were not tried."
    header = ["strategy", "best shared accuracy", "test accuracy of its choices, %"]
    parts = [
        "The same supernets, searched in other ways with as many evaluations:",
        markdown(header, rows),
        "![Best shared accuracy so far, and what the choices reach](strategies.svg)",
    ]
    return "\n\n".join(parts)


def hours(everything: list[Runs], folder: Path) -> float:
    """Device-hours of all searches and trainings, further seeds of random arcs in `folder` included; random networks that
    several variants have in common count once."""
    seconds: dict[object, float] = {
        path: math.fsum(row["seconds"] for row in read_table(path, "augment_epochs"))
        for path in folder.glob(FURTHER_SEEDS)
    }
    for runs in everything:
        for row in runs.metrics:
            seconds[row["trained_by"], row["network"], row["seed"]] = row["seconds"]
        for seed, search in runs.searches.items():
            seconds[runs.label, seed] = search.seconds
    return sum(seconds.values()) / 3600


TEXT = """# CIFAR-10 at a size that two cores reach: `{name}`

**{headline}**

Real images, the whole workflow, small networks: {size}. The variants differ in the search alone, and the same random arcs,
trained from scratch once, judge all of them. Every number and every verdict here is computed from the tables beside this page;
what these runs cannot show is called so, with how many would settle it (80 % power). What holds at this size need not hold at full size.
{missing}
## Does the search learn?

{learning}

## Does its order of arcs mean anything?

Kendall's tau between the shared accuracy of the random arcs (the mean over the search seeds) and their test accuracy
after training from scratch, with 95 % intervals. The better half is the question that matters: telling the bad arcs apart is easy.

{order}

![Shared-weight against test accuracy](shared_vs_test.svg)

## Do seeds agree?

{seeds}

## Is found better than random?

One-sided permutation tests, not corrected for the number of variants.

{found}

![Found against random networks](found_vs_random.svg)

## Which correction matters?

The authors' program (`original`) with one correction alone, and with all (`corrected`); Welch's t-test over search seeds,
corrected by Holm for the number of variants.

{corrections}

![Candidates' accuracy and Kendall's tau of each variant](ablation.svg)

## What did the controller buy?

{controller}

![Random search at equal hours](budget.svg)

{strategies}

## Against the published numbers

{published_words}

{published}

## All variants

Mean ± standard deviation over the search seeds; k = {k}. Precision@k: the share of the best k arcs that are among the first k by
shared weights. Regret@k: what the best of these loses to the best of all. Entropy in nats an arc.

{table}

What `enas compare` says of `{name}`:

{compared}

## How it was made

    snakemake --profile workflow/profiles/default --cores 2 {targets}
    {command} --take results

The searches and trainings took {hours} device-hours. Networks: {trained_by}. Searches: {made_by}. `enas compare docs/evidence/{name}` reads them.
{remark}
With `cifar10_full` in place of `cifar10_compact`, in the targets and as `--experiment cifar10_full`, a GPU owner gets the same
page at full size.
"""


def make(out: Path, folder: Path = FOLDER, name: str = FOLDER.name) -> None:
    """Write page and figures into the folder `out`, from the tables in `folder`."""
    out.mkdir(parents=True, exist_ok=True)
    base = folder / name
    metrics: dict[str, Path | list[Path]] = {"metrics": base / "metrics.parquet"}
    figure("plot_found_vs_random.py", metrics, out / "found_vs_random.svg")
    figure("plot_budget.py", metrics, out / "budget.svg")
    figure("plot_shared_vs_test.py", metrics | {"comparison": base / "comparison.parquet"}, out / "shared_vs_test.svg")
    tried = sorted(base.glob("search/s*/strategies.parquet"))
    if tried:
        figure("plot_strategies.py", metrics | {"strategies": tried}, out / "strategies.svg")
    variants = read_all(folder, name)
    presets = {PRESETS[label]: runs for label, runs in variants.items() if label in PRESETS}
    rows = evidence.variant_rows(presets, accuracy_from_scratch(variants[BASE].metrics))
    with tempfile.TemporaryDirectory() as temporary:
        table = Path(temporary) / "ablation.parquet"
        write_table(table, "ablation", rows, {})
        figure("plot_ablation.py", {"ablation": table}, out / "ablation.svg")
    (out / "README.md").write_text(page(folder, name))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Make the page of evidence from its tables.")
    parser.add_argument("--experiment", default=FOLDER.name, help="as config.yaml names it; its variants end otherwise")
    parser.add_argument("--take", type=Path, metavar="RESULTS", help="copy the tables of finished runs from here first")
    given = parser.parse_args()
    folder = FOLDER.parent / given.experiment
    if given.take is not None:
        take(given.take, folder)
    if not (folder / given.experiment / "metrics.parquet").exists():
        sys.exit(f"error: {folder / given.experiment}: no tables; the random networks of {given.experiment} come first")
    make(folder, folder, given.experiment)


if __name__ == "__main__":
    main()
