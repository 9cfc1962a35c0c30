"""The choice of an arc after a search: limits, other strategies, and what is interrupted."""

import logging
import shutil
import signal

import pytest
import torch

from enas_core import select_arc
from enas_core.console import UserError
from enas_core.data.prepare import prepare
from enas_core.files.progress import PROGRESS, read_progress
from enas_core.files.tables import read_table
from enas_core.settings.stages import stage_settings, to_json
from enas_core.settings.workflow import parse_workflow
from enas_core.spaces.layers import initialise
from enas_core.spaces.measure import arc_size
from enas_core.spaces.saved import save_supernet
from enas_core.training.scoring import Scorer

EXPERIMENT = {
    "num_nodes": 2,
    "cpu_threads": 1,
    "dataset": {"name": "digits", "source": "digits", "split_test_images": 60, "max_train_images": 200},
    "search": {"batch_size": 32, "num_layers": 1, "num_filters": 4, "aux_head": False, "valid_images": 60}
    | {"policy": "uniform"},
    "select": {"num_candidates": 12, "evolution": {"population": 4, "sample_size": 2}},
    "augment": {"batch_size": 32, "num_layers": 2, "num_filters": 4, "aux_head": False},
}


class Desk:
    """A folder with prepared digits, an untrained supernet, and settings of the stages that select."""

    def __init__(self, folder):
        self.folder = folder

    def settings(self, **select):
        raw = EXPERIMENT | {"select": EXPERIMENT["select"] | select}
        experiment = parse_workflow({"experiments": {"a": raw}}).experiments["a"]
        found = {
            stage: stage_settings("a", experiment, stage) for stage in ("prepare_data", "select_arc", "strategies")
        }
        for stage, settings in found.items():
            (self.folder / f"{stage}.json").write_text(to_json(settings))
        return found

    def run(self, out, *options, stage="select_arc", resumable=True):
        """Select; returns the exit code."""
        words = ["--config", self.folder / f"{stage}.json", "--data", self.folder / "data", "--seed", 1]
        words += ["--supernet", self.folder / "supernet.pt", "--out-dir", self.folder / out, "--device", "cpu"]
        words += ["--arc-out", self.folder / out / "arc.txt"]
        words += ["--state-dir", self.folder / out / "state"] if resumable else []
        return select_arc.main([str(word) for word in (*words, *options)])

    def rows(self, out):
        return read_table(self.folder / out / "candidates.parquet", "candidates")


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    """What is made once."""
    desk = Desk(tmp_path_factory.mktemp("ready"))
    settings = desk.settings()
    prepare(settings["prepare_data"], None, desk.folder / "data")
    supernet = settings["select_arc"].search_space.supernet(settings["select_arc"].search.shape(8, 1, 10))
    initialise(supernet, "exact", torch.Generator().manual_seed(0))
    save_supernet(desk.folder / "supernet.pt", supernet, {})
    return desk


@pytest.fixture
def desk(ready, tmp_path):
    shutil.copytree(ready.folder, tmp_path, dirs_exist_ok=True)
    return Desk(tmp_path)


STRATEGIES = ["policy", "random", "evolution", "local_search"]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_selects_the_best_of_what_it_has_scored(desk, strategy):
    desk.settings(strategy=strategy)
    assert desk.run("out") == 0
    rows = desk.rows("out")
    assert len(rows) == 12
    expected = ("policy", "uniform") if strategy == "policy" else ("strategy", strategy)
    assert {(row["source"], row["policy"]) for row in rows} == {expected}
    (selected,) = [row for row in rows if row["selected"]]
    assert selected["valid_accuracy"] == max(row["valid_accuracy"] for row in rows)
    assert (desk.folder / "out/arc.txt").read_text() == f"{selected['arc']}\n"
    assert any(row["on_front"] for row in rows)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_strategy_for_the_record_does_what_it_does_as_the_own_one(desk, strategy):
    desk.settings(strategy=strategy)
    assert desk.run("own", resumable=False) == 0
    desk.settings()
    assert desk.run("record", "--strategy", strategy, stage="strategies") == 0
    assert desk.rows("record") == desk.rows("own")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_limits_hold_for_the_network_that_is_trained(desk, strategy):
    settings = desk.settings(strategy=strategy)["select_arc"]
    space, shape = settings.search_space, desk_shape()
    sizes = sorted(arc_size(space, space.uniform(seed), shape).macs for seed in range(50))
    settings = desk.settings(strategy=strategy, limits={"max_macs": sizes[20]})["select_arc"]
    assert desk.run("out") == 0
    rows = desk.rows("out")
    assert len(rows) == 12
    assert all(arc_size(space, space.parse(row["arc"]), shape).macs <= sizes[20] for row in rows)


