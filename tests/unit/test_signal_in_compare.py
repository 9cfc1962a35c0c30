"""What `compare` says of the searches' rankings: columns, reasons and sentences, from planted tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rows import row_of

from enas_core import compare
from enas_core.analysis.comparison import check_searches, summarise
from enas_core.analysis.results import SIGNAL_COLUMNS, SearchResult, read_search
from enas_core.analysis.sentences import about_signal
from enas_core.analysis.signal import VERDICTS, weakest
from enas_core.files.tables import provenance, write_table
from enas_core.settings.networks import random_network, searched_network
from enas_core.spaces.micro.sampling import uniform_arc

MADE_BY = provenance("cpu", "abc")


def signal_row(verdict: str, seed: int = 1, **changes: Any) -> dict[str, Any]:
    row = row_of("signal", seed=seed, verdict=verdict, chance=0.1, remark="")
    low, mean, high = (0.11, 0.15, 0.2) if verdict == "at chance" else (0.65, 0.7, 0.75)
    row |= {"candidates_low": low, "candidates_mean": mean, "candidates_high": high}
    row |= {"reliability": 0.9, "reliability_low": 0.8, "reliability_high": 0.95}
    return row | changes


def trainings(shared: list[float], test: list[float]) -> list[dict[str, Any]]:
    """Rows of metrics."""
    rows = []
    for i, (own, tested) in enumerate(zip(shared, test, strict=True)):
        name, role, seed, *_ = searched_network(i) if i == 0 else random_network(i)
        row = row_of("metrics", experiment="x", dataset="digits", network=name)
        row |= {"role": role, "search_seed": seed, "seed": 1, "shared_accuracy": own, "test_accuracy": tested}
        rows.append(row | {"seconds": 1.0})
    return rows


def searches(*signals: dict[str, Any] | None, random: int = 8) -> list[SearchResult]:
    scores = [{str(i): (i + seed * (i % 3)) / 20 for i in range(random)} for seed in range(len(signals))]
    return [
        SearchResult(1.0, of_seed, of_seed, signal, "x", None) for of_seed, signal in zip(scores, signals, strict=True)
    ]


def test_the_weakest_search_speaks_for_all():
    rows = [signal_row(verdict, seed) for seed, verdict in enumerate(reversed(VERDICTS))]
    assert weakest(rows)["seed"] == 2
    assert weakest([signal_row("order repeats", 1), signal_row("order repeats", 2, reliability=0.3)])["seed"] == 2
    assert weakest([signal_row("order is noise", 1), signal_row("order is noise", 2, reliability=None)])["seed"] == 2
    checked, reasons = check_searches(searches(*rows))
    assert (checked["signal"], checked["num_searches"], checked["signal_seed"]) == ("at chance", 3, 2)
    assert checked["candidates_mean"] == 0.15
    assert checked["agreement_low"] < checked["agreement"] < checked["agreement_high"]
    assert reasons == {}


def test_columns_are_null_with_a_reason():
    checked, reasons = check_searches(searches(None))
    assert set(checked) == set(SIGNAL_COLUMNS)
    assert set(checked.values()) == {None}
    assert set(reasons) == {"signal", "reliability", "agreement"}
    row, reasons = summarise(trainings([0.5, 0.6], [0.5, 0.6]), checked)
    assert row["k"] is row["precision_at_k"] is row["regret_at_k"] is None
    assert "at least 3 networks" in reasons["k"]
    remark = "needs at least 3 arcs, there is 1"
    alone = signal_row("order is noise", reliability=None, remark=remark)
    assert check_searches(searches(alone))[1]["reliability"] == remark


SHARED = [0.70, 0.71, 0.72, 0.73, 0.74, 0.75, 0.66, 0.67, 0.68, 0.69]
UNRELATED = [0.81, 0.85, 0.82, 0.88, 0.80, 0.86, 0.89, 0.83, 0.87, 0.84]


@pytest.mark.parametrize(
    ("signals", "test", "words"),
    [
        (
            [signal_row("order repeats"), signal_row("at chance", 2)],
            SHARED,
            "search seed 2, the weakest of 2: the shared weights have not learned: candidates 11.0 to 20.0 % where"
            " guessing gives 10.0 %; their order is noise; the selected arc is a random one",
        ),
        (
            [signal_row("order is noise")],
            SHARED,
            "search seed 1: the shared weights have learned: candidates 65.0 to 75.0 % where guessing gives 10.0 %; but"
            " they do not tell these arcs apart: their order is noise; the selected arc is a random one",
        ),
        (
            [signal_row("order repeats")],
            UNRELATED,
            "search seed 1: the shared weights have learned: candidates 65.0 to 75.0 % where guessing gives 10.0 %; the"
            " order of the arcs repeats, right or not: reliability 0.90 [0.80, 0.95]; that it says anything about"
            " networks trained from scratch is not shown: tau",
        ),
        ([signal_row("order repeats")], SHARED, "; trained from scratch, networks confirm it: tau 1.00 ["),
        ([signal_row("order repeats")], SHARED, "; the best of its first 2 loses 0.00 points to the best of all"),
        ([signal_row("order repeats")], [-s for s in SHARED], "; trained from scratch, networks reverse it: tau -1.00"),
        ([signal_row("order repeats")] * 2, SHARED, "; search seeds agree by 0.9"),
        (
            [signal_row("order repeats")],
            SHARED[:2],
            "whether it is right is not known: tau needs at least 3 networks, there are 2",
        ),
    ],
)
def test_sentences(signals, test, words):
    checked, _ = check_searches(searches(*signals))
    said = about_signal(*summarise(trainings(SHARED[: len(test)], test), checked))
    assert words in said
    assert "means" not in said


@pytest.mark.parametrize("verdict", VERDICTS)
def test_compare_prints_the_sentence(verdict, tmp_path, capsys):
    metrics = trainings(SHARED, UNRELATED)
    checked, _ = check_searches(searches(signal_row(verdict)))
    write_table(tmp_path / "a/metrics.parquet", "metrics", metrics, MADE_BY)
    row, reasons = summarise(metrics, checked)
    write_table(tmp_path / "a/comparison.parquet", "comparison", [row], MADE_BY)
    assert compare.main([str(tmp_path / "a")]) == 0
    printed = capsys.readouterr().out
    assert f"{tmp_path / 'a'}: {about_signal(row, reasons)}" in printed
    assert verdict in printed.splitlines()[1]


def test_results_without_a_signal_check_still_compare(tmp_path, capsys):
    write_table(tmp_path / "a/metrics.parquet", "metrics", trainings(SHARED, UNRELATED), MADE_BY)
    (tmp_path / "b").mkdir()
    write_table(tmp_path / "b/metrics.parquet", "metrics", trainings(SHARED, UNRELATED), MADE_BY)
    (tmp_path / "b/comparison.parquet").write_bytes(b"no table")
    assert compare.main([str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert "found against random" in printed.out
    assert "the shared weights" not in printed.out
    assert f"left out: {tmp_path / 'b/comparison.parquet'}" in printed.err


def test_a_search_is_read_with_and_without_its_check(tmp_path: Path):
    epoch = row_of("search_epochs", seed=3, seconds=50.0)
    first, second = str(uniform_arc(1, 2)), str(uniform_arc(2, 2))
    write_table(tmp_path / "epochs.parquet", "search_epochs", [epoch], MADE_BY)
    candidates = [
        row_of("candidates", source="policy", space="micro", arc=first, valid_accuracy=0.5),
        row_of("candidates", source="random", space="micro", arc=second, valid_accuracy=0.25),
    ]
    write_table(tmp_path / "candidates.parquet", "candidates", candidates, MADE_BY)
    seed, result = read_search(tmp_path)
    assert (seed, result.random, result.signal) == (3, {second: 0.25}, None)
    write_table(tmp_path / "signal.parquet", "signal", [signal_row("order is noise", 3)], MADE_BY)
    _, result = read_search(tmp_path)
    assert result.signal == signal_row("order is noise", 3)
