"""Baselines, comparison, report, policy and event files in real runs."""

from __future__ import annotations

import re
from collections import Counter

import pyarrow.parquet as pq
import pytest
from workspace import Workspace

from enas_core import compare
from enas_core.files.schemas import SCHEMAS
from enas_core.files.tables import read_provenance, read_table
from enas_core.pages.sections import SECTIONS
from enas_core.spaces.micro.sampling import uniform_arc
from enas_core.training.randomness import stream_seed

COMPARISON = "results/tiny/comparison.parquet"
PAGE = "results/tiny/report.html"


def test_tables_are_as_the_contract_says(compared: Workspace) -> None:
    results = compared.results / "tiny"
    for kind in ("metrics", "comparison"):
        schema = pq.read_schema(results / f"{kind}.parquet")
        assert (schema.names, schema.types) == (SCHEMAS[kind].names, SCHEMAS[kind].types)
        made_by = read_provenance(results / f"{kind}.parquet")
        assert set(made_by) >= {"enas_version", "git_commit", "torch_version", "device", "config_fingerprint"}
    metrics = read_table(results / "metrics.parquet", "metrics")
    assert Counter(row["role"] for row in metrics) == {"searched": 1, "random": 2, "named": 1}
    assert all(row["shared_accuracy"] is not None and row["params"] > 0 and row["macs"] > 0 for row in metrics)
    for row in metrics:
        epochs = read_table(results / f"networks/{row['network']}/seed1/epochs.parquet", "augment_epochs")
        assert row["test_accuracy"] == epochs[-1]["test_accuracy"]
        assert row["arc"] == (results / f"arcs/{row['network']}.txt").read_text().strip()
    (row,) = read_table(results / "comparison.parquet", "comparison")
    assert (row["n_searched"], row["n_random"], row["searched_std"]) == (1, 2, None)
    assert row["p_value"] >= 1 / 3


def test_folder_of_results_can_be_compared(compared: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare.main([str(compared.results)]) == 0
    assert "p < 0.05 needs at least 20 random networks" in capsys.readouterr().out


def test_report_is_made_without_a_network(changed: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    changed.make("--report", "results/report.html", "results/tiny/report/complete")
    page = (changed.results / "report.html").read_text()
    for name in ("search.svg", "cells/searched-s1.svg", "cells/best-random.svg", "networks.html", "comparison.csv"):
        assert name in page


def test_the_page_has_every_section_but_what_was_not_run(compared: Workspace) -> None:
    page = (compared.results / "tiny/report.html").read_text()
    shown = re.findall(r"<summary>(.*)</summary>", page)
    assert {section.name for section in SECTIONS if section.title not in shown} == {"ablation", "strategies"}
    assert "of 60 test images" in " ".join(page.split())
    assert "enas predict results/tiny/final.pt" in page


def test_everything_is_made_once(changed: Workspace) -> None:
    assert changed.make(COMPARISON, PAGE, "results/tiny/report/complete", "results/tiny/final.pt") == []


def test_more_random_arcs_train_only_the_new_ones(changed: Workspace) -> None:
    changed.edit(baseline__num_arcs=3)
    assert sorted(changed.make(COMPARISON)) == ["augment", "compare", "random_arc", "random_arcs", "score_arcs"]
    (row,) = read_table(changed.results / "tiny/comparison.parquet", "comparison")
    assert row["n_random"] == 3


def test_more_seeds_repeat_nothing(changed: Workspace) -> None:
    changed.edit(augment__seeds=[1, 2], search__seeds=[1, 2])
    ran = Counter(changed.make("-n", COMPARISON))
    assert ran == {"search": 1, "select_arc": 1, "score_arcs": 1, "augment": 4 + 2, "compare": 1}


def test_no_random_arcs(changed: Workspace) -> None:
    changed.edit(baseline__num_arcs=0)
    changed.make(COMPARISON, "results/tiny/report/complete")
    (row,) = read_table(changed.results / "tiny/comparison.parquet", "comparison")
    assert (row["n_random"], row["random_mean"], row["p_value"]) == (0, None, None)


def test_random_policy(changed: Workspace) -> None:
    arcs = [uniform_arc(stream_seed(1, "candidates", i), num_nodes=3) for i in range(4)]
    changed.edit(search__policy="random")
    ran = Counter(changed.make(COMPARISON))
    # the random and named networks are as they were
    assert ran == {"resolve_config": 2, "search": 1, "select_arc": 1, "score_arcs": 1, "augment": 1, "compare": 1}
    search = changed.results / "tiny/search/s1"
    own = read_table(search / "own/candidates.parquet", "candidates")
    assert [row["arc"] for row in own] == [str(arc) for arc in arcs]
    assert {(row["source"], row["policy"]) for row in own} == {("policy", "uniform")}
    epochs = read_table(search / "epochs.parquet", "search_epochs")
    assert all(row[name] is None for row in epochs for name in row if name.startswith("controller_"))
    assert all(row["train_loss"] > 0 and row["valid_accuracy"] is not None for row in epochs)


def test_event_files(changed: Workspace) -> None:
    assert changed.make(COMPARISON, "--config", "tensorboard=true") == []
    assert list(changed.results.rglob("events.out.tfevents.*")) == []
    changed.edit(augment__l2=0.001)
    changed.make("results/tiny/networks/random-00/seed1/model.pt", "--config", "tensorboard=true")
    (file,) = changed.results.rglob("events.out.tfevents.*")
    assert file.parent == changed.results / "tiny/networks/random-00/seed1/tensorboard"
