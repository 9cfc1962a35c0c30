"""compare as a stage: trainings and searches become one table of metrics, and its comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from rows import row_of

from enas_core import compare
from enas_core.analysis.comparison import summarise
from enas_core.analysis.results import read_search, read_training
from enas_core.files.schemas import SCHEMAS
from enas_core.files.tables import provenance, read_provenance, read_table, write_table
from enas_core.settings.networks import NamedNetwork, random_network, searched_network
from enas_core.spaces.micro.network import MicroNetwork
from enas_core.spaces.micro.sampling import uniform_arc
from enas_core.spaces.saved import save_network
from enas_core.spaces.space import NetworkShape

MADE_BY = provenance("cpu", "abc")


def train(folder: Path, network: NamedNetwork, seed: int, number: int, accuracies: Sequence[float]) -> Path:
    """The folder of a finished training of arc `number`."""
    arc = uniform_arc(number, num_nodes=2)
    shape = NetworkShape(num_layers=1, num_filters=4, image_size=8, in_channels=1, num_classes=10, aux_head=False)
    save_network(folder / "model.pt", MicroNetwork(arc, shape), {})
    row = row_of("augment_epochs", experiment="x", dataset="digits")
    row |= {"network": network.name, "space": "micro", "arc": str(arc), "seed": seed, "seconds": 10.0}
    rows = [row | {"epoch": epoch, "test_accuracy": value} for epoch, value in enumerate(accuracies)]
    made_by = MADE_BY | {"role": network.role, "search_seed": network.search_seed}
    write_table(folder / "epochs.parquet", "augment_epochs", rows, made_by)
    return folder


def search(folder: Path, seed: int, scores: dict[int, float]) -> Path:
    """The folder of a finished search; `scores`: shared accuracy of arcs by number."""
    row = row_of("search_epochs", experiment="x", dataset="digits", seed=seed, seconds=50.0)
    write_table(folder / "epochs.parquet", "search_epochs", [row | {"epoch": epoch} for epoch in range(2)], MADE_BY)
    rows = [
        row_of("candidates", source="random", space="micro", arc=str(uniform_arc(i, 2)), valid_accuracy=accuracy)
        for i, accuracy in scores.items()
    ]
    write_table(folder / "candidates.parquet", "candidates", rows, MADE_BY)
    return folder


def test_stage_writes_metrics_and_comparison(tmp_path):
    searches = [search(tmp_path / "s3", 3, {7: 0.5, 8: 0.3}), search(tmp_path / "s4", 4, {7: 0.6, 8: 0.4, 9: 0.2})]
    networks = [
        train(tmp_path / "a", searched_network(3), 1, 7, [0.95, 0.9]),
        train(tmp_path / "b", random_network(0), 1, 8, [0.1, 0.7]),
        train(tmp_path / "c", NamedNetwork("transfer", "named"), 1, 10, [0.8]),
    ]
    trained_before = networks[1] / "epochs.parquet"
    rows, made_by = read_table(trained_before, "augment_epochs"), read_provenance(trained_before)
    write_table(trained_before, "augment_epochs", rows, made_by | {"git_commit": "earlier"})
    out = tmp_path / "out"
    arguments = ["--networks", *networks, "--searches", *searches, "--out-dir", out, "--log-file", tmp_path / "log"]
    assert compare.main([str(a) for a in arguments]) == 0

    found, random, named = read_table(out / "metrics.parquet", "metrics")
    assert (found["role"], found["search_seed"], found["search_seconds"]) == ("searched", 3, 100.0)
    assert found["shared_accuracy"] == 0.5  # by its own supernet
    assert found["test_accuracy"] == 0.9  # of the last epoch, not the best
    assert found["test_error"] == pytest.approx(0.1)
    assert (found["epochs"], found["seconds"], found["device"]) == (2, 20.0, "cpu")
    assert (random["git_commit"], named["git_commit"]) == ("earlier", MADE_BY["git_commit"])
    assert (random["role"], random["search_seed"], random["search_seconds"]) == ("random", None, None)
    assert random["shared_accuracy"] == pytest.approx(0.35)  # mean over the searches
    assert (named["role"], named["shared_accuracy"]) == ("named", None)

    (row,) = read_table(out / "comparison.parquet", "comparison")
    assert row == summarise([found, random, named])[0]
    csv = pd.read_csv(out / "comparison.csv")
    assert list(csv.columns) == SCHEMAS["comparison"].names
    assert csv["relative_improvement"][0] == pytest.approx(row["relative_improvement"])
    assert "p < 0.05 needs at least 20 random networks" in (tmp_path / "log").read_text()


def test_sizes_are_those_of_the_trained_network(tmp_path):
    folder = train(tmp_path, searched_network(1), 1, 5, [0.5])
    seed, result = read_search(search(tmp_path / "s", 1, {5: 0.25}))
    row = read_training(folder, {seed: result})
    shape = NetworkShape(num_layers=1, num_filters=4, image_size=8, in_channels=1, num_classes=10, aux_head=False)
    network = MicroNetwork(uniform_arc(5, 2), replace(shape, image_size=32, aux_head=True))
    without = MicroNetwork(uniform_arc(5, 2), shape)
    assert row["params"] == sum(p.numel() for p in without.parameters())
    assert row["params"] < sum(p.numel() for p in network.parameters())
    assert row["macs"] > 0


def test_sizes_that_the_training_has_recorded_need_no_network(tmp_path):
    folder = train(tmp_path, random_network(0), 1, 5, [0.5])
    table = folder / "epochs.parquet"
    recorded = read_provenance(table) | {"params": 5, "macs": 7}
    write_table(table, "augment_epochs", read_table(table, "augment_epochs"), recorded)
    (folder / "model.pt").unlink()
    row = read_training(folder, {})
    assert (row["params"], row["macs"]) == (5, 7)


def test_unreadable_inputs_leave_nothing_behind(tmp_path):
    folder = train(tmp_path / "a", random_network(0), 1, 8, [0.7])
    (folder / "model.pt").write_bytes(b"nothing")
    assert compare.main(["--networks", str(folder), "--out-dir", str(tmp_path / "out")]) == 2
    assert not (tmp_path / "out").exists()


def test_a_role_is_not_read_out_of_a_name(tmp_path):
    folder = train(tmp_path, NamedNetwork("random-00", "searched", 4), 1, 5, [0.5])
    row = read_training(folder, {})
    assert (row["network"], row["role"], row["search_seed"]) == ("random-00", "searched", 4)


def test_a_training_of_an_older_version_is_one_line(tmp_path, capfd):
    folder = train(tmp_path / "a", random_network(0), 1, 8, [0.7])
    rows = read_table(folder / "epochs.parquet", "augment_epochs")
    write_table(folder / "epochs.parquet", "augment_epochs", rows, MADE_BY)
    assert compare.main(["--networks", str(folder), "--out-dir", str(tmp_path / "out")]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert f"{folder / 'epochs.parquet'}: does not say where its network comes from" in line
    assert not (tmp_path / "out").exists()
