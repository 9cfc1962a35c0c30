"""What variants of one experiment show, from their tables: the numbers and sentences of a page of evidence.

Every verdict is a comparison of numbers, so no sentence can say what the tables contradict. Where something is not
shown, the sentence says how many runs would settle it if what was measured were true.

The unit of every statistic is a search or an arc, as in `enas_core.analysis`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from enas_core.analysis.ablation import effects, judged
from enas_core.analysis.comparison import accuracies, summarise
from enas_core.analysis.power import Spread, measured_spread, networks_needed
from enas_core.analysis.results import Row, SearchResult, read_checked, read_metrics, read_search
from enas_core.analysis.signal import in_words
from enas_core.analysis.statistics import (
    ALPHA,
    Estimate,
    MeanDifference,
    kendall_tau,
    mean_difference,
    mean_interval,
    mean_of_known,
    std,
)
from enas_core.analysis.strategies import reached
from enas_core.files.tables import read_table

MOST_RUNS = 1000
"""More runs than so many are no plan: the sentence says that the difference is practically none."""


class Runs(NamedTuple):
    """One experiment: its trained networks and its searches."""

    label: str
    metrics: list[Row]
    checked: Row
    searches: dict[int, SearchResult]


def read_runs(folder: Path, label: str) -> Runs | None:
    """The tables of one experiment; None where they are not there yet."""
    if not (folder / "metrics.parquet").exists():
        return None
    searches = dict(read_search(path.parent) for path in sorted(folder.glob("search/s*/candidates.parquet")))
    return Runs(label, read_metrics(folder / "metrics.parquet"), read_checked(folder), searches)


def code(labels: Iterable[str]) -> str:
    """Labels as they stand in a sentence."""
    quoted = [f"`{label}`" for label in labels]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def points(value: float | None, sign: str = "+") -> str:
    """A fraction of the test images in percentage points."""
    return "–" if value is None else f"{100 * value:{sign}.2f}"


def span(low: float | None, high: float | None) -> str:
    """An interval of points behind a number, where there is one."""
    return "" if low is None or high is None else f" [{points(low)}, {points(high)}]"


def to_settle(difference: float, spread: Spread | None, of_what: str) -> str:
    """How many runs of each of two groups would show a difference such as the measured one."""
    if spread is None or difference == 0:
        return f"how many {of_what} would settle it cannot be told from these"
    needed = networks_needed(abs(difference), spread)
    if needed > MOST_RUNS:
        return f"a difference so small would take more than {MOST_RUNS} {of_what} of each"
    return f"about {needed} {of_what} of each would settle it, if the difference is as large as measured"


# --- does it learn, and does its order mean anything? -----------------------------------------------


def have_learned(runs: Runs) -> int:
    """Searches whose shared weights have learned."""
    checks = [search.signal for search in runs.searches.values() if search.signal is not None]
    return sum(check["verdict"] != "at chance" for check in checks)


def about_learning(all_runs: Sequence[Runs]) -> list[str]:
    """Which variants' searches learn."""
    every = [runs.label for runs in all_runs if have_learned(runs) == len(runs.searches)]
    none = [runs.label for runs in all_runs if have_learned(runs) == 0]
    lines = []
    if every:
        lines.append(f"Every search of {code(every)} has learned.")
    if none:
        lines.append(f"No search of {code(none)} has.")
    for runs in all_runs:
        if runs.label not in every + none:
            lines.append(f"Of {code([runs.label])} {have_learned(runs)} of {len(runs.searches)} have.")
    return lines


def shared_and_truth(runs: Runs, truth: Mapping[str, float]) -> tuple[list[float], list[float]]:
    """Of each random arc, the mean of its shared accuracies over the search seeds, and its test accuracy."""
    scores = [search.random for search in runs.searches.values()]
    arcs = [arc for arc in truth if all(arc in of_seed for of_seed in scores)]
    shared = [math.fsum(of_seed[arc] for of_seed in scores) / len(scores) for arc in arcs]
    return shared, [truth[arc] for arc in arcs]


