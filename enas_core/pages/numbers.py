"""How numbers are written for people: three significant digits, per cent, times in the unit that suits them."""

from __future__ import annotations

import math
from typing import Any

NOTHING = "–"
"""Where there is no value."""


def shown(value: Any) -> str:
    """Any value of a table. Counts are written whole."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return significant(value)
    return str(value)


def significant(value: float) -> str:
    """Three significant digits, without an exponent as long as the number can be read so."""
    if value == 0 or not math.isfinite(value):
        return f"{value:.3g}"
    if not 1e-4 <= abs(value) < 1e12:
        return f"{value:.2e}"
    decimals = 2 - math.floor(math.log10(abs(value)))
    return f"{round(value, decimals):,.{max(0, decimals)}f}"


def percent(fraction: float | None) -> str:
    """A share; its decimals suit accuracies."""
    return NOTHING if fraction is None else f"{100 * fraction:.1f} %"


def percent_interval(low: float | None, high: float | None) -> str:
    """The ends of an interval of a share; empty where there is none."""
    return "" if low is None or high is None else f"{100 * low:.1f} to {100 * high:.1f} %"


def error(fraction: float | None) -> str:
    """A share of wrong answers, per cent."""
    return NOTHING if fraction is None else f"{significant(100 * fraction)} %"


MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def duration(seconds: float | None) -> str:
    """In the largest unit of which there are two or more."""
    if seconds is None:
        return NOTHING
    for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if seconds >= 2 * unit:
            return f"{significant(seconds / unit)} {name}"
    return f"{significant(seconds)} s"
