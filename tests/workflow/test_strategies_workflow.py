"""`select.compare` in real runs: further strategies over a finished search, from one target."""

from __future__ import annotations

from collections import Counter

from workspace import Workspace

from enas_core.files.tables import read_table

COMPARISON = "results/tiny/comparison.parquet"
STRATEGIES = ["random", "evolution", "local_search"]


def test_strategies_run_what_is_new_and_nothing_else(changed: Workspace) -> None:
    """Over a search that is finished."""
    (before,) = read_table(changed.results / "tiny/comparison.parquet", "comparison")
    changed.edit(select__compare=STRATEGIES, select__evolution={"population": 2, "sample_size": 1})
    ran = Counter(changed.make(COMPARISON, "results/tiny/report/strategies.svg"))
    assert ran == {
        **{"resolve_config": 1, "try_strategy": 3, "strategies": 1, "augment": 3, "compare": 1},
        "plot_strategies": 1,
    }
    results = changed.results / "tiny"
    (after,) = read_table(results / "comparison.parquet", "comparison")
    assert {name for name in before if before[name] != after[name]} == {"train_hours"}

    rows = read_table(results / "search/s1/strategies.parquet", "strategies")
    assert Counter(row["strategy"] for row in rows) == dict.fromkeys(["policy", *STRATEGIES], 4)
    metrics = {row["network"]: row for row in read_table(results / "metrics.parquet", "metrics")}
    assert metrics["searched-s1"]["strategy"] == "policy"
    for name in STRATEGIES:
        network, own = metrics[f"{name}-s1"], [row for row in rows if row["strategy"] == name]
        (selected,) = [row for row in own if row["selected"]]
        assert (network["role"], network["strategy"], network["search_seed"]) == ("strategy", name, 1)
        assert (network["arc"], network["shared_accuracy"]) == (selected["arc"], selected["valid_accuracy"])
        assert selected["valid_accuracy"] == own[-1]["best_so_far"]
    assert "what the search's policy bought" in (results / "logs/compare.log").read_text()

    # Fewer of them leave the rest alone.
    changed.edit(select__compare=["random"])
    assert sorted(changed.make("-n", COMPARISON)) == ["compare", "strategies"]
