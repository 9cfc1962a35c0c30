"""A plan as lines for a terminal: what was measured, the jobs that are left, and the time on several devices."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Sequence

from enas_core.planning.calibrate import Cost
from enas_core.planning.costs import STAGE_OF, typical
from enas_core.planning.jobs import Job, chains, makespan

NOTES = """\
Measured on random images; medians of a few steps, each of an arc that the untrained policy samples (search, select_arc)
or of random arcs (augment: found arcs tend to cost more). An interrupted training's remaining part is counted whole.
Rules without a figure take seconds to minutes, a first download aside. On a CPU a device is cores for one training."""


def as_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Aligned lines, the first two columns to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    aligns = [str.ljust if i < 2 else str.rjust for i in range(len(widths))]
    return ["  ".join(f(c, w) for f, c, w in zip(aligns, row, widths, strict=True)).rstrip() for row in rows]


def describe_costs(name: str, stage: str, costs: Sequence[Cost]) -> str:
    """What was measured of one stage."""
    cost = typical(costs)
    parts = [f"start {cost.start:.1f} s"]
    if stage != "select_arc":
        spread = f" ({min(c.step for c in costs):.3g} to {max(c.step for c in costs):.3g}, {len(costs)} random arcs)"
        parts.append(f"step {cost.step:.3g} s{spread if len(costs) > 1 else ''}")
    parts.append(f"evaluated batch {cost.forward:.3g} s")
    if stage == "search":
        parts.append(f"controller update {cost.once:.3g} s")
    return f"{name} {stage}: {', '.join(parts)}; {cost.device}"


def describe_jobs(jobs: Sequence[Job], seconds: Sequence[float], costs: dict[tuple[str, str], list[Cost]]) -> list[str]:
    """The table of experiments and rules."""
    rows = [["experiment", "rule", "jobs", "device-hours", "peak GB"]]
    groups = Counter((job.experiment, job.rule) for job in jobs)
    for (name, rule), count in sorted(groups.items(), key=lambda group: group[0][0]):
        measured = costs.get((name, STAGE_OF.get(rule, "")))
        total = sum(s for job, s in zip(jobs, seconds, strict=True) if (job.experiment, job.rule) == (name, rule))
        memory = f"{typical(measured).memory / 1e9:.2f}" if measured else "-"
        rows.append([name, rule, str(count), hours(total) if measured else "-", memory])
    most = max((cost.memory for measured in costs.values() for cost in measured), default=0)
    rows.append(["total", "", str(len(jobs)), hours(sum(seconds)), f"{most / 1e9:.2f}"])
    return as_table(rows)


def hours(seconds: float) -> str:
    """With three significant digits, and all digits of large numbers."""
    return f"{seconds / 3600:.3g}" if seconds < 3.6e6 else f"{seconds / 3600:.0f}"


def duration(seconds: float) -> str:
    """As [days,] h:mm:ss."""
    return str(datetime.timedelta(seconds=round(seconds)))


def describe_wall_clock(jobs: Sequence[Job], seconds: Sequence[float], devices: Sequence[int]) -> list[str]:
    """Time for each number of devices, and the longest chain, which no number of them shortens."""
    needs = [job.needs for job in jobs]
    rows = [["devices", "", "wall-clock time"]]
    rows += [[str(n), "", duration(makespan(seconds, needs, n))] for n in devices]
    return [*as_table(rows), f"The longest chain of jobs takes {duration(max(chains(seconds, needs)))}."]
