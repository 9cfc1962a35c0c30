"""How the cost of a supernet step grows with filters, nodes, layers and batch, that of scoring with the number of
candidates, and peak memory with the number of different arcs trained. Also drawn, as growth.png beside the table.

`exponent`: slope from the smallest to the largest value on logarithmic axes (1 is linear, 0 constant). The headline
is the exponent of the number of candidates."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import models
from harness import RESULTS, Work, alternate, finish, parser, peak_megabytes, rows
from matplotlib.figure import Figure

from enas_core.spaces.micro.sampling import uniform_arc
from enas_core.training.device import pick_device

BASE = {"filters": 6, "nodes": 5, "layers": 3, "batch": 16}
VALUES = {
    "filters": (6, 12, 24),
    "nodes": (2, 4, 8),
    "layers": (3, 6, 12),
    "batch": (8, 16, 32),
    "candidates": (1, 2, 4, 8),
}
ARCS = (1, 3, 9)
EXAMPLES = 2  # arcs each round takes, so that one arc's operations do not decide


def step(filters: int, nodes: int, layers: int, batch: int) -> Work:
    """Supernet steps with a few arcs of their own in each round."""
    work = models.supernet_step(
        models.fused(models.supernet(nodes, layers, filters)), *models.batch(batch), num_nodes=nodes
    )
    return lambda k: [work(EXAMPLES * k + i) for i in range(EXAMPLES)]


def step_with(what: str) -> Callable[[int], Work]:
    """Builds a step in which one quantity has another value."""
    return lambda value: step(**(BASE | {what: value}))


def scoring(candidates: int) -> Work:
    """Forward passes of so many candidates on one batch, the same ones in each round."""
    score = models.forward(
        models.fused(models.supernet(BASE["nodes"], BASE["layers"], BASE["filters"])), *models.batch(BASE["batch"])
    )
    return lambda k: [score(i) for i in range(candidates)]


def supernet_in_own_process(threads: int) -> Work:
    """What peak memory is measured of."""
    pick_device("cpu", threads)
    return models.supernet_step(
        models.fused(models.supernet(BASE["nodes"], BASE["layers"], BASE["filters"])), *models.batch(16)
    )


def measure(what: str, build: Callable[[int], Work], rounds: int) -> list[dict[str, Any]]:
    """Rows of one quantity."""
    times = alternate({str(value): build(value) for value in VALUES[what]}, rounds)
    table = rows(what, times, str(VALUES[what][0]))
    return [row | {"value": int(row["mode"]), "cost": row["median_ms"]} for row in table]


def memory(threads: int) -> list[dict[str, Any]]:
    """Peak memory after steps with 1, 3 and 9 different arcs (the largest of them is always among them)."""
    largest = max(range(ARCS[-1]), key=lambda seed: sum(op < 2 for op in list(uniform_arc(seed).integers())[1::2]))
    result = []
    for count in ARCS:
        seeds = [largest, *(seed for seed in range(ARCS[-1]) if seed != largest)][:count]
        peak = peak_megabytes(supernet_in_own_process, threads, rounds=seeds)
        result.append({"what": "arcs (peak MB)", "mode": str(count), "value": count, "cost": peak})
    return result


def add_exponents(table: list[dict[str, Any]]) -> dict[str, float]:
    """Put each quantity's exponent in its rows; returns them."""
    exponents = {}
    for what in dict.fromkeys(row["what"] for row in table):
        group = [row for row in table if row["what"] == what]
        first, last = group[0], group[-1]
        exponents[what] = math.log(last["cost"] / first["cost"]) / math.log(last["value"] / first["value"])
        for row in group:
            row["exponent"] = exponents[what]
    return exponents


def draw(table: list[dict[str, Any]], path: Path) -> None:
    """One panel a quantity."""
    groups = list(dict.fromkeys(row["what"] for row in table))
    figure = Figure(figsize=(3 * len(groups), 3), layout="constrained")
    for axes, what in zip(figure.subplots(1, len(groups)), groups, strict=True):
        points = [(row["value"], row["cost"]) for row in table if row["what"] == what]
        axes.plot(*zip(*points, strict=True), marker="o")
        axes.set(xlabel=what, ylabel="MB" if "MB" in what else "ms", xlim=(0, None), ylim=(0, None))
    figure.savefig(path)


def main() -> None:
    options_parser = parser(__doc__, rounds=8)
    options = options_parser.parse_args()
    table = memory(options.threads)
    pick_device("cpu", options.threads)
    rounds = 1 if options.quick else options.rounds
    for what in BASE:
        table += measure(what, step_with(what), rounds)
    table += measure("candidates", scoring, rounds)
    exponents = add_exponents(table)
    picture = (options.out or RESULTS / "growth.parquet").with_suffix(".png")
    picture.parent.mkdir(parents=True, exist_ok=True)
    draw(table, picture)
    columns = ("what", "value", "cost", "rounds", "exponent")
    finish([{name: row.get(name) for name in columns} for row in table], exponents["candidates"], "growth", options)


if __name__ == "__main__":
    main()
