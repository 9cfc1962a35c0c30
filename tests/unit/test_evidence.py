"""Each page of evidence is what its script makes of the tables beside it, and says what made-up tables say."""

from __future__ import annotations

import importlib
import random
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
from rows import row_of

from enas_core import compare
from enas_core.files.tables import provenance, write_table
from enas_core.settings.describe import describe
from enas_core.settings.networks import NamedNetwork, random_network, searched_network
from enas_core.settings.stages import stage_settings, to_json
from enas_core.settings.workflow import load_workflow

ROOT = Path(__file__).parents[2]
EVIDENCE = ROOT / "docs" / "evidence"
SCRIPTS = sorted(script for script in EVIDENCE.glob("*/page.py") if (script.parent / "README.md").exists())
COMPACT = EVIDENCE / "cifar10_compact/page.py"
MADE_BY = provenance("cpu", "abc")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.parent.name)
def test_the_page_is_made_from_its_tables(script, tmp_path):
    runpy.run_path(str(script))["make"](tmp_path)
    assert (tmp_path / "README.md").read_text() == (script.parent / "README.md").read_text()
    made = {path.name for path in tmp_path.glob("*.svg")}
    assert made == {path.name for path in script.parent.glob("*.svg")}
    assert all((tmp_path / name).stat().st_size > 1000 for name in made)


def test_there_is_evidence():
    assert SCRIPTS


# --- made-up runs of cifar10_compact and its variants --------------------------------------------


class MadeUp:
    """Results whose arcs have a planted quality. `learns`: experiments whose supernets see it; `ahead`: by how much the
    networks that an experiment has found are better than random ones."""

    def __init__(self, folder: Path, learns: tuple[str, ...], ahead: dict[str, float]) -> None:
        self.folder, self.learns, self.ahead = folder, learns, ahead
        self.draw = random.Random(0)
        workflow = load_workflow(ROOT / "config.yaml")
        space = stage_settings("cifar10_compact", workflow.experiments["cifar10_compact"], "search").search_space
        self.found = [str(space.uniform(seed)) for seed in (1, 2, 3)]
        self.quality = {str(arc): self.draw.gauss(0.64, 0.015) for arc in space.baseline("uniform", 100, 48)}
        self.random_rows = [
            self.training("cifar10_compact", random_network(i), arc, quality)
            for i, (arc, quality) in enumerate(self.quality.items())
        ]
        for name in workflow.experiments:
            if name.startswith("cifar10_compact"):
                self.write(name)
                for stage in ("search", "augment"):
                    settings = stage_settings(name, workflow.experiments[name], stage)
                    (folder / name / "config").mkdir(exist_ok=True)
                    (folder / name / f"config/{stage}.json").write_text(to_json(settings))
        for i in range(6):
            for seed in (1, 2, 3):
                network = random_network(i).name
                last = row_of("augment_epochs", network=network, seed=seed, test_accuracy=self.about(0.6 + i / 100))
                path = folder / f"cifar10_compact/networks/{network}/seed{seed}/epochs.parquet"
                write_table(path, "augment_epochs", [last], MADE_BY)

    def about(self, value: float) -> float:
        """A measurement of it."""
        return value + self.draw.gauss(0, 0.004)

    def training(self, experiment: str, network: NamedNetwork, arc: str, quality: float) -> dict[str, Any]:
        """A row of metrics."""
        about = {"experiment": experiment, "trained_by": experiment, "dataset": "cifar10", "network": network.name}
        about |= {
            "role": network.role,
            "search_seed": network.search_seed,
            "arc": arc,
            "space": "micro",
            "params": 1000 + len(arc),
        }
        about |= {"seconds": 80.0, "search_seconds": 1000.0 if network.role == "searched" else None}
        about |= {"shared_accuracy": 0.5}
        return row_of(
            "metrics", **about, test_accuracy=self.about(quality), valid_accuracy=self.about(quality), epochs=4
        )

    def write(self, experiment: str) -> None:
        """Metrics, and three searches."""
        learns = experiment in self.learns
        rows = [row | {"experiment": experiment} for row in self.random_rows]
        for seed in (1, 2, 3):
            quality = 0.64 + self.ahead.get(experiment, 0.0)
            rows.append(self.training(experiment, searched_network(seed), self.found[seed - 1], quality))
            folder = self.folder / experiment / f"search/s{seed}"
            about = {"experiment": experiment, "dataset": "cifar10", "seed": seed}
            epochs = [row_of("search_epochs", **about, epoch=0, seconds=1000.0, controller_entropy=20.0)]
            write_table(folder / "epochs.parquet", "search_epochs", epochs, MADE_BY)
            shared = {arc: self.about(quality if learns else 0.1) for arc, quality in self.quality.items()}
            candidates = [
                row_of("candidates", source="random", space="micro", arc=arc, valid_accuracy=value)
                for arc, value in shared.items()
            ]
            write_table(folder / "candidates.parquet", "candidates", candidates, MADE_BY)
            check = {"verdict": "order repeats" if learns else "at chance", "reliability": 0.9, "chance": 0.1}
            check |= {"candidates_mean": self.about(0.6 if learns else 0.1), "remark": ""}
            write_table(folder / "signal.parquet", "signal", [row_of("signal", **about, **check)], MADE_BY)
        write_table(self.folder / experiment / "metrics.parquet", "metrics", rows, MADE_BY)
        comparison = {"experiment": experiment, "dataset": "cifar10", "signal": check["verdict"], "num_searches": 3}
        comparison |= {"signal_seed": 1, "chance": 0.1, "candidates_low": 0.5, "candidates_high": 0.7}
        comparison |= {"reliability": 0.9, "agreement": 0.8, "agreement_low": 0.7, "agreement_high": 0.9}
        rows = [row_of("comparison", **comparison)]
        write_table(self.folder / experiment / "comparison.parquet", "comparison", rows, MADE_BY)


