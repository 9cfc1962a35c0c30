"""The workflow as a module of another one, with a prefix."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from workspace import ROOT, TINY, Workspace

SNAKEFILE = """
configfile: "tiny.yaml"

module enas:
    snakefile: "{root}/Snakefile"
    config: config
    prefix: "sub/"

use rule * from enas
"""


@pytest.fixture
def module(tmp_path: Path) -> Workspace:
    """A workflow that does nothing but use this one."""
    snakefile = tmp_path / "Snakefile"
    snakefile.write_text(SNAKEFILE.format(root=ROOT))
    shutil.copy(TINY, tmp_path / "tiny.yaml")
    return Workspace(tmp_path, snakefile)


def test_all_paths_are_below_the_prefix(module: Workspace) -> None:
    """Those in commands too, which Snakemake does not know of."""
    names = ("final.pt", "comparison.parquet", "report/complete", "report.html")
    targets = [f"sub/results/tiny/{name}" for name in names]
    done = module.run("-n", "-p", *targets)
    assert done.returncode == 0, done.stderr
    printed = done.stdout + done.stderr
    assert printed.count("sub/results/") > 100
    assert re.findall(r"\S*(?<!sub/)results/\S*", printed) == []


def test_a_training_below_the_prefix_resumes(module: Workspace) -> None:
    target = "sub/results/tiny/networks/random-00/seed1/epochs.parquet"
    module.make(target)
    own = {path.name for path in module.folder.iterdir()} - {".snakemake"}
    assert own == {"Snakefile", "tiny.yaml", "sub"}
    assert (module.folder / "sub/results/tiny/_state/augment/random-00/seed1/current.state").exists()
    shutil.rmtree(module.folder / "sub/results/tiny/networks")
    assert module.make(target) == ["augment"]
    log = (module.folder / "sub/results/tiny/logs/augment-random-00-seed1.log").read_text()
    assert "current.state: used, of a run that had finished" in log
