"""What the scripts of the report share: how figures look. The report's page shows them light and dark, and so knows the
colours by name (`enas_core/pages/figures.py`)."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from enas_core.analysis.statistics import std


class Look(NamedTuple):
    """How a group of networks is drawn: told apart by marker and line as well as by colour."""

    label: str
    colour: str
    marker: str
    line: str


BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"  # Okabe & Ito
INK = "#1a1a1a"

ROLES = {
    "searched": Look("found", ORANGE, "D", "-"),
    "random": Look("random", BLUE, "o", "--"),
    "named": Look("named", GREEN, "^", "-."),
    "strategy": Look("other strategies", PURPLE, "s", ":"),
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
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    "scatter.edgecolors": "white",  # neighbours stay apart
    "legend.frameon": False,
    "figure.facecolor": "white",
    "text.parse_math": False,  # classes and networks may be called anything, "$" included
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
    """Write the figure as SVG, and let it go."""
    figure.savefig(path, metadata={"Date": None}, dpi=200)
    plt.close(figure)


def spread(count: int) -> Iterator[float]:
    """Offsets in -0.25..0.25 that keep neighbouring points apart, the same every time."""
    return ((k * 0.618 % 1 - 0.5) / 2 for k in range(count)) if count > 1 else iter([0.0] * count)


MANY_POINTS = 500
"""More points than so many are drawn as an image, which a browser shows at once, and smaller and pale, so that their
density can be seen."""


def points(ax: Axes, x: Sequence[float], y: Sequence[float], size: float, look: Look, **options: Any) -> None:
    """The marks of a group of networks."""
    if len(x) > MANY_POINTS:
        size /= 3
        options |= {"rasterized": True, "alpha": 0.5, "linewidths": 0}
    ax.scatter(x, y, size, look.colour, marker=look.marker, **options)


def group_mean(ax: Axes, x: float, values: Sequence[float], colour: str) -> None:
    """The mean of a group over its marks, around `x`, and a band of a standard deviation to either side."""
    ends, mean, deviation = [x - 0.33, x + 0.33], float(np.mean(values)), std(values)
    ax.plot(ends, [mean, mean], color=INK, lw=2, zorder=4)
    if deviation is not None:
        ax.fill_between(ends, mean - deviation, mean + deviation, color=colour, alpha=0.15, linewidth=0)


def legend(ax: Axes, **options: Any) -> None:
    """A legend in which every label stands once."""
    handles, labels = ax.get_legend_handles_labels()
    by_label = dict(zip(labels, handles, strict=True))
    ax.legend(by_label.values(), by_label.keys(), **options)


def percent(axis: Axis) -> None:
    """Fractions on an axis are written per cent."""
    axis.set_major_formatter(FuncFormatter(lambda fraction, _: f"{100 * fraction:.4g} %"))


def percent_of_logarithm(ax: Axes) -> None:
    """Small fractions, such as errors, on a logarithmic y-axis that is written per cent. To be called when all is
    drawn."""
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    ticks = [digit * 10.0**power for power in range(-5, 1) for digit in (1, 2, 3, 4, 5, 7)]
    ax.set_yticks([tick for tick in ticks if low <= tick <= high])
    ax.yaxis.set_minor_locator(NullLocator())
    percent(ax.yaxis)
    ax.set_ylim(low, high)


FEW_EPOCHS = 30
"""Up to so many epochs, each is marked by a point."""

MANY_CURVES = 100
"""More curves of one group than so many become a band."""

BAND = (5, 95)
"""Percentiles at its edges."""


def curves(
    ax: Axes, values: np.ndarray, label: str, colour: str, line: str, alpha: float = 1.0, lw: float = 2.0
) -> None:
    """Curves of a group, thin, and their mean, thick; of many a band and their median. `values` [curves, epochs]; the
    first epoch is number 1, as in the log."""
    epochs = np.arange(1, values.shape[1] + 1)
    marker = "." if len(epochs) <= FEW_EPOCHS else None
    middle = np.median(values, axis=0) if len(values) > MANY_CURVES else values.mean(axis=0)
    if len(values) > MANY_CURVES:
        low, high = np.percentile(values, BAND, axis=0)
        ax.fill_between(epochs, low, high, color=colour, alpha=0.25 * alpha, linewidth=0)
    elif len(values) > 1:
        ax.plot(epochs, values.T, line, color=colour, lw=0.7, alpha=0.4 * alpha, marker=marker, ms=4)
    ax.plot(epochs, middle, line, color=colour, lw=lw, alpha=alpha, marker=marker, ms=9, label=label)
    ax.set_xlabel("epoch")
    ax.locator_params(axis="x", integer=True)


def chance_line(line: Callable[..., Any], chance: float) -> None:
    """Where guessing lies among accuracies with shared weights; `line` is the axes' axvline or axhline."""
    line(chance, color=GREY, ls=":", lw=1.2, label=f"guessing, {100 * chance:.3g} %")


def remark(figure: Figure, lines: Iterable[str]) -> None:
    """Sentences below a figure."""
    wrapped = [part for line in lines for part in textwrap.wrap(line, 110)]
    figure.supxlabel("\n".join(wrapped), fontsize=8.5, x=0.02, ha="left")


def nothing(ax: Axes, text: str) -> None:
    """Say why a panel is empty. A figure that has only this one becomes a line."""
    ax.set_axis_off()
    if ax.figure.axes == [ax]:
        ax.figure.set_size_inches(8, 0.5)
    ax.text(0.5, 0.5, text, ha="center", va="center", wrap=True, color=GREY, transform=ax.transAxes)