def desk_shape():
    """Of the networks that augment trains."""
    experiment = parse_workflow({"experiments": {"a": EXPERIMENT}}).experiments["a"]
    return experiment.augment.shape(8, 1, 10)


def test_limits_that_nothing_keeps_to_are_one_line(desk, capsys, monkeypatch):
    monkeypatch.setattr("enas_core.training.selection.MAX_REFUSED", 30)
    desk.settings(limits={"max_params": 1, "max_macs": 2})
    assert desk.run("out") == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: select.limits: 0 of 30 arcs are small enough: max_params is 1, the smallest has ")
    assert " macs and the median " in line
    assert not (desk.folder / "out/candidates.parquet").exists()


def test_fewer_than_asked_for_are_said_to_be_few(desk, caplog, monkeypatch):
    monkeypatch.setattr("enas_core.training.selection.MAX_REFUSED", 30)
    settings = desk.settings()["select_arc"]
    space = settings.search_space
    smallest = min(arc_size(space, space.uniform(seed), desk_shape()).macs for seed in range(300))
    desk.settings(num_candidates=300, limits={"max_macs": smallest})
    with caplog.at_level(logging.INFO, logger="enas_core"):
        code = desk.run("out")
    assert code in (0, 2)
    if code == 0:
        assert "distinct arcs (300 were asked for)" in caplog.text
    assert "are small enough: max_macs is" in caplog.text


# --- interruptions ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategy", "after"), [("evolution", 1), *((strategy, 7) for strategy in STRATEGIES), ("local_search", 11)]
)
def test_an_interrupted_selection_goes_on_and_gives_the_same_table(desk, strategy, after, monkeypatch):
    desk.settings(strategy=strategy)
    assert desk.run("whole") == 0
    usual, scored = Scorer.valid_accuracy, []

    def counted(self, arc):
        scored.append(arc)
        if len(scored) == after:
            signal.raise_signal(signal.SIGTERM)
        return usual(self, arc)

    monkeypatch.setattr(Scorer, "valid_accuracy", counted)
    with pytest.raises(SystemExit) as caught:
        desk.run("parts")
    assert caught.value.code == 128 + signal.SIGTERM
    assert not (desk.folder / "parts/candidates.parquet").exists()
    told = read_progress(desk.folder / "parts/state" / PROGRESS)
    assert (told.state, told.step, told.steps) == ("interrupted", after, 12)
    assert desk.run("parts") == 0
    assert desk.rows("parts") == desk.rows("whole")
    assert len(scored) == len(set(scored)) == 12  # none twice
    told = read_progress(desk.folder / "parts/state" / PROGRESS)
    best = max(row["valid_accuracy"] for row in desk.rows("parts"))
    assert (told.state, told.step, told.best) == ("finished", 12, best)


def test_what_is_complete_is_not_done_again(desk, monkeypatch):
    assert desk.run("out") == 0
    monkeypatch.setattr(Scorer, "valid_accuracy", None)
    assert desk.run("out") == 0
    for path in ("arc.txt", "candidates.parquet"):
        (desk.folder / "out" / path).unlink()


def test_a_state_of_other_settings_or_of_another_strategy_is_not_used(desk, monkeypatch):
    assert desk.run("out") == 0
    (desk.folder / "out/candidates.parquet").unlink()
    usual, scored = Scorer.valid_accuracy, []
    monkeypatch.setattr(Scorer, "valid_accuracy", lambda self, arc: (scored.append(arc), usual(self, arc))[1])
    assert desk.run("out") == 0
    assert scored == []  # emitted again from the finished state
    (desk.folder / "out/candidates.parquet").unlink()
    assert desk.run("out", "--strategy", "random", stage="strategies") == 0
    assert len(scored) == 12


def test_candidates_that_are_chosen_already_take_no_strategy(desk, capsys):
    assert desk.run("out", "--own", "x.parquet", "--strategy", "random") == 2
    assert "error: --own: its candidates are chosen and checked already" in capsys.readouterr().err


def test_the_own_strategy_is_no_further_one():
    with pytest.raises(UserError, match=r"select.compare: 'random' is select.strategy already"):
        parse_workflow({"experiments": {"a": EXPERIMENT | {"select": {"strategy": "random", "compare": ["random"]}}}})
