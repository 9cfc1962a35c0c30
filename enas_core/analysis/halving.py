"""What stopping early would have kept: successive halving, replayed from complete trainings (`enas_core.compare`).

Successive halving (Jamieson & Talwalkar 2016) trains many arcs for a while, keeps the better ones, trains those on,
and so forth. Its natural rungs are the ends of the learning rate's periods, before it restarts: there a network is
annealed, and its accuracy is that of a complete, shorter training. Random arcs that were trained to the end say what
it would have kept and saved. It is a replay only: an arc whose training is really stopped says nothing about the end.

The arcs with the best validation accuracy at a rung go on. Test accuracies, after the last epoch, only judge what is
left. Shapes: A arcs, E epochs, R rungs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from enas_core.analysis.results import Row

Array = NDArray[np.float64]


class Trainings(NamedTuple):
    """Complete trainings of random arcs; several augment seeds of an arc are one, with the mean of the accuracies and
    the sum of the seconds."""

    learning_rate: Array
    """[E]."""
    valid_accuracy: Array
    """[A, E]."""
    seconds: Array
    """[A, E]."""
    test_accuracy: Array
    """[A], after the last epoch."""


def trainings_of(epochs: Sequence[Sequence[Row]]) -> tuple[Trainings | None, str]:
    """The complete trainings from the rows of their epochs, a table each, or why they cannot be replayed."""
    if not epochs:
        return None, "there are no random arcs"
    if any(row["valid_accuracy"] is None for rows in epochs for row in rows):
        return None, "needs validation images (augment.valid_images), by which arcs would go on"
    by_network: dict[str, list[Sequence[Row]]] = {}
    for rows in epochs:
        by_network.setdefault(rows[0]["network"], []).append(rows)
    of_arcs = [by_network[network] for network in sorted(by_network)]

    def values(column: str) -> list[Array]:
        """Of each arc, [its seeds, E]."""
        return [np.array([[row[column] for row in rows] for rows in seeds], float) for seeds in of_arcs]

    return Trainings(
        learning_rate=np.array([row["learning_rate"] for row in epochs[0]]),
        valid_accuracy=np.array([seeds.mean(axis=0) for seeds in values("valid_accuracy")]),
        seconds=np.array([seeds.sum(axis=0) for seeds in values("seconds")]),
        test_accuracy=np.array([seeds[:, -1].mean() for seeds in values("test_accuracy")]),
    ), ""


def rungs_of(learning_rate: Sequence[float]) -> list[int]:
    """After how many epochs the learning rate restarts: the next epoch's is higher. The last epoch is none."""
    return [epoch for epoch in range(1, len(learning_rate)) if learning_rate[epoch] > learning_rate[epoch - 1]]


def replay(trainings: Trainings) -> tuple[list[Row], str]:
    """A row for every share that can be kept, or why there is none.

    At each rung the share `keep` of the arcs goes on, rounded up. Ties count against the halving."""
    arcs = len(trainings.test_accuracy)
    rungs = rungs_of(trainings.learning_rate.tolist())
    if not rungs:
        return [], "the learning rate does not restart (augment.lr_t_0, augment.num_epochs): there is no rung"
    if arcs < 2:
        return [], f"needs at least 2 random arcs, there {'is 1' if arcs == 1 else f'are {arcs}'}"
    best_first = [_best_first(trainings, rung) for rung in rungs]
    return [_halved(trainings, rungs, best_first, first) for first in range(1, arcs)], ""


def _best_first(trainings: Trainings, rung: int) -> NDArray[np.int64]:
    """The arcs in order of their validation accuracy at a rung; of those that tie, the one with the worse end first."""
    return np.lexsort((trainings.test_accuracy, -trainings.valid_accuracy[:, rung - 1]))


def _halved(trainings: Trainings, rungs: Sequence[int], best_first: Sequence[NDArray[np.int64]], first: int) -> Row:
    """A row: `first` of the A arcs pass the first rung, and the same share every other one."""
    seconds, test = trainings.seconds, trainings.test_accuracy
    arcs, epochs = seconds.shape
    alive = np.ones(arcs, bool)
    paid, trained = 0.0, 0
    for rung, order in zip(rungs, best_first, strict=True):
        paid += float(seconds[alive, trained:rung].sum())
        trained = rung
        kept = -(-int(alive.sum()) * first // arcs)
        passing = order[alive[order]][:kept]
        alive = np.zeros(arcs, bool)
        alive[passing] = True
    paid += float(seconds[alive, trained:epochs].sum())

    survivors = int(alive.sum())
    as_good = np.sort(test)[-survivors]
    return {
        "keep": first / arcs,
        "n_survivors": survivors,
        "cost_share": paid / float(seconds.sum()),
        "best_share": float((test[alive] >= as_good).mean()),
        "regret": float(test.max() - test[alive].max()),
    }


def halving_rows(epochs: Sequence[Sequence[Row]]) -> list[Row]:
    """The rows of halving.parquet: those of the replay, or a single one whose `remark` says why there is none."""
    trainings, reason = trainings_of(epochs)
    rows: list[Row] = []
    about: Row = {"n_random": 0, "rungs": None}
    if trainings is not None:
        rows, reason = replay(trainings)
        rungs = rungs_of(trainings.learning_rate.tolist())
        about = {"n_random": len(trainings.test_accuracy), "rungs": " ".join(map(str, rungs)) or None}
    no_replay: Row = dict.fromkeys(("keep", "n_survivors", "cost_share", "best_share", "regret"))
    return [about | row | {"remark": reason} for row in rows or [no_replay]]


def about_halving(rows: Sequence[Row]) -> str:
    """What a replay says, of the usual choice: half of the arcs go on at each rung."""
    if rows[0]["keep"] is None:
        return f"stopping early: not replayed: {rows[0]['remark']}"
    half = min(rows, key=lambda row: abs(row["keep"] - 0.5))
    arcs, survivors = half["n_random"], half["n_survivors"]
    best = round(half["best_share"] * survivors)
    *others, last = half["rungs"].split()
    epochs = f"{', '.join(others)} and {last}" if others else last
    return (
        f"stopping early: had half of the {arcs} random arcs gone on after epoch {epochs} (by validation accuracy),"
        f" it would have cost {half['cost_share']:.0%} of the hours and kept {best} of the {survivors} best (by chance"
        f" {survivors**2 / arcs:.1f}); the best that is left loses {half['regret']:.4f} to the best of all"
    )
