"""How long the rest of a run will take: by a training's own pace, else by those of its kind that are finished or under
way, else by what `enas plan --save` has measured."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from enas_core.monitor.stages import RULES, Overview, Rule
from enas_core.planning.jobs import makespan
from enas_core.planning.run_times import RunTime, conditions
from enas_core.settings.experiment import Experiment


@dataclass(frozen=True)
class Rest:
    """What is left of an experiment."""

    seconds: float
    """With as many stages at a time as are running, or one."""
    at_a_time: int
    complete: bool
    """Whether it is known of every stage that computes on a device; else there is more."""


def planned_seconds(
    name: str, experiment: Experiment | None, run_times: Mapping[str, Mapping[str, RunTime]]
) -> dict[Rule, float]:
    """Seconds of one job of each rule, where a plan has measured them with the same settings."""
    planned: dict[Rule, float] = {}
    for rule in RULES:
        found = run_times.get(name, {}).get(rule)
        if found is not None and experiment is not None and found.conditions == conditions(name, experiment, rule):
            planned[rule] = found.seconds
    return planned


def seconds_left(overview: Overview, planned: Mapping[Rule, float]) -> list[float | None]:
    """For each stage; None where nothing says it."""
    finished: dict[Rule, list[float]] = {}
    under_way: dict[Rule, list[float]] = {}
    for stage in overview.stages:
        if stage.state == "finished":
            if stage.spent:  # which is not known of a choice whose benchmark is gone
                finished.setdefault(stage.rule, []).append(stage.spent)
        elif stage.own_left is not None:
            under_way.setdefault(stage.rule, []).append(stage.spent + stage.own_left)
    measured = under_way | finished
    typical = dict(planned) | {rule: statistics.mean(seconds) for rule, seconds in measured.items()}
    if "select_arc" in typical:
        typical.setdefault("try_strategy", typical["select_arc"])  # as many arcs of the same supernet
    return [stage.own_left if stage.own_left is not None else typical.get(stage.rule) for stage in overview.stages]


def rest_of(overview: Overview, left: Sequence[float | None]) -> Rest:
    """Of all stages together. Choices come after their search, scores for the record after the choice, the training of
    what was chosen after that."""
    stages = overview.stages
    position = {(stage.rule, stage.name): i for i, stage in enumerate(stages)}
    chosen_by = {stage.network: i for i, stage in enumerate(stages) if stage.rule in ("select_arc", "try_strategy")}
    needs: list[list[int]] = []
    for stage in stages:
        earlier = None
        if stage.rule in ("select_arc", "try_strategy"):
            earlier = position.get(("search", f"s{stage.seed}"))
        elif stage.rule == "score_arcs":
            earlier = position.get(("select_arc", stage.name))
        elif stage.rule == "augment":
            earlier = chosen_by.get(stage.network)
        needs.append([] if earlier is None else [earlier])
    at_a_time = max(1, overview.count("running"))
    return Rest(
        seconds=makespan([seconds or 0.0 for seconds in left], needs, at_a_time),
        at_a_time=at_a_time,
        complete=all(
            seconds is not None or stage.rule == "prepare_data" for stage, seconds in zip(stages, left, strict=True)
        ),
    )
