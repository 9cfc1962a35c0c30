"""The made-up results of benchmarks/large.py are what the workflow would have left."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from workspace import ROOT, Workspace

from enas_core.files.tables import read_table

TARGETS = "results/large/comparison.parquet", "results/large/report/complete", "results/large/report.html"


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """150 random arcs: more curves and tables than are shown one by one."""
    workspace = Workspace(tmp_path_factory.mktemp("made_up"))
    subprocess.run([sys.executable, str(ROOT / "benchmarks/made_up.py"), str(workspace.folder), "150"], check=True)
    workspace.config = workspace.folder / "config.yaml"
    return workspace


def test_nothing_is_made_again_but_what_follows(made_up: Workspace) -> None:
    ran = made_up.make(*TARGETS)
    assert not {"prepare_data", "random_arcs", "search", "select_arc", "score_arcs", "augment"} & set(ran)
    assert {"compare", "plot_augment", "write_tables"} <= set(ran)
    assert len(read_table(Path(made_up.results / "large/metrics.parquet"), "metrics")) == 160
    assert made_up.make(*TARGETS) == []


def test_many_networks_are_shown_together(made_up: Workspace) -> None:
    made_up.make(*TARGETS)
    report = made_up.results / "large/report"
    assert "networks/searched-s1/seed1/epochs.parquet and 159 others" in (report / "settings.html").read_text()
    page = (made_up.results / "large/report.html").read_text()
    assert page.count(">results/large/networks/") == 1
    assert len(page) < 3_000_000
    # A median with its band, and ten found networks one by one, in each of two panels.
    assert (report / "augment.svg").read_text().count('id="FillBetweenPolyCollection') == 2
