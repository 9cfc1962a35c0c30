"""What a run prints: short lines that say which jobs run and how it goes."""

from __future__ import annotations

import re

from workspace import Workspace

WIDEST = 200


def test_a_run_prints_short_lines(compared: Workspace) -> None:
    """From nothing to the report, under the local profile."""
    printed = compared.printed.read_text()
    assert set(re.findall(r"\(Rule: (\w+)\)", printed)) >= {"resolve_config", "search", "augment", "compare"}
    lines = [line.replace(str(compared.folder), "") for line in printed.splitlines()]
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
