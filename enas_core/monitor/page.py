"""How far a run has come, as one page for a browser, which loads itself again while something is under way."""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from enas_core.monitor.lines import HEADER, Line
from enas_core.monitor.stages import Overview, Rule, Stage

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; font-size: 0.87rem; width: 100%; }
th, td { border-bottom: 1px solid #8884; padding: 0.25rem 0.6rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left; }
.wide { overflow-x: auto; }
.running td:nth-child(2) { color: #0a7d55; font-weight: 600; }
.silent td:nth-child(2), .failed td:nth-child(2), .interrupted td:nth-child(2) { color: #c2410c; font-weight: 600; }
.waiting { opacity: 0.6; }
svg { background: white; border-radius: 6px; height: auto; margin-top: 0.8rem; max-width: 100%; }
footer { margin-top: 2rem; opacity: 0.7; }
"""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")

PANELS: tuple[tuple[Rule, str], ...] = (
    ("search", "Searches: arcs of the policy on validation images"),
    ("augment", "Networks on test images, which choose nothing"),
)


def page(title: str, parts: Sequence[tuple[str, Sequence[Line], Overview]], footer: str, every: float | None) -> str:
    """The page. `parts`: of each experiment its line, its table, and itself; `every`: seconds until the browser loads
    the page again, None when nothing more will come."""
    refresh = f'<meta http-equiv="refresh" content="{every:.0f}">' if every is not None else ""
    body = [_part(*part) for part in parts]
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">{refresh}\n'
        f'<meta name="viewport" content="width=device-width">\n<title>{html.escape(title)}</title>\n'
        f"<style>{STYLE}</style></head>\n<body><h1>{html.escape(title)}</h1>\n"
        + "\n".join(body)
        + f"\n<footer>{html.escape(footer)}</footer></body></html>\n"
    )


def _part(line: str, table: Sequence[Line], overview: Overview) -> str:
    """An experiment."""
    header = "".join(f"<th>{html.escape(name)}</th>" for name in HEADER)
    rows = [
        f'<tr class="{row.state}">{"".join(f"<td>{html.escape(value)}</td>" for value in row.values)}</tr>'
        for row in table
    ]
    name, _, rest = line.partition(": ")
    return (
        f"<h2>{html.escape(name)}</h2>\n<p>{html.escape(rest)}</p>\n"
        f'<div class="wide"><table><tr>{header}</tr>\n{"".join(rows)}</table></div>\n{curves(overview)}'
    )


def curves(overview: Overview) -> str:
    """Learning curves as SVG: accuracy by epoch, and what guessing gives. Empty before there is any."""
    from matplotlib.figure import Figure

    drawn = [
        (title, [stage for stage in overview.stages if stage.rule == rule and stage.accuracies])
        for rule, title in PANELS
    ]
    drawn = [(title, stages) for title, stages in drawn if stages]
    if not drawn:
        return ""
    figure = Figure(figsize=(5.6 * len(drawn), 3.2), layout="constrained")
    for axes, (title, stages) in zip(figure.subplots(1, len(drawn), squeeze=False)[0], drawn, strict=True):
        _draw(axes, title, stages)
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue().partition("<!DOCTYPE")[2].partition(">")[2]


def _draw(axes: Axes, title: str, stages: Sequence[Stage]) -> None:
    from matplotlib.ticker import MaxNLocator

    for i, stage in enumerate(stages):
        epochs = range(1, len(stage.accuracies) + 1)
        percents = [100 * accuracy for accuracy in stage.accuracies]
        marker = "o" if len(percents) == 1 else ""
        axes.plot(epochs, percents, marker=marker, color=COLOURS[i % len(COLOURS)], linewidth=1, label=stage.name)
    if stages[0].chance is not None:
        axes.axhline(100 * stages[0].chance, color="#666666", linestyle=":", linewidth=1, label="chance")
    axes.set(title=title, xlabel="complete epochs", ylabel="accuracy, %")
    axes.set_xlim(0, 1.03 * max(stage.planned or stage.done for stage in stages))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.title.set_fontsize(10)
    axes.grid(color="#e4e4e4")
    axes.spines[["top", "right"]].set_visible(False)
    if len(stages) <= 8:
        axes.legend(fontsize=8, frameon=False, loc="lower right")  # where the curves are not
