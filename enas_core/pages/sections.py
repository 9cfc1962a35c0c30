"""What stands on an experiment's report, in this order. The package's docstring says how to add a section."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from enas_core.analysis.results import Row
from enas_core.analysis.sentences import about_signal, answer
from enas_core.analysis.signal import sentence
from enas_core.analysis.strategies import bought, bought_by_choosing
from enas_core.pages.arcs import about_network, draw_arc
from enas_core.pages.checklist import checklist
from enas_core.pages.comparison import comparison_table
from enas_core.pages.contents import classes_table, makers_table, networks_table, settings_tables
from enas_core.pages.figures import inline, width_of
from enas_core.pages.finished import Finished

Data = dict[str, Any]


class Section(NamedTuple):
    """A part of the page, shown by `templates/sections/{name}.html`."""

    name: str
    title: str
    data: Callable[[Finished], Data | None]
    """What the template shows; None: the section is left out."""


MANY_PICTURES = 24
"""Found networks that are drawn; the table has all of them."""

WIDE = 800
"""Pictures of more pixels than so many get the whole width of the page."""


def picture(experiment: Finished, row: Row, place: str) -> Data:
    """The arc of a training: drawn, and what is known of its network. `place`: where on the page it stands."""
    drawn = draw_arc(row)
    return {
        "svg": inline(drawn, f"{experiment.anchor}-{place}-{row['network']}", f"arc {row['arc']}"),
        "wide": width_of(drawn) > WIDE,
        "about": about_network(row),
        "arc": row["arc"],
    }


def first_page(experiment: Finished) -> Data:
    """The answer, and what one needs to go on."""
    summary, reasons = experiment.summary
    found = experiment.found
    return {
        "answer": answer(summary, reasons),
        "signal": about_signal(summary, reasons) if summary["signal"] is not None else None,
        "summary": summary,
        "found": None if found is None else picture(experiment, found, "first"),
        "accuracy": experiment.accuracy,
        "test_images": experiment.test_images,
        "cost": cost(summary),
        "figure": experiment.figure("found_vs_random", "test accuracy of found and of random networks"),
        "network": experiment.folder / "final.pt",
        "portable": experiment.folder / "final.onnx",
    }


def cost(summary: Row) -> dict[str, float | None]:
    """Device time, seconds; None where it is not known."""
    columns = {"searches": "search_hours", "selections": "select_hours", "trainings": "train_hours"}
    parts = {what: None if summary[name] is None else 3600 * summary[name] for what, name in columns.items()}
    return {"all": math.fsum(seconds for seconds in parts.values() if seconds is not None), **parts}


def comparison(experiment: Finished) -> Data:
    """Every quantity, and whether the shared weights predict the test accuracy."""
    return {
        "table": comparison_table(*experiment.summary),
        "shared_vs_test": experiment.figure("shared_vs_test", "shared against test accuracy"),
    }


def strategies(experiment: Finished) -> Data | None:
    """What the controller bought, and other ways to choose an arc from the same shared weights."""
    texts = [text(experiment.metrics) for text in (bought, bought_by_choosing)]
    figure = experiment.figure("strategies", "best shared accuracy so far, and test accuracy, of each strategy")
    known = [f"{text[0].upper()}{text[1:]}." for text in texts if text is not None]
    return {"sentences": known, "figure": figure} if known or figure is not None else None


def search(experiment: Finished) -> Data | None:
    """Learning curves, candidates, and the check of each search."""
    figures = {
        "curves": experiment.figure("search", "learning curves of the searches"),
        "candidates": experiment.figure("candidates", "shared accuracy of candidates and of random arcs"),
        "front": experiment.figure("front", "shared accuracy of candidates against multiply-accumulates"),
    }
    checks = [f"Search seed {row['seed']}: {sentence(row['verdict'], row)}." for row in experiment.signals]
    return figures | {"checks": checks} if checks or any(figures.values()) else None


def training(experiment: Finished) -> Data | None:
    """Learning curves of the trainings from scratch."""
    return _figure(experiment, "augment", "learning curves of all trainings from scratch")


def budget(experiment: Finished) -> Data | None:
    """What the hours of a search would have bought without one, and what stopping early would have kept."""
    figures = {
        "equal_hours": experiment.figure("budget", "random search against device-hours, and the found networks"),
        "halving": experiment.figure("halving", "what stopping the random arcs' trainings early would have kept"),
    }
    return figures if any(figures.values()) else None


def classes(experiment: Finished) -> Data | None:
    """Which classes the final network tells apart."""
    if not experiment.classes:
        return None
    return {
        "table": classes_table(experiment.classes),
        "figure": experiment.figure("confusion", "confusion matrix of the final network"),
    }


def arcs(experiment: Finished) -> Data:
    """The found networks' arcs and that of the best random network."""
    firsts = {row["network"]: row for row in reversed(experiment.metrics) if row["role"] == "searched"}
    rows = list(reversed(firsts.values()))
    pictures = [picture(experiment, row, "arcs") for row in rows[:MANY_PICTURES]]
    if experiment.best_random is not None:
        pictures.append(picture(experiment, experiment.best_random, "arcs"))
    return {"pictures": pictures, "others": len(rows[MANY_PICTURES:])}


def networks(experiment: Finished) -> Data:
    """Every training."""
    return {"table": networks_table(experiment.metrics)}


def ablation(experiment: Finished) -> Data | None:
    """Which settings of the search matter."""
    return _figure(experiment, "ablation", "variants of the search, one setting changed at a time")


def settings(experiment: Finished) -> Data | None:
    """All of them, first what differs from the defaults."""
    return {"tables": settings_tables(experiment.settings)} if experiment.settings else None


def makers(experiment: Finished) -> Data | None:
    """Versions, device and settings behind each table."""
    tables = experiment.tables
    return {"table": makers_table(tables, experiment.trainings)} if tables else None


def _figure(experiment: Finished, name: str, label: str) -> dict[str, Markup] | None:
    figure = experiment.figure(name, label)
    return None if figure is None else {"figure": figure}


FIRST = Section("first_page", "", first_page)
"""What is seen at once; the others are folded behind it."""

SECTIONS: Sequence[Section] = (
    Section("comparison", "Found against random", comparison),
    Section("strategies", "What did the controller buy?", strategies),
    Section("budget", "What the same hours buy without a search", budget),
    Section("search", "The search", search),
    Section("training", "Training from scratch", training),
    Section("classes", "Classes", classes),
    Section("arcs", "Architectures", arcs),
    Section("networks", "All trained networks", networks),
    Section("ablation", "Which settings of the search matter", ablation),
    Section("settings", "Settings", settings),
    Section("checklist", "NAS best practices", checklist),
    Section("makers", "What made each table", makers),
)
