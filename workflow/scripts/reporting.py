"""What the scripts of the report share: how figures look, and tables as sortable HTML."""

from __future__ import annotations

import html
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure


class Look(NamedTuple):
    """How a group of networks is drawn: told apart by marker and line as well as by colour."""

    label: str
    colour: str
    marker: str
    line: str


BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"  # Okabe & Ito

ROLES = {
    "searched": Look("found", ORANGE, "D", "-"),
    "random": Look("random", BLUE, "o", "--"),
    "named": Look("named", GREEN, "^", "-."),
}

STYLE = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "axes.formatter.limits": (-4, 5),
    "scatter.edgecolors": "white",  # neighbours stay apart
    "legend.frameon": False,
    "figure.facecolor": "white",
    "svg.hashsalt": "enas",  # equal data give equal files
}


def start(log_file: str) -> None:
    """Errors and warnings go to the rule's log file; figures look as they should."""
    sys.stderr = Path(log_file).open("w", buffering=1)  # noqa: SIM115 (for as long as the script runs)
    plt.rcParams.update(STYLE)


def panels(columns: int, rows: int = 1, height: float = 3.0, **options: Any) -> tuple[Figure, Any]:
    """A figure as wide as a page."""
    return plt.subplots(rows, columns, figsize=(8, height * rows), layout="constrained", **options)


def save(figure: Figure, path: str) -> None:
    """Write the figure as SVG."""
    figure.savefig(path, metadata={"Date": None}, dpi=200)


def spread(count: int) -> Iterator[float]:
    """Offsets in -0.25..0.25 that keep neighbouring points apart, the same every time."""
    return ((k * 0.618 % 1 - 0.5) / 2 for k in range(count)) if count > 1 else iter([0.0] * count)


MANY_POINTS = 500
"""More points than so many are drawn as an image, which a browser shows at once."""


def points(ax: Axes, x: Sequence[float], y: Sequence[float], size: float, look: Look, **options: Any) -> None:
    """The marks of a group of networks."""
    many = len(x) > MANY_POINTS
    ax.scatter(x, y, size, look.colour, marker=look.marker, rasterized=many, **options)


def legend(ax: Axes, **options: Any) -> None:
    """A legend in which every label stands once."""
    handles, labels = ax.get_legend_handles_labels()
    by_label = dict(zip(labels, handles, strict=True))
    ax.legend(by_label.values(), by_label.keys(), **options)


def chance_line(ax: Axes, chance: float) -> None:
    """Where guessing lies, on an axis of shared-weight accuracy."""
    ax.axvline(chance, color=GREY, ls=":", lw=1.2, label="guessing")


def remark(figure: Figure, lines: Iterable[str]) -> None:
    """Sentences below a figure."""
    wrapped = [part for line in lines for part in textwrap.wrap(line, 110)]
    figure.supxlabel("\n".join(wrapped), fontsize=8.5, x=0.02, ha="left")


def nothing(ax: Axes, text: str) -> None:
    """Say why a panel is empty."""
    ax.set_axis_off()
    ax.text(0.5, 0.5, text, ha="center", va="center", wrap=True, color=GREY, transform=ax.transAxes)


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 14px/1.4 Helvetica, Arial, "Liberation Sans", sans-serif; color: #1a1a1a; margin: 1.5rem }}
h2 {{ font-size: 17px; margin: 1.5rem 0 .5rem }}
table {{ border-collapse: collapse }}
th, td {{ padding: .25rem .7rem; border-bottom: 1px solid #ddd; text-align: left; vertical-align: top;
  max-width: 34rem; overflow-wrap: break-word }}
th {{ position: sticky; top: 0; background: #f3f3f3 }}
th button {{ all: unset; cursor: pointer; font-weight: bold }}
th button:focus-visible {{ outline: 2px solid #0072B2 }}
th[aria-sort=ascending] button::after {{ content: " \\25B2" }}
th[aria-sort=descending] button::after {{ content: " \\25BC" }}
td:first-child, td.number {{ white-space: nowrap }}
td.long {{ min-width: 20rem }}
td.number {{ text-align: right; font-variant-numeric: tabular-nums }}
</style></head><body>
{tables}
<script>
for (const button of document.querySelectorAll("th button")) button.onclick = () => {{
  const th = button.parentElement, table = th.closest("table"), body = table.tBodies[0];
  const down = th.getAttribute("aria-sort") === "ascending";
  for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
  th.setAttribute("aria-sort", down ? "descending" : "ascending");
  const key = row => row.cells[th.cellIndex].dataset.value;
  const compare = (a, b) => a === b ? 0 : a === "" ? 1 : b === "" ? -1  // empty cells are last
    : (down ? -1 : 1) * (isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b);
  body.append(...[...body.rows].sort((a, b) => compare(key(a), key(b))));
}};
</script></body></html>
"""


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table whose rows a click on a column's name sorts."""
    head = "".join(f"<th><button>{html.escape(name)}</button></th>" for name in columns)
    body = "\n".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<h2>{html.escape(title)}</h2>\n<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"


def _cell(value: Any) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    shown = "" if value is None else str(value)
    if isinstance(value, float):
        shown = f"{value:.0f}" if abs(value) >= 1e5 else f"{value:.5g}"
    key = "" if value is None else str(value)
    style = ' class="number"' if number else ' class="long"' if len(shown) > 40 else ""
    return f'<td{style} data-value="{html.escape(key)}">{html.escape(shown)}</td>'


def write_page(path: str, title: str, tables: Sequence[str]) -> None:
    """One HTML page with everything it needs."""
    Path(path).write_text(PAGE.format(title=html.escape(title), tables="\n".join(tables)))
