"""How far a run has come, as lines for a terminal: of each experiment a title and a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from enas_core.monitor.left import Rest
from enas_core.monitor.stages import RULES, Overview, Stage, State
from enas_core.planning.printing import as_table, duration

HEADER = ("stage", "state", "done", "accuracy", "chance", "best", "left", "GB", "last sign of life", "where")
NOT_KNOWN = "-"

ORDER: tuple[State, ...] = ("running", "silent", "failed", "interrupted", "finished", "waiting")
"""What is under way comes first: a terminal that is too small shows the top."""

SHOWN_ALONE = 8
"""So many finished trainings have a line each; more of them share one. Those that wait always do."""


class Line(NamedTuple):
    """A row of the table."""

    state: State
    values: Sequence[str]


def table_of(overview: Overview, left: Sequence[float | None]) -> list[Line]:
    """A line for each stage, or for several that would say the same."""
    lines = []
    for state in ORDER:
        for rule in RULES:
            same = [
                (stage, seconds)
                for stage, seconds in zip(overview.stages, left, strict=True)
                if (stage.state, stage.rule) == (state, rule)
            ]
            together = state == "waiting" or (state == "finished" and len(same) > SHOWN_ALONE)
            if together and len(same) > 1:
                lines.append(_several([stage for stage, _ in same], [seconds for _, seconds in same]))
            else:
                lines += [_one(stage, seconds) for stage, seconds in same]
    return lines


def _one(stage: Stage, left: float | None) -> Line:
    accuracies = stage.accuracies
    counts = stage.planned is not None and (stage.done or stage.state != "waiting")
    values = (
        f"{stage.rule} {stage.name}".rstrip(),
        stage.state,
        f"{stage.done}/{stage.planned}" if counts else NOT_KNOWN,
        percent(accuracies[-1]) if accuracies else NOT_KNOWN,
        percent(stage.chance),
        percent(max(accuracies)) if accuracies else NOT_KNOWN,
        NOT_KNOWN if stage.state == "finished" else time_of(left),
        f"{stage.memory / 1e9:.2f}" if stage.memory is not None else NOT_KNOWN,
        ago(stage.age),
        stage.where or NOT_KNOWN,
    )
    return Line(stage.state, values)


def _several(stages: Sequence[Stage], left: Sequence[float | None]) -> Line:
    """Stages of the same rule and state: of accuracies the mean and the best, of times the sum."""
    last = [stage.accuracies[-1] for stage in stages if stage.accuracies]
    memories = [stage.memory for stage in stages if stage.memory is not None]
    known = [seconds for seconds in left if seconds is not None]
    state = stages[0].state
    values = (
        f"{stages[0].rule}: {len(stages)}",
        state,
        NOT_KNOWN,
        f"mean {percent(sum(last) / len(last))}" if last else NOT_KNOWN,
        percent(stages[0].chance),
        percent(max(max(stage.accuracies) for stage in stages if stage.accuracies)) if last else NOT_KNOWN,
        NOT_KNOWN if state == "finished" or not known else f"{time_of(sum(known))} in all",
        f"{max(memories) / 1e9:.2f}" if memories else NOT_KNOWN,
        NOT_KNOWN,
        NOT_KNOWN,
    )
    return Line(state, values)


def title_of(overview: Overview, rest: Rest) -> str:
    """The experiment in one line."""
    counts = [f"{overview.count('finished')} of {len(overview.stages)} stages finished"]
    counts += [f"{overview.count(state)} {state}" for state in ORDER[:4] if overview.count(state)]
    there = f"; there: {', '.join(overview.outputs)}" if overview.outputs else ""
    return f"{overview.name}: {', '.join(counts)}; {left_in_words(rest)}{there}"


def left_in_words(rest: Rest) -> str:
    """The time that the whole will take."""
    if rest.complete and not rest.seconds:
        return "nothing is left"
    if not rest.seconds:
        return "how long it will take is not known yet (`enas plan --save` measures it)"
    about = "about" if rest.complete else "more than"
    return f"{about} {duration(rest.seconds)} left with {rest.at_a_time} at a time"


def lines_of(table: Sequence[Line]) -> list[str]:
    """Aligned, below a header."""
    return as_table([HEADER, *[line.values for line in table]])


def percent(fraction: float | None) -> str:
    """With one decimal."""
    return f"{100 * fraction:.1f} %" if fraction is not None else NOT_KNOWN


def time_of(seconds: float | None) -> str:
    """As h:mm:ss."""
    return duration(seconds) if seconds is not None else NOT_KNOWN


def ago(seconds: float | None) -> str:
    """In the largest unit of which there are two."""
    if seconds is None:
        return NOT_KNOWN
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"