def better_half(shared: Sequence[float], test: Sequence[float]) -> tuple[list[float], list[float]]:
    """Of the half of the arcs that are better by test accuracy."""
    pairs = sorted(zip(shared, test, strict=True), key=lambda pair: -pair[1])[: (len(test) + 1) // 2]
    return [a for a, _ in pairs], [b for _, b in pairs]


def arcs_to_settle(tau: float) -> int | None:
    """Arcs of which a true `tau` is told from 0 with the usual power; None where no reasonable number is."""
    wanted = 1.96 + 0.84
    for count in range(5, MOST_RUNS):
        if abs(tau) >= wanted * math.sqrt(2 * (2 * count + 5) / (9 * count * (count - 1))):
            return count
    return None


def tau_in_words(tau: Estimate) -> str:
    """A rank correlation, and whether it is told from none."""
    if tau.value is None:
        return f"not known ({tau.reason})"
    number = in_words(tau.value, tau.low, tau.high)
    if tau.low is None or tau.high is None:
        return number
    if tau.low > 0:
        return f"{number}, which exceeds the noise"
    if tau.high < 0:
        return f"{number}: the order is reversed"
    needed = arcs_to_settle(tau.value)
    arcs = f"more than {MOST_RUNS}" if needed is None else f"about {needed}"
    more = f"it would take {arcs} arcs to settle it, if tau is as measured"
    return f"{number}: not shown to mean anything; {more}"


def about_order(all_runs: Sequence[Runs], truth: Mapping[str, float]) -> list[str]:
    """How the shared weights' order of the random arcs fits the truth, of all arcs and of the better half."""
    lines = []
    for runs in all_runs:
        shared, test = shared_and_truth(runs, truth)
        everything, half = kendall_tau(shared, test), kendall_tau(*better_half(shared, test))
        lines.append(
            f"{code([runs.label])}: tau of all {len(test)} arcs {tau_in_words(everything)}."
            f" Of the better half: {tau_in_words(half)}."
        )
    return lines


# --- do seeds agree? --------------------------------------------------------------------------------


class SeedNoise(NamedTuple):
    """Standard deviations of test accuracies of arcs that were trained with several seeds each."""

    arcs: int
    seeds: int
    between_seeds: float
    between_arcs: float | None
    """Of the arcs' true accuracies, the seeds' noise taken away; None where there is nothing left."""
    tau: float | None
    """How alike two seeds rank the arcs, the mean over the pairs of seeds."""


def seed_noise(accuracies: Mapping[str, Sequence[float]]) -> SeedNoise | None:
    """One-way analysis of variance of the accuracies of each arc, all with as many seeds; None for too few of them."""
    table = list(accuracies.values())
    if len(table) < 2 or len(table[0]) < 2:
        return None
    seeds = len(table[0])
    within = math.fsum((std(row) or 0.0) ** 2 for row in table) / len(table)
    means = [math.fsum(row) / seeds for row in table]
    between = (std(means) or 0.0) ** 2 - within / seeds
    pairs = [
        kendall_tau([row[i] for row in table], [row[j] for row in table]) for i, j in combinations(range(seeds), 2)
    ]
    return SeedNoise(
        arcs=len(table),
        seeds=seeds,
        between_seeds=math.sqrt(within),
        between_arcs=math.sqrt(between) if between > 0 else None,
        tau=mean_of_known(pair.value for pair in pairs),
    )


def read_seed_noise(folder: Path, metrics: Sequence[Row]) -> dict[str, list[float]]:
    """Test accuracies of the random arcs in `folder` that were trained with further seeds than the experiment's."""
    first = {row["network"]: row["test_accuracy"] for row in metrics if row["role"] == "random"}
    found: dict[str, list[float]] = {}
    for path in sorted(folder.glob("networks/random-[0-9]*/seed*/epochs.parquet")):
        last = read_table(path, "augment_epochs")[-1]
        found.setdefault(last["network"], [first[last["network"]]]).append(last["test_accuracy"])
    return found


def about_seeds(noise: SeedNoise | None, all_runs: Sequence[Runs]) -> list[str]:
    """How far training seeds and search seeds agree."""
    lines = []
    if noise is not None:
        text = (
            f"Trained from scratch, {noise.arcs} arcs with {noise.seeds} seeds each: seeds of one arc differ by a"
            f" standard deviation of {points(noise.between_seeds, '')} points, arcs by "
        )
        if noise.between_arcs is None:
            text += "no more than that."
        else:
            share = noise.between_arcs**2 / (noise.between_arcs**2 + noise.between_seeds**2)
            text += f"{points(noise.between_arcs, '')}: {share:.0%} of the variance of single trainings is the arc's"
            text += "." if noise.tau is None else f"; two seeds rank them alike by tau {noise.tau:.2f}."
        lines.append(text)
    for runs in all_runs:
        checked = runs.checked
        if checked.get("agreement") is not None:
            agreement = in_words(checked["agreement"], checked["agreement_low"], checked["agreement_high"])
            lines.append(f"Search seeds of {code([runs.label])} rank the random arcs alike by {agreement} (Spearman).")
    return lines


# --- found against random, and what the parts contribute --------------------------------------------


def about_found(all_runs: Sequence[Runs]) -> list[str]:
    """Found against random, variant by variant."""
    lines = []
    for runs in all_runs:
        row, _ = summarise(runs.metrics, runs.checked)
        searched, random = accuracies(runs.metrics, "searched"), accuracies(runs.metrics, "random")
        if row["p_value"] is None:
            continue
        difference = row["searched_mean"] - row["random_mean"]
        text = (
            f"{code([runs.label])}: {row['n_searched']} found networks reach {100 * row['searched_mean']:.2f} %,"
            f" {row['n_random']} random ones {100 * row['random_mean']:.2f} %: {points(difference)} points"
            f" ({row['relative_improvement']:+.2f} %), p = {row['p_value']:.2g}"
        )
        if row["p_value"] < ALPHA:
            text += ", which exceeds the noise."
        elif difference <= 0:
            text += ": found networks are not better here."
        else:
            text += f": not shown; {to_settle(difference, measured_spread(searched, random), 'networks')}."
        lines.append(text)
    return lines


def variant_rows(all_runs: Mapping[tuple[str, str | None], Runs], truth: Mapping[str, float]) -> list[Row]:
    """Rows of the kind `ablation`, a search each; `all_runs` are those of presets and of single corrections."""
    rows = []
    for (preset, key), runs in all_runs.items():
        about = {"experiment": "x", "dataset": runs.metrics[0]["dataset"], "variant": runs.label}
        for seed, search in runs.searches.items():
            rows.append(about | {"preset": preset, "key": key, "seed": seed} | judged(search, truth))
    return rows


def about_corrections(rows: Sequence[Row], column: str, name: str) -> list[str]:
    """Which corrections change a measure, and how many searches would settle what is not shown."""
    lines = []
    for effect in effects(rows, column):
        own, others = (
            [row[column] for row in rows if row["variant"] == label and row[column] is not None]
            for label in (effect.variant, effect.reference)
        )
        text = f"{name}: {code([effect.variant])} against {code([effect.reference])} {effect.change:+.3f}"
        if effect.low is not None:
            text += f" [{effect.low:+.3f}, {effect.high:+.3f}]"
        if effect.p is None:
            lines.append(f"{text}; too few searches to say whether that is noise.")
        elif effect.exceeds_noise:
            lines.append(f"{text}, which exceeds the noise between seeds: p = {effect.p:.2g}.")
        else:
            spread = Spread(std(own) or 0.0, std(others) or 0.0, "")
            settle = to_settle(effect.change, spread, "searches")
            lines.append(f"{text}, not beyond the noise between seeds (p = {effect.p:.2g}); {settle}.")
    return lines


def bought(learned: Runs, uniform: Runs) -> MeanDifference:
    """How much more accurate found networks are with a controller than with uniform sampling in its place."""
    return mean_difference(accuracies(learned.metrics, "searched"), accuracies(uniform.metrics, "searched"))


def controller_in_short(learned: Runs, uniform: Runs) -> str:
    """What the controller has bought, in a few words."""
    difference = bought(learned, uniform)
    text = f"{points(difference.change)} points{span(difference.low, difference.high)}"
    if difference.low is not None and difference.low > 0:
        return f"the controller buys {text}"
    if difference.high is not None and difference.high < 0:
        return f"the controller costs: {text}"
    return f"the controller buys nothing that these runs can show ({text})"


def about_entropy(runs: Runs, most: float) -> str | None:
    """How far the controller has gone from uniform sampling, whose arcs have an entropy of `most` nats; None where
    it is not known."""
    entropy = mean_of_known(search.entropy for search in runs.searches.values())
    if entropy is None:
        return None
    return (
        f"The controller's arcs have an entropy of {entropy:.2f} nats in the last epoch, uniform ones {most:.2f}: it"
        f" has gone {1 - entropy / most:.1%} of the way to a single arc."
    )


def about_controller(learned: Runs, uniform: Runs) -> list[str]:
    """What the controller has bought: found networks with and without it, and its candidates against random arcs."""
    with_it, without = accuracies(learned.metrics, "searched"), accuracies(uniform.metrics, "searched")
    difference = bought(learned, uniform)
    text = f"{points(difference.change)} points of test accuracy{span(difference.low, difference.high)}"
    if difference.low is not None and difference.low > 0:
        verdict = f"The controller has bought {text}: more than the noise."
    elif difference.high is not None and difference.high < 0:
        verdict = f"The controller has cost: {text}."
    else:
        spread = measured_spread(with_it, without)
        if spread is None and len(without) > 1:
            spread = Spread(std(with_it) or 0.0, std(without) or 0.0, "")
        settle = to_settle(difference.change, spread, "searches")
        verdict = f"The controller has bought nothing that these runs can show: {text}; {settle}."
    lines = [f"{verdict} ({len(with_it)} found networks with it, {len(without)} with uniform sampling in its place.)"]

    ahead = []
    for search in learned.searches.values():
        proposed = search.signal["candidates_mean"] if search.signal is not None else None
        random = mean_of_known(search.random.values())
        if proposed is not None and random is not None:
            ahead.append(proposed - random)
    if ahead:
        mean = mean_interval(ahead)
        text = f"{points(mean.value)} points{span(mean.low, mean.high)}"
        lines.append(
            f"Mean shared accuracy of its candidates, less that of random arcs under the same weights: {text}."
        )
    return lines


# --- other ways to choose ---------------------------------------------------------------------------


def strategy_rows(runs: Runs, folder: Path) -> list[list[str]]:
    """Ways to choose an arc from the same supernets, a row each; none where no others were tried."""
    best: dict[str, list[float]] = {}
    for path in sorted(folder.glob("search/s*/strategies.parquet")):
        for row in read_table(path, "strategies"):
            if row["selected"]:
                best.setdefault(row["strategy"], []).append(row["valid_accuracy"])
    trained = reached(runs.metrics)
    rows = []
    for strategy, values in best.items():
        mean = mean_interval(list(trained[strategy].values())) if strategy in trained else Estimate()
        shown = "–" if mean.value is None else f"{points(mean.value, '')}{span(mean.low, mean.high)}"
        rows.append([f"`{strategy}`", f"{mean_of_known(values):.4f}", shown])
    return rows
