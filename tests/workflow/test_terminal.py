"""What a run prints: short lines that say which jobs run and how it goes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from workspace import ROOT, Workspace

WIDEST = 200
PROFILE = ROOT / "workflow/profiles/default"


@pytest.fixture
def printed(fresh: Workspace) -> str:
    """All that a run of `tiny` prints, to its end, under the local profile."""
    done = fresh.run("--profile", str(PROFILE), "results/tiny/comparison.parquet", "results/tiny/report/complete")
    assert done.returncode == 0, done.stderr
    assert set(re.findall(r"\(Rule: (\w+)\)", done.stderr)) >= {"resolve_config", "search", "augment", "compare"}
    return done.stdout + done.stderr


def test_a_run_prints_short_lines(printed: str, fresh: Workspace) -> None:
    folder = str(Path(fresh.folder))
    lines = [line.replace(folder, "") for line in printed.splitlines()]
    lines = [line for line in lines if not line.startswith("Using profiles")]  # their paths are this machine's
    assert [line for line in lines if len(line) > WIDEST] == []
    assert '"experiment"' not in printed
    assert "Reason:" not in printed

    jobs = re.findall(r"^Job \d+: (.*)", printed, re.MULTILINE)
    assert len(jobs) == len(re.findall("^Finished jobid", printed, re.MULTILINE))
    assert {
        "search: tiny, seed 1",
        "augment: tiny, network random-00, seed 1",
        "resolve_config: tiny, stage search",
    } <= {*jobs}
    assert "search seed 1  epoch 2/2  loss" in printed


def test_without_the_profile_it_names_files(fresh: Workspace) -> None:
    done = fresh.run("--dry-run", "results/tiny/final.pt")
    assert "    output: results/tiny/final.pt\n" in done.stdout + done.stderr
    assert "    reason: " in done.stdout + done.stderr
