"""A new version goes on with what an earlier one has left: it runs nothing again but what it computes otherwise."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml
from earlier import ARCHIVES, unpack
from workspace import ROOT, Workspace

TARGETS = [
    f"results/toy/{name}"
    for name in ("final.pt", "comparison.parquet", "search/s1/candidates.parquet", "networks/named/seed1/model.pt")
]
CODE = ("enas_core", "workflow", "profiles", "Snakefile", "config.yaml")


class Version:
    """A copy of this project's code, to be changed as a later version would change it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in CODE:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, folder / name)

    def change(self, file: str, old: str, new: str) -> None:
        """Replace the first `old` in a file."""
        path = self.folder / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    def add_setting(self, annotation: str) -> None:
        """A new setting of every training: by how much everything is multiplied."""
        setting = f'novelty: {annotation} = 1.0\n    """New."""\n    aux_head: bool'
        self.change("enas_core/settings/training.py", "aux_head: bool", setting)


@pytest.fixture(params=ARCHIVES, ids=lambda path: path.name.removesuffix(".tar.xz"))
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The results of an earlier version."""
    unpack(request.param, tmp_path / "work")
    (tmp_path / "work/toy.yaml").rename(tmp_path / "work/tiny.yaml")
    return tmp_path / "work"


@pytest.fixture
def upgraded(folder: Path) -> Workspace:
    """These results under today's code."""
    return Workspace(folder)


@pytest.fixture
def later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Version:
    """A version that comes after this one."""
    (tmp_path / "later").mkdir()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "later"))
    return Version(tmp_path / "later")


@pytest.fixture
def upgraded_later(folder: Path, later: Version) -> Workspace:
    """The same results under the code of the version after this one."""
    return Workspace(folder, later.folder / "Snakefile")


def edit(workspace: Workspace, section: str, **values: object) -> None:
    """Change settings of the experiment."""
    content = yaml.safe_load(workspace.config.read_text())
    content["experiments"]["toy"][section] |= values
    workspace.config.write_text(yaml.safe_dump(content))


def planned(workspace: Workspace, *arguments: str) -> tuple[set[str], str]:
    """The rules that a dry run would run, and what it says."""
    done = workspace.run("--dry-run", *TARGETS, *arguments)
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed
    rules = set(re.findall(r"^(?:local)?rule (\w+):", printed, re.MULTILINE))
    assert bool(rules) == ("Nothing to be done" not in printed)
    return rules, printed


def test_there_is_nothing_to_do(upgraded: Workspace) -> None:
    rules, printed = planned(upgraded)
    assert rules == set()
    assert "made again" not in printed


def test_the_report_of_earlier_results(upgraded: Workspace) -> None:
    rules = set(upgraded.make("results/toy/report/complete", "results/toy/report.html"))
    assert {"plot_search", "report"} <= rules
    assert "binomial interval of" in (upgraded.results / "toy/report.html").read_text()
    assert not rules & {"search", "select_arc", "score_arcs", "augment", "compare", "resolve_config"}


def test_a_new_setting_runs_what_reads_it_where_it_is_used(upgraded_later: Workspace, later: Version) -> None:
    later.add_setting("Annotated[Float, LATER]")
    assert planned(upgraded_later)[0] == set()
    edit(upgraded_later, "augment", novelty=1.0)
    assert planned(upgraded_later)[0] == set()
    edit(upgraded_later, "augment", novelty=2.0)
    assert planned(upgraded_later)[0] == {"resolve_config", "augment", "final", "compare"}


def test_a_setting_that_is_not_marked_would_run_everything(upgraded_later: Workspace, later: Version) -> None:
    later.add_setting("Float")
    assert planned(upgraded_later)[0] >= {"resolve_config", "search", "select_arc", "augment", "compare"}


def test_commands_that_are_written_otherwise_run_nothing(upgraded_later: Workspace, later: Version) -> None:
    for rules in ("data", "search", "augment", "compare"):
        later.change(f"workflow/rules/{rules}.smk", "python -m", "nice python -m")
    assert planned(upgraded_later)[0] == set()
    profile = later.folder / "profiles"
    profile.rename(later.folder / "elsewhere")  # it is the profile that makes it so
    assert planned(upgraded_later)[0] != set()


def test_settings_still_run_what_they_must(upgraded: Workspace) -> None:
    edit(upgraded, "baseline", num_arcs=3)
    assert planned(upgraded)[0] == {"random_arcs", "random_arc", "score_arcs", "augment", "compare"}
    edit(upgraded, "baseline", num_arcs=1)
    assert planned(upgraded)[0] == {"random_arcs", "score_arcs", "compare"}


def test_interrupted_trainings_go_on(upgraded: Workspace) -> None:
    outputs = {"search": "search/s1", "augment": "networks/random-00/seed1"}
    for stage, output in outputs.items():
        for path in (upgraded.results / "toy" / output).iterdir():
            if path.is_file() and path.name in ("epochs.parquet", "supernet.pt", "model.pt"):
                path.unlink()
        state = upgraded.results / "toy/_state" / stage / output.split("/", 1)[1]
        shutil.copytree(upgraded.folder / "interrupted" / stage, state)
    targets = [f"results/toy/{output}/epochs.parquet" for output in outputs.values()]
    assert sorted(upgraded.make(*targets, "--config", "device=cpu")) == ["augment", "search"]
    for name in ("search-s1", "augment-random-00-seed1"):
        log = (upgraded.results / f"toy/logs/{name}.log").read_text()
        assert "current.state: used, of a run that was interrupted" in log
        assert "epoch 1/3" not in log


def lines_about_what_is_stale(printed: str) -> list[str]:
    return [line for line in printed.splitlines() if "made again" in line]


def test_what_is_computed_otherwise_is_made_again_and_said_so(upgraded_later: Workspace, later: Version) -> None:
    change = 'Change("9.1.0", "the last batch counts as much as it has images")'
    later.change("enas_core/settings/revisions.py", " = {}", f' = {{"augment": ({change},)}}')
    rules, printed = planned(upgraded_later)
    assert rules == {"resolve_config", "augment", "final", "compare"}
    assert lines_about_what_is_stale(printed) == [
        "results/toy: augment: results of versions before 9.1.0 are made again: the last batch counts as much as it has"
        " images (9.1.0)"
    ]


def test_it_is_said_once(upgraded_later: Workspace, later: Version) -> None:
    """Of a stage without settings of its own."""
    change = 'Change("9.1.0", "an interval was too narrow")'
    later.change("enas_core/settings/revisions.py", " = {}", f' = {{"compare": ({change},)}}')
    done = upgraded_later.run(*TARGETS)
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed
    assert set(re.findall(r"^\s*(?:local)?rule (\w+):", printed, re.MULTILINE)) == {"resolve_config", "compare"}
    assert len(lines_about_what_is_stale(printed)) == 1
    rules, printed = planned(upgraded_later)
    assert rules == set()
    assert lines_about_what_is_stale(printed) == []
