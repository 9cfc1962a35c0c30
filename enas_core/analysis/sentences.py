"""The comparison in words, and as a table for a terminal (`enas_core.compare`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from enas_core.analysis.comparison import Difference, accuracies, summarise
from enas_core.analysis.halving import about_halving
from enas_core.analysis.power import lowest_p, measured_spread, what_shows
from enas_core.analysis.results import Row
from enas_core.analysis.signal import in_words, sentence
from enas_core.analysis.statistics import ALPHA
from enas_core.analysis.strategies import bought, bought_by_choosing

PLURAL = {"searched": "found networks", "random": "random networks"}


def sentences(
    results: Mapping[str, list[Row]],
    found: Sequence[Difference],
    checked: Mapping[str, Row],
    halved: Mapping[str, Sequence[Row]] | None = None,
) -> list[str]:
    """What can be said: of each of the results what the searches' ranking is worth, where their signal check is known,
    found against random, and against random search at equal hours; where the trainings were `halved` in a replay, what
    that would have kept. Then the results against each other."""
    lines = []
    for name, metrics in results.items():
        row, reasons = summarise(metrics, checked.get(name))
        if row["signal"] is not None:
            lines.append(f"{name}: {about_signal(row, reasons)}")
        lines.append(_about_one(name, row, reasons))
        lines += _about_power(name, metrics)
        lines += _about_strategies(name, metrics)
        lines.append(f"{name}: {about_equal_hours(row, reasons)}")
        if halved and halved.get(name):
            lines.append(f"{name}: {about_halving(halved[name])}")
    lines += [_about_two(difference) for difference in found]
    return lines


def _about_one(name: str, row: Row, reasons: Mapping[str, str]) -> str:
    if row["p_value"] is None:
        return f"{name}: found against random: {reasons['p_value']}"
    reason = f" ({reasons['p_value']})" if "p_value" in reasons else ""
    return (
        f"{name}: found against random {row['relative_improvement']:+.3f} %, which {_verdict(row['p_value'])}"
        f" the noise: p = {row['p_value']:.3g}{reason}{_size_note(row)}"
    )


def answer(row: Row, reasons: Mapping[str, str]) -> str:
    """The answer of an experiment in one sentence of its own, for the top of its report."""
    searches, random = _counted(row["n_searched"], "search"), _counted(row["n_random"], "random network")
    if row["searched_mean"] is None:
        return f"No search has a trained network yet; {random} reach a test accuracy of {_percent(row['random_mean'])}."
    accuracy = f"a test accuracy of {_percent(row['searched_mean'])}{_on_average(row['n_searched'])}"
    found = f"What {searches} found reaches {accuracy}"
    if row["random_mean"] is None:
        return f"{found}; without random networks, nothing says whether that is better than chance."
    difference = 100 * (row["searched_mean"] - row["random_mean"])
    direction = "better" if difference >= 0 else "worse"
    compared = f"{found}, {random} {_percent(row['random_mean'])}: {abs(difference):.1f} points {direction}"
    if "p_value" in reasons:
        return f"{compared}, and so few networks cannot show a difference."
    return f"{compared}, which {_verdict(row['p_value'])} the noise (p = {row['p_value']:.3g})."


def _counted(count: int, what: str) -> str:
    many = "es" if what.endswith("ch") else "s"
    return f"{count} {what}{many if count != 1 else ''}"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"


def _on_average(count: int) -> str:
    return " on average" if count > 1 else ""


def about_signal(row: Row, reasons: Mapping[str, str]) -> str:
    """What the ranking of an experiment's weakest search is worth. Only networks trained from scratch let it say
    whether an order that repeats is right."""
    which = f"search seed {row['signal_seed']}"
    if row["num_searches"] > 1:
        which += f", the weakest of {row['num_searches']}"
    text = f"{which}: {sentence(row['signal'], row)}"
    if row["signal"] != "order repeats":
        return text
    if row["agreement"] is not None:
        text += f"; search seeds agree by {in_words(row['agreement'], row['agreement_low'], row['agreement_high'])}"
    text += f"; {_about_truth(row, reasons)}"
    if row["k"] is not None:
        text += f"; the best of its first {row['k']} loses {100 * row['regret_at_k']:.2f} points to the best of all"
    return text


def _about_truth(row: Row, reasons: Mapping[str, str]) -> str:
    """How the shared weights' order fits the order after training from scratch."""
    tau, low, high = row["kendall_tau"], row["tau_low"], row["tau_high"]
    if tau is None:
        return f"whether it is right is not known: tau {reasons['kendall_tau']}"
    number = f"tau {in_words(tau, low, high)}"
    if low is None:
        return f"so few trained networks do not say whether it is right: {number}"
    if low > 0:
        return f"trained from scratch, networks confirm it: {number}"
    if high < 0:
        return f"trained from scratch, networks reverse it: {number}"
    return f"that it says anything about networks trained from scratch is not shown: {number}"


