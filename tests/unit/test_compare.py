"""Joining and comparing metric tables: known numbers, invariances, and planted experiments."""

from __future__ import annotations

import io
import itertools
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rows import row_of

from enas_core import compare
from enas_core.analysis.comparison import differences, network_means, summarise
from enas_core.analysis.statistics import ALPHA
from enas_core.files.schemas import SCHEMAS
from enas_core.files.tables import provenance, write_table
from enas_core.settings.networks import NamedNetwork, random_network, searched_network

MADE_BY = provenance("cpu", "abc")


def training(network: NamedNetwork, accuracy: float, seed: int = 1, **changes: Any) -> dict[str, Any]:
    """A row of metrics."""
    name, role, search_seed, _ = network
    row = row_of("metrics", experiment="x", dataset="digits", network=name)
    row |= {"role": role, "space": "micro", "arc": name, "search_seed": search_seed, "seed": seed}
    row |= {"params": 1000, "macs": 10}
    row |= {"shared_accuracy": accuracy / 2, "test_accuracy": accuracy, "test_error": 1 - accuracy, "epochs": 5}
    row |= {"seconds": 36.0, "search_seconds": 72.0 if role == "searched" else None, "device": "cpu"}
    return row | changes


def experiment(searched: Sequence[float], random: Sequence[float], **changes: Any) -> list[dict[str, Any]]:
    """Metrics with one augment seed."""
    rows = [training(searched_network(i), value, **changes) for i, value in enumerate(searched)]
    return rows + [training(random_network(i), value, **changes) for i, value in enumerate(random)]


def named_network(name: str) -> NamedNetwork:
    """A network that config.yaml names."""
    return NamedNetwork(name, "named")


