"""Successive halving, replayed from complete trainings: against a plain loop, and what it says where it cannot be."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rows import row_of

from enas_core import compare
from enas_core.analysis.halving import Trainings, about_halving, halving_rows, replay, rungs_of, trainings_of
from enas_core.files.tables import provenance, read_table, write_table
from enas_core.settings.augment import Augment
from enas_core.training.schedule import learning_rate

MADE_BY = provenance("cpu", "abc")


def rates(num_epochs: int, **changes: Any) -> list[float]:
    """The learning rate's column in the table of a training."""
    return [learning_rate(Augment(num_epochs=num_epochs, **changes), epoch, 1) for epoch in range(num_epochs)]


@pytest.mark.parametrize(
    ("num_epochs", "t_0", "expected"),
    [(630, 10, [10, 30, 70, 150, 310]), (14, 2, [2, 6]), (4, 4, []), (4, 10, []), (1, 1, []), (7, 3, [3])],
)
def test_rungs_are_where_the_learning_rate_restarts(num_epochs, t_0, expected):
    assert rungs_of(rates(num_epochs, lr_t_0=t_0)) == expected


def test_equal_periods():
    assert rungs_of(rates(9, lr_t_0=3, lr_t_mul=1)) == [3, 6]


# --- the replay ----------------------------------------------------------------------------------

RATES = rates(7, lr_t_0=2)  # rungs after epochs 2 and 6


def trainings(valid: list[list[float]], test: list[float]) -> Trainings:
    return Trainings(np.array(RATES), np.array(valid), np.full((len(valid), 7), 10.0), np.array(test))


def plain(valid: list[list[float]], test: list[float], first: int) -> tuple[list[int], float]:
    """Which arcs are left, and how many epochs were trained of all."""
    arcs, paid, before = list(range(len(test))), 0, 0
    for rung in (2, 6):
        paid += len(arcs) * (rung - before)
        before = rung
        kept = math.ceil(len(arcs) * first / len(test) - 1e-9)
        arcs = sorted(arcs, key=lambda arc: (-valid[arc][rung - 1], test[arc]))[:kept]
    return arcs, (paid + len(arcs)) / (7 * len(test))


few = st.integers(0, 5).map(lambda value: value / 5)
some_arcs = st.integers(2, 9).flatmap(
    lambda count: st.tuples(
        st.lists(st.lists(few, min_size=7, max_size=7), min_size=count, max_size=count),
        st.lists(few, min_size=count, max_size=count),
    )
)


@settings(deadline=None)
@given(some_arcs)
def test_as_a_plain_loop_does_it(arcs):
    valid, test = arcs
    rows, reason = replay(trainings(valid, test))
    assert reason == ""
    assert [row["keep"] for row in rows] == [first / len(test) for first in range(1, len(test))]
    for first, row in enumerate(rows, 1):
        left, cost = plain(valid, test, first)
        reached = sorted((test[arc] for arc in left), reverse=True)
        best = sorted(test, reverse=True)[: len(left)]
        assert row["n_survivors"] == len(left)
        assert row["cost_share"] == pytest.approx(cost)
        assert row["best_share"] == pytest.approx(sum(value >= best[-1] for value in reached) / len(left))
        assert row["regret"] == pytest.approx(best[0] - reached[0])


def test_short_trainings_that_rank_rightly_keep_the_best():
    valid = [[quality / 10 + epoch / 100 for epoch in range(7)] for quality in range(8)]
    rows, _ = replay(trainings(valid, [quality / 10 for quality in range(8)]))
    assert all(row["best_share"] == 1 and row["regret"] == 0 for row in rows)
    costs = [row["cost_share"] for row in rows]
    assert costs == sorted(costs)
    half = rows[3]
    assert (half["keep"], half["n_survivors"]) == (0.5, 2)
    assert half["cost_share"] == pytest.approx((8 * 2 + 4 * 4 + 2 * 1) / 56)


def test_short_trainings_that_rank_wrongly_lose_it():
    valid = [[1 - quality / 10] * 7 for quality in range(8)]
    rows, _ = replay(trainings(valid, [quality / 10 for quality in range(8)]))
    assert rows[3]["best_share"] == 0
    assert rows[3]["regret"] == pytest.approx(0.6)


def test_test_accuracy_chooses_nothing_but_breaks_ties_against_it():
    valid, test = [[0.5] * 7] * 4, [0.1, 0.2, 0.3, 0.4]
    rows, _ = replay(trainings(valid, test))
    assert [row["regret"] for row in rows] == pytest.approx([0.3, 0.3, 0.1])


# --- from the tables -----------------------------------------------------------------------------


