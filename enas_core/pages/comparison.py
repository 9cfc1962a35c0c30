"""The comparison of an experiment as a table: a row a quantity, with its meaning and what it cannot say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from enas_core.analysis.results import Row
from enas_core.pages.numbers import NOTHING, duration, percent, shown, significant
from enas_core.pages.tables import Column, Table


def _hours(value: float | None) -> str:
    return NOTHING if value is None else duration(3600 * value)


def _of_hundred(value: float | None) -> str:
    return NOTHING if value is None else f"{significant(value)} %"


def _count(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.0f}"


QUANTITIES: Mapping[str, tuple[Callable[[Any], str], str]] = {
    "n_searched": (shown, "networks found, one for each search seed"),
    "n_random": (shown, "random networks"),
    "searched_mean": (percent, "mean test accuracy of the found networks"),
    "searched_std": (percent, "standard deviation between found networks"),
    "random_mean": (percent, "mean test accuracy of the random networks"),
    "random_std": (percent, "standard deviation between random networks"),
    "relative_improvement": (_of_hundred, "100 (found mean - random mean) / random mean"),
    "ri_low": (_of_hundred, "lower end of its 95 % interval"),
    "ri_high": (_of_hundred, "upper end of its 95 % interval"),
    "p_value": (shown, "probability of such a difference by chance (permutation test, one-sided)"),
    "searched_balanced_mean": (percent, "the found networks' mean over the classes, where each class counts alike"),
    "random_balanced_mean": (percent, "the same of the random networks"),
    "kendall_tau": (shown, "rank correlation of shared and test accuracy, -1..1"),
    "tau_low": (shown, "lower end of its 95 % interval"),
    "tau_high": (shown, "upper end of its 95 % interval"),
    "searched_params_mean": (_count, "mean number of parameters of the found networks"),
    "random_params_mean": (_count, "mean number of parameters of the random networks"),
    "search_hours": (_hours, "device time of all searches"),
    "train_hours": (_hours, "device time of all trainings"),
    "signal": (
        shown,
        "what the shared weights' order is worth in the weakest search: at chance (they have not learned), order is"
        " noise (they do not tell arcs apart), order repeats (right or not)",
    ),
    "num_searches": (shown, "searches that were checked for it"),
    "signal_seed": (shown, "seed of the weakest search; the following rows are of it"),
    "chance": (percent, "accuracy of always answering the commonest class of the validation images"),
    "candidates_low": (percent, "lowest shared accuracy of its candidates"),
    "candidates_mean": (percent, "mean shared accuracy of its candidates"),
    "candidates_high": (percent, "highest shared accuracy of its candidates"),
    "reliability": (shown, "how far their order would repeat on other images (split halves, rank correlation), -1..1"),
    "reliability_low": (shown, "lower end of its 95 % interval"),
    "reliability_high": (shown, "upper end of its 95 % interval"),
    "agreement": (shown, "rank correlation of the random arcs' shared accuracies between search seeds, -1..1"),
    "agreement_low": (shown, "lower end of its 95 % interval"),
    "agreement_high": (shown, "upper end of its 95 % interval"),
    "k": (shown, "networks that are looked at first, by shared accuracy: a quarter"),
    "precision_at_k": (percent, "share of them among the k best by test accuracy"),
    "regret_at_k": (percent, "what the best of them lacks to the best of all, test accuracy"),
    "select_hours": (_hours, "device time of all selections"),
    "equal_hours_k": (shown, "random arcs that cost as many hours as a found network with its search and selection"),
    "equal_hours_accuracy": (percent, "expected test accuracy of the best of so many by validation accuracy"),
    "equal_hours_low": (percent, "lower end of its 95 % interval"),
    "equal_hours_high": (percent, "upper end of its 95 % interval"),
    "equal_hours_gain": (percent, "how far the found networks' mean test accuracy lies above it"),
    "gain_low": (percent, "lower end of its 95 % interval"),
    "gain_high": (percent, "upper end of its 95 % interval"),
}
"""Columns of `comparison`: how each is written, and what it means."""

BOUNDS = {
    "ri_low": "relative_improvement",
    "ri_high": "relative_improvement",
    "tau_low": "kendall_tau",
    "tau_high": "kendall_tau",
    **dict.fromkeys(["num_searches", "signal_seed", "chance"], "signal"),
    **dict.fromkeys(["candidates_low", "candidates_mean", "candidates_high"], "signal"),
    "reliability_low": "reliability",
    "reliability_high": "reliability",
    "agreement_low": "agreement",
    "agreement_high": "agreement",
    "precision_at_k": "k",
    "regret_at_k": "k",
    "equal_hours_low": "equal_hours_accuracy",
    "equal_hours_high": "equal_hours_accuracy",
    "gain_low": "equal_hours_gain",
    "gain_high": "equal_hours_gain",
}
"""Ends of intervals and the like, and the quantity whose remark says why there is none."""

COLUMNS = (
    Column("quantity", "quantity"),
    Column("value", "value", kind="number"),
    Column("meaning", "meaning", kind="text"),
    Column("remark", "remark", kind="text"),
)


def comparison_table(summary: Row, reasons: Mapping[str, str], title: str = "") -> Table:
    """`reasons` say of columns why they are null, or what they cannot show."""
    rows = []
    for column, (form, meaning) in QUANTITIES.items():
        value = summary[column]
        reason_of = BOUNDS.get(column, column) if value is None else column
        remark = reasons.get(reason_of, "")
        rows.append({"quantity": column, "value": form(value), "meaning": meaning, "remark": remark})
    return Table(COLUMNS, rows, title)