def put(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """A result folder."""
    write_table(folder / "metrics.parquet", "metrics", rows, MADE_BY)
    return folder


def printed(capfdbinary: pytest.CaptureFixture[bytes], *arguments: object, code: int = 0) -> tuple[bytes, str]:
    assert compare.main([str(argument) for argument in arguments]) == code
    captured = capfdbinary.readouterr()
    return captured.out, captured.err.decode()


# --- one experiment ------------------------------------------------------------------------------


def test_known_numbers():
    rows = experiment([0.970], [0.960, 0.970, 0.965, 0.965])
    row, reasons = summarise(rows)
    assert row["relative_improvement"] == pytest.approx(0.518, abs=5e-4)
    assert (row["n_searched"], row["n_random"]) == (1, 4)
    assert row["random_mean"] == pytest.approx(0.965)
    assert row["random_std"] == pytest.approx(np.std([0.96, 0.97, 0.965, 0.965], ddof=1))
    assert row["p_value"] == pytest.approx(2 / 5)  # the tie counts against the found one
    assert row["search_hours"] == pytest.approx(72 / 3600)
    assert row["train_hours"] == pytest.approx(5 * 36 / 3600)
    assert row["searched_std"] is None
    assert row["ri_low"] is None
    assert row["ri_high"] is None
    assert set(reasons) >= {"searched_std", "relative_improvement", "p_value"}


def test_one_found_against_eight_says_how_many_are_needed():
    row, reasons = summarise(experiment([0.99], [0.9 + i / 1000 for i in range(8)]))
    assert row["p_value"] == pytest.approx(1 / 9)
    assert "0.111" in reasons["p_value"]
    assert "at least 20 random networks" in reasons["p_value"]


def test_without_random_or_searched_networks():
    row, reasons = summarise(experiment([0.9, 0.8], []))
    assert row["p_value"] is None
    assert row["random_mean"] is None
    assert "p_value" in reasons
    row, reasons = summarise([training(named_network("mine"), 0.5)])
    assert (row["n_searched"], row["n_random"], row["searched_mean"]) == (0, 0, None)


def test_augment_seeds_are_averaged_first():
    once = experiment([0.9, 0.8], [0.7, 0.8, 0.6])
    twice = [
        r | {"seed": seed, "test_accuracy": r["test_accuracy"] + d} for r in once for seed, d in ((1, 0.1), (2, -0.1))
    ]
    one, two = summarise(once)[0], summarise(twice)[0]
    for name in ("n_searched", "n_random", "searched_mean", "searched_std", "random_std", "p_value", "search_hours"):
        assert two[name] == pytest.approx(one[name]), name


def test_a_search_is_paid_for_once_and_sizes_are_means_of_networks():
    rows = [training(searched_network(1), 0.9, seed, params=300) for seed in (1, 2, 3)] + [
        training(searched_network(2), 0.9, params=100)
    ]
    row, _ = summarise(rows)
    assert row["search_hours"] == pytest.approx(2 * 72 / 3600)
    assert row["searched_params_mean"] == 200


accuracy = st.floats(0.1, 1.0).map(lambda value: round(value, 3))


@settings(max_examples=25, deadline=None)
@given(st.lists(accuracy, min_size=1, max_size=3), st.lists(accuracy, min_size=1, max_size=5), st.randoms())
def test_order_names_and_repeated_rows_do_not_matter(searched, random, rng):
    rows = experiment(searched, random)
    expected = summarise(rows)
    order = list(range(len(random)))
    rng.shuffle(order)
    renamed = {f"random-{i:02}": f"random-{order[i] + 40}" for i in order}
    changed = [row | {"network": renamed.get(row["network"], row["network"])} for row in rows]
    rng.shuffle(changed)
    found, reasons = summarise(changed)
    assert reasons == expected[1]
    assert found == pytest.approx(expected[0], nan_ok=True)
    doubled = summarise(rows + rows)[0]
    paid = {"train_hours": 0, "equal_hours_k": 0}
    assert doubled | paid == pytest.approx(expected[0] | paid, nan_ok=True)


def test_units_ignore_rows_without_accuracy():
    rows = [training(named_network("a"), 0.5), training(named_network("b"), 0.5, test_accuracy=None)]
    assert [network.network for network in network_means(rows)] == ["a"]


# --- planted experiments -------------------------------------------------------------------------


def p_values(shift: float, searched: int = 3, random: int = 8, repeats: int = 200) -> list[float]:
    generator = np.random.default_rng(0)
    rows = []
    for _ in range(repeats):
        values = generator.normal(0.9, 0.01, searched + random)
        rows.append(experiment(values[:searched] + shift, values[searched:]))
    return [summarise(metrics)[0]["p_value"] for metrics in rows]


def test_no_effect_is_rarely_taken_for_one():
    found = p_values(0.0)
    for level in (0.05, 0.2, 0.5):
        assert np.mean(np.array(found) <= level) <= level + 3 * np.sqrt(level * (1 - level) / len(found))


def test_an_effect_is_found():
    assert np.mean(np.array(p_values(0.03)) < ALPHA) > 0.9


# --- experiments with each other -----------------------------------------------------------------


def test_differences_beyond_the_noise():
    better = experiment([0.95, 0.951, 0.952, 0.953], [0.9, 0.91])
    worse = experiment([0.90, 0.901, 0.902, 0.903], [0.9, 0.91])
    found = differences({"a": worse, "b": better})
    (searched,) = [d for d in found if d.role == "searched"]
    assert searched.change == pytest.approx(0.05)
    assert searched.p == pytest.approx(2 / 70)
    (random,) = [d for d in found if d.role == "random"]
    assert random.p is None


def test_equal_results_do_not_differ():
    rows = experiment([0.95, 0.951, 0.952, 0.953], [0.9, 0.91, 0.92, 0.93])
    assert [d.p for d in differences({"a": rows, "b": rows})] == [1.0, 1.0]


def test_many_comparisons_are_corrected_for():
    high, low = [0.95, 0.951, 0.952, 0.953], [0.90, 0.901, 0.902, 0.903]
    found = differences({name: experiment(high if name == "a" else low, []) for name in "abcd"})
    assert [d.p for d in found if "a" in (d.first, d.second)] == pytest.approx([6 * 2 / 70] * 3)
    assert all(d.p <= 1 for d in found)


def test_other_datasets_are_not_compared():
    a, b = experiment([0.9] * 4, []), experiment([0.5] * 4, [], dataset="cifar10")
    assert differences({"a": a, "b": b}) == []


def test_false_differences_are_rare():
    generator = np.random.default_rng(1)
    wrong = 0
    for _ in range(100):
        results = {name: experiment(generator.normal(0.9, 0.01, 4), []) for name in "abc"}
        wrong += any(d.p < ALPHA for d in differences(results))
    assert wrong <= 11


def test_random_networks_that_were_trained_once_do_not_differ():
    mine = experiment([0.9] * 4, [0.7, 0.8, 0.6], trained_by="x")
    taken = experiment([0.8] * 4, [0.7, 0.8, 0.6], trained_by="x")
    assert [difference.role for difference in differences({"a": mine, "b": taken})] == ["searched"]
    own = experiment([0.8] * 4, [0.7, 0.8, 0.6], trained_by="y")
    assert [difference.role for difference in differences({"a": mine, "b": own})] == ["searched", "random"]
    older = experiment([0.9] * 4, [0.7, 0.8, 0.6], trained_by=None)
    assert [difference.role for difference in differences({"a": older, "b": older})] == ["searched", "random"]


def test_pairs_of_results_come_once():
    rows = experiment([0.9] * 4, [])
    found = differences({name: rows for name in "abc"})
    assert [(d.first, d.second) for d in found] == list(itertools.combinations("abc", 2))


# --- the command line ----------------------------------------------------------------------------


@pytest.fixture
def two(tmp_path: Path) -> Path:
    put(tmp_path / "results/a", experiment([0.95, 0.951, 0.952, 0.953], [0.9, 0.91]))
    put(tmp_path / "results/b", experiment([0.90, 0.901, 0.902, 0.903], [0.9, 0.92]))
    return tmp_path / "results"


def test_table(two, capfdbinary):
    out, _ = printed(capfdbinary, two)
    lines = out.decode().splitlines()
    assert lines[0].split()[:3] == ["results", "dataset", "found"]
    assert lines[1].startswith(f"{two}/a  digits")
    assert "0.9515 ± 0.0013 (4)" in lines[1]
    assert any("found networks -0.0500, which exceeds the noise: p = 0.0286" in line for line in lines)
    assert any("random networks +0.0050; too few networks to say" in line for line in lines)


def test_machine_formats_hold_the_same(two, capfdbinary):
    text = pd.DataFrame(json.loads(printed(capfdbinary, two, "--format", "json")[0]))
    csv = pd.read_csv(io.BytesIO(printed(capfdbinary, two, "--format", "csv")[0]))
    parquet = pd.read_parquet(io.BytesIO(printed(capfdbinary, two, "--format", "parquet")[0]))
    assert list(text.columns) == list(csv.columns) == list(parquet.columns)
    assert list(parquet.columns) == ["results", *SCHEMAS["comparison"].names, "differs_from"]
    numbers = [name for name in parquet.columns if parquet[name].dtype.kind in "if"]
    for frame in (text, csv):
        assert frame[numbers].astype(float).equals(parquet[numbers].astype(float))
    assert list(parquet["differs_from"]) == [f"{two}/b", f"{two}/a"]


def test_a_folder_named_twice_counts_once(two, capfdbinary, monkeypatch):
    monkeypatch.chdir(two)
    out, _ = printed(capfdbinary, ".", "a", two / "a", "a/metrics.parquet", "--format", "json")
    assert [row["results"] for row in json.loads(out)] == ["a", "b"]


def test_missing_and_foreign_files_are_left_out(two, capfdbinary, tmp_path):
    (tmp_path / "empty").mkdir()
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    pq.write_table(pa.table({"price": [1.0]}), foreign / "metrics.parquet")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "metrics.parquet").write_bytes(b"PAR1 no")
    percent = put(tmp_path / "percent", [training(searched_network(1), 97.0)])
    nothing = put(tmp_path / "nothing", [])
    others = [tmp_path / "gone", tmp_path / "empty", foreign, broken, percent, nothing]
    out, err = printed(capfdbinary, two / "a", *others, "--format", "json")
    assert [row["results"] for row in json.loads(out)] == [str(two / "a")]
    lines = [line for line in err.splitlines() if line.startswith("left out: ")]
    assert len(lines) == len(others)
    for path, line in zip(sorted(map(str, others[:2])), sorted(lines[:2]), strict=True):
        assert path in line
    assert any("shared_accuracy of row 1 is 48.5; allowed: numbers 0..1" in line for line in lines)