def epochs_of(network: str, quality: float, learning_rates: list[float], seed: int = 1) -> list[dict[str, Any]]:
    """The rows of one training's epochs."""
    row = row_of("augment_epochs", network=network, arc=network, seed=seed, seconds=10.0)
    return [
        row | {"epoch": epoch, "learning_rate": rate, "valid_accuracy": quality - 0.1, "test_accuracy": quality}
        for epoch, rate in enumerate(learning_rates)
    ]


def test_augment_seeds_are_one_training():
    epochs = [epochs_of(f"random-{i:02}", 0.5 + i / 10 + s / 100, RATES, s) for i in range(3) for s in (1, 2)]
    found, reason = trainings_of(epochs)
    assert reason == ""
    assert found.test_accuracy == pytest.approx([0.515, 0.615, 0.715])
    assert found.valid_accuracy[:, 3] == pytest.approx([0.415, 0.515, 0.615])
    assert (found.seconds == 20).all()


def test_what_cannot_be_replayed_says_why():
    restarts = [epochs_of(f"random-{i:02}", 0.5 + i / 10, RATES) for i in range(3)]
    no_images = [[row | {"valid_accuracy": None} for row in rows] for rows in restarts]
    no_restart = [epochs_of(f"random-{i:02}", 0.5, rates(4, lr_t_0=4)) for i in range(3)]
    for epochs, part in [
        ([], "there are no random arcs"),
        (no_images, "needs validation images (augment.valid_images)"),
        (no_restart, "the learning rate does not restart"),
        (restarts[:1], "needs at least 2 random arcs, there is 1"),
    ]:
        (row,) = halving_rows(epochs)
        assert row["remark"].startswith(part)
        assert part in about_halving([row])


def put(folder: Path, name: str, role: str, rows: list[dict[str, Any]]) -> Path:
    """The folder of a finished training."""
    write_table(folder / name / "epochs.parquet", "augment_epochs", rows, MADE_BY | {"role": role})
    return folder / name


def test_the_stage_writes_a_row_for_every_share(tmp_path, capfd):
    networks = [put(tmp_path, "searched-s1", "searched", epochs_of("searched-s1", 0.9, RATES))]
    for i in range(6):
        rows = epochs_of(f"random-{i:02}", 0.5 + i / 20, RATES)
        networks.append(put(tmp_path, f"random-{i:02}", "random", [row | {"experiment": "other"} for row in rows]))
    out = tmp_path / "out/halving.parquet"
    assert compare.main(["--networks", *map(str, networks), "--halving-out", str(out)]) == 0
    rows = read_table(out, "halving")
    assert len(rows) == 5
    assert {(row["experiment"], row["n_random"], row["rungs"], row["remark"]) for row in rows} == {("x", 6, "2 6", "")}
    said = about_halving(rows)
    assert "half of the 6 random arcs gone on after epoch 2 and 6" in said
    assert "kept 2 of the 2 best" in said
    assert said in " ".join(capfd.readouterr().err.split())  # lines of a terminal may be broken


def test_the_stage_says_why_there_is_no_replay(tmp_path):
    folder = put(tmp_path, "random-00", "random", epochs_of("random-00", 0.5, RATES))
    out = tmp_path / "halving.parquet"
    assert compare.main(["--networks", str(folder), "--halving-out", str(out)]) == 0
    (row,) = read_table(out, "halving")
    assert (row["keep"], row["n_random"], row["remark"]) == (None, 1, "needs at least 2 random arcs, there is 1")


def test_people_are_told(tmp_path, capfd):
    write_table(tmp_path / "metrics.parquet", "metrics", [row_of("metrics", role="random")], MADE_BY)
    about = {"experiment": "x", "dataset": "digits"}
    rows = [about | row for row in halving_rows([epochs_of(f"random-{i:02}", 0.5 + i / 10, RATES) for i in range(3)])]
    write_table(tmp_path / "halving.parquet", "halving", rows, MADE_BY)
    assert compare.main([str(tmp_path)]) == 0
    assert "stopping early: had half of the 3 random arcs" in capfd.readouterr().out
    (tmp_path / "halving.parquet").write_bytes(b"no table")
    assert compare.main([str(tmp_path)]) == 0
    captured = capfd.readouterr()
    assert "left out: " in captured.err
    assert "stopping early" not in captured.out


@pytest.mark.parametrize("arguments", [["--halving-out", "out"], ["somewhere", "--halving-out", "out"]])
def test_mistakes_are_one_line(arguments, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert compare.main(arguments) == 2
    assert capfd.readouterr().err.splitlines()[-1].startswith("error: ")
    assert list(tmp_path.iterdir()) == []
