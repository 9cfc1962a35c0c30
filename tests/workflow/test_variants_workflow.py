"""Experiments that stand on another one's random networks: `baseline.from`, and the variants of an ablation."""

from __future__ import annotations

from collections import Counter

import pyarrow.parquet as pq
import pytest
import yaml
from workspace import Workspace

from enas_core.files.schemas import SCHEMAS
from enas_core.files.tables import read_table


def add(workspace: Workspace, name: str, **sections: object) -> None:
    """A further experiment, which extends `tiny`."""
    content = yaml.safe_load(workspace.config.read_text())
    content["experiments"][name] = {"extends": "tiny", "arcs": None} | sections
    workspace.config.write_text(yaml.safe_dump(content))


def test_random_networks_are_trained_once(changed: Workspace) -> None:
    add(changed, "second", search={"num_epochs": 1}, baseline={"from": "tiny"})
    target = "results/second/comparison.parquet"
    planned = changed.run("-n", target).stdout
    assert "networks/searched-s1/seed1/model.pt" in planned
    assert "results/second/networks/random" not in planned
    ran = Counter(changed.make(target))
    once = ["prepare_data", "check_images", "search", "select_arc", "score_arcs", "augment", "compare"]
    assert ran == {"resolve_config": 4} | dict.fromkeys(once, 1)

    (row,) = read_table(changed.results / "second/comparison.parquet", "comparison")
    assert (row["experiment"], row["n_searched"], row["n_random"]) == ("second", 1, 2)
    metrics = read_table(changed.results / "second/metrics.parquet", "metrics")
    trained = {(row["role"], row["experiment"], row["trained_by"]) for row in metrics}
    assert trained == {("searched", "second", "second"), ("random", "second", "tiny")}
    assert all(row["shared_accuracy"] is not None for row in metrics)
    assert changed.make("-n", "results/second/report/complete").count("augment") == 0


def test_their_mistakes_stop_before_any_job(fresh: Workspace) -> None:
    add(fresh, "second", augment={"l2": 0.5}, baseline={"from": "tiny"})
    printed = fresh.fail("results/second/final.pt")
    assert (
        "config.yaml: experiments.second.baseline.from: random networks of 'tiny' are trained with augment.l2"
        in printed
    )
    assert not fresh.results.exists()


def test_a_network_that_another_experiment_trains(fresh: Workspace) -> None:
    add(fresh, "second", baseline={"from": "tiny"})
    printed = fresh.fail("results/second/networks/random-00/seed1/model.pt")
    assert "config.yaml: experiments.second.baseline.from: 'random-00' is trained by 'tiny'" in printed


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("tiny/ablation.parquet", "config.yaml: experiments.tiny.ablation.seeds: missing"),
        (
            "tiny/variants/original/final.pt",
            "config.yaml: experiments.tiny.ablation: 'original' is none of its variants",
        ),
    ],
)
def test_without_an_ablation_there_are_no_variants(fresh: Workspace, target: str, message: str) -> None:
    assert message in fresh.fail(f"results/{target}")
    assert not fresh.results.exists()


def test_an_ablation(changed: Workspace) -> None:
    section = {"seeds": [1], "settings": ["clip_norm", "train_aux_head"]}
    changed.edit(ablation=section)
    variants = ["original", "original+clip_norm", "corrected", "corrected-clip_norm"]
    ran = Counter(changed.make("results/tiny/ablation.parquet", "results/tiny/report/ablation.svg"))
    # Images, random arcs and their networks are those of the experiment itself.
    assert ran == {"resolve_config": 2 * 4 + 1, "search": 4, "select_arc": 4, "score_arcs": 4} | {
        "ablation": 1,
        "plot_ablation": 1,
    }
    path = changed.results / "tiny/ablation.parquet"
    schema = pq.read_schema(path)
    assert (schema.names, schema.types) == (SCHEMAS["ablation"].names, SCHEMAS["ablation"].types)
    rows = read_table(path, "ablation")
    assert [(row["variant"], row["seed"]) for row in rows] == [(variant, 1) for variant in variants]
    assert [(row["preset"], row["key"]) for row in rows[:2]] == [("original", None), ("original", "clip_norm")]
    for row in rows:
        assert (row["n_random"], row["kendall_tau"]) == (2, None)  # two arcs say nothing about an order
        assert row["candidates_mean"] > 0
        assert row["hours"] > 0
        assert row["controller_entropy"] > 0
        assert row["verdict"]
    log = (changed.results / "tiny/logs/ablation.log").read_text()
    assert "left out: train_aux_head: there is no auxiliary head" in log
    assert "too few seeds to say whether it is noise" in log
    assert not list((changed.results / "tiny/variants").glob("*/data"))

    # Cost follows change: a further seed searches with that one alone, a further setting has its own searches.
    changed.edit(ablation={"seeds": [1, 2], "settings": ["clip_norm"]})
    assert Counter(changed.make("-n", "results/tiny/ablation.parquet"))["search"] == 4
    changed.edit(ablation={"seeds": [1], "settings": ["clip_norm", "init_fan_in"]})
    assert Counter(changed.make("-n", "results/tiny/ablation.parquet"))["search"] == 2
    changed.edit(ablation=section, augment__l2=0.001)
    assert "search" not in changed.make("-n", "results/tiny/ablation.parquet")
    assert "ablation.svg" in str(changed.run("-n", "results/tiny/report/complete").stdout)
