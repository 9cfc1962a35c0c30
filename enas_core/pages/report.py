"""The report of one or several experiments as the text of an HTML page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from enas_core.analysis.comparison import differences
from enas_core.analysis.results import Row
from enas_core.analysis.sentences import sentences
from enas_core.options import version
from enas_core.pages.finished import Finished
from enas_core.pages.numbers import NOTHING, percent, significant
from enas_core.pages.page import render
from enas_core.pages.sections import FIRST, SECTIONS
from enas_core.pages.tables import Column, Table


def report_page(results: Mapping[str, list[Row]]) -> str:
    """`results`: metrics by the folder that they are in."""
    experiments = [
        Finished(Path(folder), metrics, f"x{number}") for number, (folder, metrics) in enumerate(results.items())
    ]
    names = ", ".join(experiment.name for experiment in experiments)
    return render(
        "report.html",
        {
            "title": f"{names}: architecture search",
            "experiments": [_sections(experiment) for experiment in experiments],
            "comparison": _comparison(experiments) if len(experiments) > 1 else None,
            "made_by": f"Made by enas-workflow {version()}.",
        },
    )


def _sections(experiment: Finished) -> dict[str, Any]:
    """What the page shows of an experiment."""
    sections = [
        {"name": section.name, "title": section.title, "data": data}
        for section in SECTIONS
        if (data := section.data(experiment)) is not None
    ]
    return {
        "anchor": experiment.anchor,
        "name": experiment.name,
        "dataset": experiment.dataset,
        "first_page": FIRST.data(experiment),
        "sections": sections,
    }


def _improvement(value: float | None) -> str:
    return NOTHING if value is None else f"{significant(value)} %"


COMPARED = (
    Column("results", "results"),
    Column("dataset", "images"),
    Column("n_searched", "searches"),
    Column("searched_mean", "found", percent),
    Column("n_random", "random networks"),
    Column("random_mean", "random", percent),
    Column("relative_improvement", "improvement", _improvement),
    Column("p_value", "p"),
    Column("kendall_tau", "tau"),
    Column("signal", "signal"),
)


def _comparison(experiments: list[Finished]) -> dict[str, Any]:
    """Several experiments with each other."""
    metrics = {str(experiment.folder): experiment.metrics for experiment in experiments}
    rows = [{"results": str(experiment.folder), **experiment.summary[0]} for experiment in experiments]
    return {"table": Table(COMPARED, rows), "sentences": sentences({}, differences(metrics), {})}
