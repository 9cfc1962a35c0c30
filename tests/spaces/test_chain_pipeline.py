"""The toy space goes through the whole pipeline, though no line of `enas_core` knows it: the interface is one."""

import json

import pytest
import torch
from chain import Chain

from enas_core import augment, compare, final, prepare_data, random_arcs, search, select_arc, spaces, strategies
from enas_core.files.tables import read_table
from enas_core.policies import STRATEGIES
from enas_core.settings.stages import STAGES, stage_settings, to_json
from enas_core.settings.workflow import parse_workflow
from enas_core.spaces.saved import load_network

EXPERIMENT = {
    "space": "chain",
    "chain_length": 4,
    "cpu_threads": 1,
    "dataset": {"name": "digits", "source": "digits", "split_test_images": 60, "max_train_images": 200},
    "search": {"num_epochs": 2, "batch_size": 32, "num_layers": 1, "num_filters": 4, "aux_head": False}
    | {"valid_images": 60, "policy": "uniform"},
    "select": {"num_candidates": 5},
    "augment": {"num_epochs": 2, "batch_size": 32, "num_layers": 1, "num_filters": 4, "aux_head": False},
    "baseline": {"num_arcs": 2},
}


@pytest.fixture
def chain(monkeypatch):
    """The toy space is known as any other, by its line in `SPACES`."""
    monkeypatch.setitem(spaces.SPACES, "chain", f"{Chain.__module__}:{Chain.__name__}")


@pytest.fixture
def run(chain, tmp_path):
    """Runs a command with the options that all stages share; it must succeed."""
    experiment = parse_workflow({"experiments": {"toy": EXPERIMENT}}).experiments["toy"]
    for stage in STAGES:
        (tmp_path / f"{stage}.json").write_text(to_json(stage_settings("toy", experiment, stage)))

    def call(command, *options, config=None, **paths):
        words = [] if config is None else ["--config", tmp_path / f"{config}.json"]
        for name, value in paths.items():
            words += [f"--{name.replace('_', '-')}", *(value if isinstance(value, list) else [value])]
        assert command.main([str(word) for word in (*words, *options)]) == 0

    return call


def trained(run, folder, name, arc, *origin):
    """A network of `arc`, trained."""
    out = folder / name
    run(augment, *origin, config="augment", data=folder / "data", seed=1, arc_file=arc, network=name,
        out_dir=out, state_dir=folder / "state" / name)  # fmt: skip
    return out


def test_a_chain_goes_through_the_pipeline(run, tmp_path):
    data, found = tmp_path / "data", tmp_path / "s1"
    run(prepare_data, config="prepare_data", out_dir=data)
    run(random_arcs, config="random_arcs", count=2, out=tmp_path / "random_arcs.parquet")
    run(random_arcs, config="random_arcs", index=1, arc_out=tmp_path / "random-01.txt")
    run(search, config="search", data=data, seed=1, out_dir=found, state_dir=tmp_path / "state/search")
    run(select_arc, config="select_arc", data=data, seed=1, supernet=found / "supernet.pt",
        random_arcs=tmp_path / "random_arcs.parquet", out_dir=found, arc_out=tmp_path / "arc.txt")  # fmt: skip
    searched = trained(run, tmp_path, "searched-s1", tmp_path / "arc.txt", "--role", "searched", "--search-seed", "1")
    random = trained(run, tmp_path, "random-01", tmp_path / "random-01.txt", "--role", "random")
    run(final, candidates=[found / "candidates.parquet"], models=[searched], out=tmp_path / "final.pt")
    run(compare, networks=[searched, random], searches=[found], out_dir=tmp_path)

    candidates = read_table(found / "candidates.parquet", "candidates")
    assert [row["source"] for row in candidates] == ["policy"] * 5 + ["random"] * 2
    assert {row["space"] for row in candidates} == {"chain"}
    assert {row["policy"] for row in candidates} == {"uniform", None}
    assert all(len(row["arc"].split()) == 4 for row in candidates)
    metrics = read_table(tmp_path / "metrics.parquet", "metrics")
    assert [(row["role"], row["space"], row["search_seed"]) for row in metrics] == [
        ("searched", "chain", 1),
        ("random", "chain", None),
    ]
    network = load_network(tmp_path / "final.pt")
    assert str(network.arc) == (tmp_path / "arc.txt").read_text().strip()
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    assert torch.load(tmp_path / "final.pt", weights_only=True)["space"] == "chain"
    assert json.loads((tmp_path / "augment.json").read_text())["space_settings"] == {"chain_length": 4}


def test_every_strategy_chooses_a_chain(run, tmp_path):
    data, found = tmp_path / "data", tmp_path / "s1"
    run(prepare_data, config="prepare_data", out_dir=data)
    run(search, config="search", data=data, seed=1, out_dir=found, state_dir=tmp_path / "state/search")
    tables = []
    for strategy in STRATEGIES:
        out = found / "strategies" / strategy
        run(select_arc, config="strategies", strategy=strategy, data=data, seed=1, supernet=found / "supernet.pt",
            out_dir=out, arc_out=out / "arc.txt", state_dir=tmp_path / "state" / strategy)  # fmt: skip
        tables.append(out / "candidates.parquet")
    run(strategies, config="strategies", seed=1, candidates=tables, out=found / "strategies.parquet")
    rows = read_table(found / "strategies.parquet", "strategies")
    assert [row["strategy"] for row in rows] == [strategy for strategy in STRATEGIES for _ in range(5)]
    for strategy, (selected,) in by_strategy(rows).items():
        assert (found / "strategies" / strategy / "arc.txt").read_text().strip() == selected["arc"]


def by_strategy(rows):
    """The selected rows of each."""
    return {name: [row for row in rows if row["strategy"] == name and row["selected"]] for name in STRATEGIES}


def test_the_controller_says_that_it_does_not_know_the_space(run, tmp_path, capsys):
    settings = json.loads((tmp_path / "search.json").read_text())
    settings["search"]["policy"] = "controller"
    (tmp_path / "search.json").write_text(json.dumps(settings))
    run(prepare_data, config="prepare_data", out_dir=tmp_path / "data")
    words = ["--config", tmp_path / "search.json", "--data", tmp_path / "data", "--seed", "1", "--out-dir", tmp_path]
    assert search.main([str(word) for word in (*words, "--state-dir", tmp_path / "state")]) == 2
    assert "search.policy: 'controller' knows the space micro only, not chain" in capsys.readouterr().err
