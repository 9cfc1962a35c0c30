"""Random search at equal hours and stopping early, made by the workflow from one target."""

from __future__ import annotations

import pytest
from workspace import Workspace

from enas_core.files.tables import read_table

HALVING = "results/tiny/halving.parquet"
SHOWN = [f"results/tiny/report/{name}" for name in ("budget.svg", "halving.svg", "comparison.html")]


def test_without_held_out_images_it_says_so(compared: Workspace) -> None:
    results = compared.results / "tiny"
    (row,) = read_table(results / "halving.parquet", "halving")
    assert row["keep"] is None
    assert "augment.valid_images" in row["remark"]
    (comparison,) = read_table(results / "comparison.parquet", "comparison")
    assert comparison["equal_hours_k"] >= 1
    assert comparison["select_hours"] > 0
    assert comparison["equal_hours_accuracy"] is None
    log = (results / "logs/compare.log").read_text()
    assert "equal_hours_accuracy: needs validation images (augment.valid_images)" in log


def test_with_held_out_images_and_restarts(copy: Workspace) -> None:
    copy.edit(augment__valid_images=60, augment__num_epochs=3, augment__lr_t_0=2, baseline__num_arcs=4)
    copy.make(HALVING, *SHOWN)
    results = copy.results / "tiny"
    rows = read_table(results / "halving.parquet", "halving")
    assert [row["keep"] for row in rows] == [0.25, 0.5, 0.75]
    assert {(row["experiment"], row["n_random"], row["rungs"], row["remark"]) for row in rows} == {("tiny", 4, "2", "")}
    # Two of three epochs of all, and the third one of those that go on: about, since epochs take different times.
    assert [row["cost_share"] for row in rows] == pytest.approx([9 / 12, 10 / 12, 11 / 12], abs=0.15)
    (comparison,) = read_table(results / "comparison.parquet", "comparison")
    enough = comparison["equal_hours_k"] <= comparison["n_random"]
    assert (comparison["equal_hours_accuracy"] is not None) == enough
    *figures, table = (copy.folder / path for path in SHOWN)
    assert all(figure.stat().st_size > 1000 for figure in figures)
    assert "equal_hours_accuracy" in table.read_text()


def test_it_can_be_asked_for_alone(copy: Workspace) -> None:
    assert set(copy.make(HALVING)) == {"augment", "random_arc", "halving"}
    assert copy.make(HALVING) == []
    assert (copy.folder / HALVING).exists()