def test_what_exists_is_suggested(two, capfdbinary, tmp_path, monkeypatch):
    _, err = printed(capfdbinary, two / "nowhere", code=2)
    assert f"left out: {two / 'nowhere'}: there is no such folder\n" in err
    wanted = f"there is nothing to compare in {two / 'nowhere'}; there are {two / 'a'}, {two / 'b'}\n"
    assert err.endswith(f"error: {wanted}")
    monkeypatch.chdir(tmp_path)
    _, err = printed(capfdbinary, "nowhere", code=2)
    assert err.endswith("nothing to compare in nowhere; there are results/a, results/b\n")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    _, err = printed(capfdbinary, "nowhere", code=2)
    assert err.endswith("nothing to compare in nowhere; results has no finished comparison either\n")


def test_a_table_of_an_older_version_is_read(two, capfdbinary, tmp_path):
    old = tmp_path / "old"
    old.mkdir()
    frame = pd.DataFrame({"network": ["searched-s1", "random-00"], "role": ["searched", "random"]})
    frame = frame.assign(test_accuracy=[0.9, 0.8], dataset="digits")
    pq.write_table(pa.Table.from_pandas(frame.assign(extra=1)), old / "metrics.parquet")
    out, _ = printed(capfdbinary, two / "a", old, "--format", "json")
    row = json.loads(out)[1]
    assert (row["n_searched"], row["n_random"]) == (1, 1)
    assert row["relative_improvement"] == pytest.approx(12.5)
    assert row["search_hours"] is None
    out, _ = printed(capfdbinary, old)
    assert str(old) in out.decode()


@pytest.mark.parametrize("arguments", [[], ["gone"], ["--out-dir", "out"], ["gone", "--out-dir", "out"]])
def test_mistakes_are_one_line(arguments, capfdbinary, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out, err = printed(capfdbinary, *arguments, code=2)
    assert out == b""
    assert err.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_comparing_needs_no_torch():
    code = "import sys, enas_core.compare; print({'torch', 'scipy', 'pandas', 'matplotlib'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"