LEARN = ("cifar10_compact", "cifar10_compact_random_policy", "cifar10_compact_fan_in")


def made(tmp_path: Path, learns: tuple[str, ...] = LEARN, **ahead: float) -> tuple[str, Path]:
    """The page of made-up runs whose tables were taken as a user takes them, and where it lies."""
    MadeUp(tmp_path / "results", learns, {f"cifar10_compact{ending}": value for ending, value in ahead.items()})
    script = runpy.run_path(str(COMPACT))
    folder = tmp_path / "evidence/cifar10_compact"
    script["take"](tmp_path / "results", folder)
    script["make"](folder, folder, "cifar10_compact")
    return (folder / "README.md").read_text(), folder


def test_a_page_of_runs_that_find_something(tmp_path, capsys):
    page, folder = made(tmp_path, **{"": 0.05, "_random_policy": 0.01})
    head = page.split("**")[1]
    assert head.startswith("3 of 3 searches under `corrected` learn; their order of arcs means something")
    assert "found networks are better than random ones" in head
    assert "the controller buys +" in head
    assert "No search of `original` and `original+reduction_inputs` has." in page
    assert "`corrected` against `original` +0.5" in page
    assert "found better |" in page
    assert "say something else: found better" in page
    assert "6 arcs with 3 seeds each" in page
    assert "the search has bought more than its hours" in page
    assert {path.name for path in folder.glob("*.svg")} == {
        *("ablation.svg", "budget.svg", "found_vs_random.svg", "shared_vs_test.svg")
    }
    assert compare.main([str(folder)]) == 0
    assert "cifar10_compact_original" in capsys.readouterr().out


def test_a_page_of_runs_that_find_nothing(tmp_path):
    page, _ = made(tmp_path, learns=())
    head = page.split("**")[1]
    assert head.startswith("0 of 3 searches under `corrected` learn; their order of arcs is not shown to mean anything")
    assert "not shown to be better" in head
    assert "the controller buys nothing that these runs can show" in head
    assert "which exceeds the noise." not in page.split("## Which correction")[0].split("## Is found")[1]
    assert "would settle it" in page or "would take more than" in page
    assert "no difference shown |" in page


def test_what_is_not_complete_is_said(tmp_path):
    MadeUp(tmp_path / "results", LEARN, {})
    (tmp_path / "results/cifar10_compact_random_policy/comparison.parquet").unlink()
    script = runpy.run_path(str(COMPACT))
    folder = tmp_path / "evidence/cifar10_compact"
    script["take"](tmp_path / "results", folder)
    script["make"](folder, folder, "cifar10_compact")
    page = (folder / "README.md").read_text()
    assert "**Not complete yet: `corrected, uniform`.**" in page
    assert "not complete yet." in page.split("## What did the controller buy?")[1].split("##")[0]


def test_full_size_is_one_word_away():
    """The variants of both experiments differ from it in the same settings."""
    experiments = load_workflow(ROOT / "config.yaml").experiments
    variants = runpy.run_path(str(COMPACT))["VARIANTS"]

    def changed(name: str, ending: str) -> set[tuple[str, str]]:
        of_base, of_variant = (
            {(row.key, row.value) for row in describe(experiments[n])} for n in (name, name + ending)
        )
        return {(key, value) for key, value in of_variant - of_base if key != "baseline.from"}

    for ending in variants:
        assert changed("cifar10_full", ending) == changed("cifar10_compact", ending)
        assert experiments["cifar10_full"].augment.valid_images > 0


# --- the numbers of a page -----------------------------------------------------------------------


@pytest.fixture
def searches(monkeypatch):
    """The module of what pages say of searches."""
    yield from module("searches", monkeypatch)


@pytest.fixture
def published(monkeypatch):
    """The module of the published accuracies."""
    yield from module("published", monkeypatch)


def module(name: str, monkeypatch):
    """A module beside the pages, while the test runs."""
    monkeypatch.syspath_prepend(str(EVIDENCE))
    yield importlib.import_module(name)
    for path in EVIDENCE.glob("*.py"):
        sys.modules.pop(path.stem, None)


def test_noise_of_seeds(searches):
    draw = random.Random(1)
    arcs = [draw.gauss(0.64, 0.015) for _ in range(400)]
    noise = searches.seed_noise({str(i): [arc + draw.gauss(0, 0.005) for _ in range(3)] for i, arc in enumerate(arcs)})
    assert (noise.arcs, noise.seeds) == (400, 3)
    assert noise.between_seeds == pytest.approx(0.005, rel=0.1)
    assert noise.between_arcs == pytest.approx(0.015, rel=0.1)
    assert 0.6 < noise.tau < 0.8
    assert searches.seed_noise({}) is None
    assert searches.seed_noise({"a": [0.5, 0.6], "b": [0.5, 0.6]}).between_arcs is None


def test_published_differences(published):
    cifar10, cifar100 = (published.PUBLISHED[name].difference for name in ("cifar10", "cifar100"))
    assert cifar10[:3] == pytest.approx((0.01, -0.328, 0.348), abs=2e-3)
    assert cifar100.high < 0


def test_arcs_to_settle(searches):
    assert searches.arcs_to_settle(0.5) < searches.arcs_to_settle(0.2) < 100
    assert searches.arcs_to_settle(0.001) is None