def _about_power(name: str, metrics: Sequence[Row]) -> list[str]:
    """Which difference so many networks could show. Too few to show any have been called so already."""
    searched, random = accuracies(metrics, "searched"), accuracies(metrics, "random")
    if lowest_p(len(searched), len(random)) >= ALPHA:
        return []
    return [f"{name}: {what_shows(len(searched), len(random), measured_spread(searched, random))}"]


def _about_strategies(name: str, metrics: Sequence[Row]) -> list[str]:
    """What the controller bought, and what the shared weights did without it, where random arcs were tried beside."""
    return [f"{name}: {text}" for text in (bought(metrics), bought_by_choosing(metrics)) if text is not None]


def about_equal_hours(row: Row, reasons: Mapping[str, str]) -> str:
    """Found networks against random search at equal hours: what the search has bought."""
    k, best, gain = row["equal_hours_k"], row["equal_hours_accuracy"], row["equal_hours_gain"]
    if k is None:
        return f"random search at equal hours: {reasons['equal_hours_k']}"
    arcs = "1 random arc" if k == 1 else f"{k} random arcs"
    if best is None:
        return f"random search at equal hours, {arcs}: {reasons['equal_hours_accuracy']}"

    interval = _interval(row["equal_hours_low"], row["equal_hours_high"], "{:.4f}")
    gain_interval = _interval(row["gain_low"], row["gain_high"], "{:+.2f}", times=100)
    expected = f"random search at equal hours, the best of {arcs} by validation accuracy, reaches {best:.4f}{interval}"
    difference = f"found networks {100 * gain:+.2f} points{gain_interval}"
    if row["gain_low"] is None:
        return f"{expected}; {difference}; {reasons['equal_hours_gain']}"
    if row["gain_low"] > 0:
        verdict = "the search has bought more than its hours"
    elif row["gain_high"] < 0:
        verdict = "the search has bought less than its hours"
    else:
        verdict = "that the search has bought anything is not shown"
    return f"{expected}; {difference}: {verdict}"


def _interval(low: float | None, high: float | None, form: str, times: float = 1) -> str:
    """An interval behind a number, where there is one."""
    if low is None or high is None:
        return ""
    return f" [{form.format(times * low)}, {form.format(times * high)}]"


def _about_two(difference: Difference) -> str:
    pair = f"{difference.second} against {difference.first}: {PLURAL[difference.role]} {difference.change:+.4f}"
    if difference.p is None:
        return f"{pair}; too few networks to say whether that is noise"
    return f"{pair}, which {_verdict(difference.p)} the noise: p = {difference.p:.3g}"


def _verdict(p: float) -> str:
    return "exceeds" if p < ALPHA else "does not exceed"


def _size_note(row: Row) -> str:
    if not row["searched_params_mean"] or not row["random_params_mean"]:
        return ""
    return f"; found networks have {row['searched_params_mean'] / row['random_params_mean']:.2f} times the parameters"


COLUMNS = {
    "results": "{results}",
    "dataset": "{dataset}",
    "found": "{searched_mean:.4f} ± {searched_std:.4f} ({n_searched})",
    "random": "{random_mean:.4f} ± {random_std:.4f} ({n_random})",
    "balanced": "{searched_balanced_mean:.4f}",
    "random  ": "{random_balanced_mean:.4f}",
    "improvement %": "{relative_improvement:+.3f} [{ri_low:.3f}, {ri_high:.3f}]",
    "p": "{p_value:.3g}",
    "tau": "{kendall_tau:.2f} [{tau_low:.2f}, {tau_high:.2f}]",
    "signal": "{signal}",
    "params found": "{searched_params_mean:.0f}",
    "random ": "{random_params_mean:.0f}",
    "search h": "{search_hours:.2f}",
    "train h": "{train_hours:.2f}",
}
"""The columns on a terminal: behind `±` stands the standard deviation between networks, in `( )` the number of
networks, in `[ ]` the 95 % interval. Behind `balanced` stand the mean balanced accuracies of found and random ones."""


class _OrDash:
    """A value that shows as `-` when it is None."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __format__(self, spec: str) -> str:
        return "-" if self.value is None else format(self.value, spec)


def as_text(table: pa.Table) -> str:
    """Aligned columns for a terminal."""
    lines = [list(COLUMNS)]
    for row in table.to_pylist():
        values = {name: _OrDash(value) for name, value in row.items()}
        lines.append([_without_empty_parts(column.format(**values)) for column in COLUMNS.values()])

    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def _without_empty_parts(text: str) -> str:
    return text.replace(" [-, -]", "").replace("- ± - (0)", "-")
