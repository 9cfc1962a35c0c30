"""status: what made-up and interrupted runs look like from outside."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from under_way import MadeUp, printed

from enas_core import status
from enas_core.files.progress import EpochSoFar
from enas_core.monitor.left import rest_of, seconds_left
from enas_core.monitor.lines import SHOWN_ALONE, ago
from enas_core.monitor.stages import RULES, SILENCE
from enas_core.planning.costs import STAGE_OF
from enas_core.planning.run_times import FILE, RunTime, conditions, save_run_times
from enas_core.settings.workflow import load_workflow

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def made_up(tmp_path: Path) -> MadeUp:
    return MadeUp(tmp_path)


def test_nothing_has_begun(made_up: MadeUp, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    title, header, *lines = printed(capsys, made_up)
    assert title.startswith("mine: 0 of 11 stages finished; how long it will take is not known yet")
    assert header.split()[:4] == ["stage", "state", "done", "accuracy"]
    expected = ["prepare_data", "search: 2", "select_arc: 2", "score_arcs: 2", "augment: 4"]
    assert [line.split("  ")[0] for line in lines] == expected
    (tmp_path / "empty").mkdir()
    assert status.main([str(tmp_path / "empty"), "--configfile", str(made_up.config)]) == 0
    assert capsys.readouterr().out == "no stage has begun\n"
    assert status.main([str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err == f"error: {tmp_path / 'nowhere'}: there is no such folder\n"


def test_a_training_under_way(made_up: MadeUp) -> None:
    made_up.tell("search/s1")
    stage = made_up.stage("search", "s1")
    assert (stage.state, stage.done, stage.planned, list(stage.accuracies)) == ("running", 2, 4, [0.5, 0.51])
    assert stage.chance == 0.75  # of the last 100 images, which are held out
    assert (stage.spent, stage.pace, stage.memory) == (250.0, 100.0, 2e9)
    assert stage.where == "node7, cpu (1 threads)"
    assert 3.0 <= stage.age < 60.0
    made_up.tell("augment/random-01/seed1", rows=0)
    stage = made_up.stage("augment", "random-01 seed 1")
    assert (stage.state, stage.chance, stage.pace) == ("running", 0.25, 100.0)


def test_a_killed_training_is_silent(made_up: MadeUp, capsys: pytest.CaptureFixture[str]) -> None:
    made_up.tell("search/s1", age=SILENCE + 60)
    (line,) = [line for line in printed(capsys, made_up) if line.startswith("search s1")]
    assert line.split()[2] == "silent"
    assert "3 min ago" in line


@pytest.mark.parametrize("state", ["interrupted", "failed"])
def test_a_training_that_has_ended_says_how(state: str, made_up: MadeUp) -> None:
    made_up.tell("search/s1", state, age=9999)
    assert made_up.stage("search", "s1").state == state


def test_finished_stages(made_up: MadeUp) -> None:
    made_up.tell("search/s1", "finished", rows=4, age=60)
    assert made_up.stage("search", "s1").state == "waiting"  # its table is gone, and will be written again
    made_up.finish("search/s1", [0.1, 0.7, 0.6, 0.5])
    stage = made_up.stage("search", "s1")
    assert (stage.state, stage.spent, stage.age, stage.memory) == ("finished", 400.0, None, 2e9)
    made_up.select(1, 0.65)
    (made_up.folder / "benchmarks").mkdir()
    (made_up.folder / "benchmarks/select_arc-s1.tsv").write_text("s\th:m:s\tmax_rss\n12.5\t0:00:12\t100.0\n")
    stage = made_up.stage("select_arc", "s1")
    assert (stage.state, list(stage.accuracies), stage.spent, stage.memory) == ("finished", [0.65], 12.5, 100 * 2**20)


def test_a_training_that_has_begun_again(made_up: MadeUp) -> None:
    made_up.finish("search/s1", [0.5] * 4)
    made_up.set_age(made_up.folder / "search/s1/epochs.parquet", 500)
    made_up.tell("search/s1", rows=1)
    assert made_up.stage("search", "s1").state == "running"


def choice_under_way(made_up: MadeUp, place: str, state: str = "running", age: float = 3.0) -> None:
    """Half of 20 arcs are scored, in 50 seconds."""
    made_up.tell(place, state, rows=0, age=age, epochs=1, step=10, steps=20, best=0.875)


def test_a_choice_tells_how_many_arcs_it_has_scored(made_up: MadeUp, capsys: pytest.CaptureFixture[str]) -> None:
    made_up.compare("evolution")
    choice_under_way(made_up, "select_arc/s1")
    choice_under_way(made_up, "strategies/evolution/s1")
    for stage in made_up.stage("select_arc", "s1"), made_up.stage("try_strategy", "evolution-s1"):
        assert (stage.state, stage.done, stage.planned, list(stage.accuracies)) == ("running", 10, 20, [0.875])
        assert (stage.own_left, stage.chance, stage.memory, stage.where) == (50, 0.75, 2e9, "node7, cpu (1 threads)")
    (line,) = [line for line in printed(capsys, made_up) if line.startswith("try_strategy evolution-s1")]
    assert re.split(r"\s{2,}", line)[1:8] == ["running", "10/20", "87.5 %", "75.0 %", "87.5 %", "0:00:50", "2.00"]


@pytest.mark.parametrize(
    ("state", "age", "expected"),
    [("running", SILENCE + 1, "silent"), ("interrupted", 9999, "interrupted"), ("failed", 9999, "failed")],
)
def test_how_a_choice_has_ended(state: str, age: float, expected: str, made_up: MadeUp) -> None:
    choice_under_way(made_up, "strategies/random/s1", state, age)
    assert made_up.stage("try_strategy", "random-s1").state == expected  # which no setting names any longer


def test_a_finished_choice(made_up: MadeUp) -> None:
    made_up.compare("evolution", "random")
    made_up.select(2, 0.5, "strategies/evolution", "strategy", others=6)
    stage = made_up.stage("try_strategy", "evolution-s2")
    assert (stage.state, stage.done, stage.planned, list(stage.accuracies)) == ("finished", 7, 7, [0.5])
    waiting = [stage.name for stage in made_up.overview().stages if stage.rule == "try_strategy" and not stage.done]
    assert waiting == ["evolution-s1", "random-s1", "random-s2"]


def test_a_choice_that_nobody_has_measured_takes_as_long_as_the_other_one(made_up: MadeUp) -> None:
    made_up.compare("evolution")
    overview = made_up.overview()
    left = seconds_left(overview, {"select_arc": 30.0})
    assert [left[i] for i, stage in enumerate(overview.stages) if stage.rule == "try_strategy"] == [30.0, 30.0]


def test_the_training_of_what_a_strategy_chooses_comes_after_the_choice(made_up: MadeUp) -> None:
    made_up.compare("evolution")
    made_up.tell("search/s1")
    made_up.tell("search/s2")
    overview = made_up.overview()
    seconds = {"try_strategy evolution-s1": 30.0, "augment evolution-s1 seed 1": 100.0}
    rest = rest_of(overview, [seconds.get(f"{stage.rule} {stage.name}", 0.0) for stage in overview.stages])
    assert (rest.at_a_time, rest.seconds) == (2, 130.0)


def test_images_and_scores_for_the_record_are_known_by_their_logs(made_up: MadeUp) -> None:
    logs = made_up.folder / "logs"
    logs.mkdir()
    for rule, name, log in (("prepare_data", "", "prepare_data.log"), ("score_arcs", "s1", "score_arcs-s1.log")):
        assert made_up.stage(rule, name).state == "waiting"
        (logs / log).touch()
        if rule == "score_arcs":
            assert made_up.stage(rule, name).state == "waiting"  # of an earlier try: nothing is chosen
            made_up.select(1, 0.5)
        assert made_up.stage(rule, name).state == "running"
        made_up.set_age(logs / log, SILENCE + 1)
        assert made_up.stage(rule, name).state == "silent"
    made_up.prepare()
    made_up.score(1)
    assert {made_up.stage("prepare_data", "").state, made_up.stage("score_arcs", "s1").state} == {"finished"}


QUICK = {
    *("all", "resolve_config", "check_images", "random_arcs", "random_arc", "named_arc", "final", "export"),
    *("strategies", "compare", "halving", "ablation", "class_accuracy", "draw_cells", "write_tables", "report"),
    "report_files",
}
"""Rules whose jobs take seconds, besides those that draw figures: nobody waits for them."""


def test_every_rule_that_takes_its_time_is_shown() -> None:
    found = {
        name
        for path in [ROOT / "Snakefile", *ROOT.glob("workflow/rules/*.smk")]
        for name in re.findall(r"^rule (\w+):", path.read_text(), re.MULTILINE)
    }
    assert {name for name in found - QUICK if not name.startswith("plot_")} == set(RULES)
    assert set(STAGE_OF) <= set(RULES)  # all that hold a device


def test_a_choice_is_known_by_its_log(made_up: MadeUp) -> None:
    log = made_up.folder / "logs/select_arc-s1.log"
    log.parent.mkdir()
    log.write_text("")
    assert made_up.stage("select_arc", "s1").state == "waiting"  # of an earlier try: there is no supernet
    made_up.finish("search/s1", [0.5])
    (made_up.folder / "search/s1/supernet.pt").touch()
    assert made_up.stage("select_arc", "s1").state == "running"
    made_up.set_age(log, SILENCE + 1)
    assert made_up.stage("select_arc", "s1").state == "silent"


def test_files_that_are_none(made_up: MadeUp) -> None:
    for name in ("_state/search/s1/progress.json", "search/s1/epochs.parquet", "data/train_labels.npy"):
        path = made_up.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"{")
    (made_up.folder / "search/sx").mkdir()
    stage = made_up.stage("search", "s1")
    assert (stage.state, stage.chance) == ("waiting", None)


def test_time_left_is_by_the_pace_of_the_training_itself(made_up: MadeUp) -> None:
    made_up.tell("search/s1")
    overview = made_up.overview()
    left = seconds_left(overview, {})
    assert left[1:5] == [150.0, 400.0, None, None]  # 2 epochs of 100 s, of which 50 s are over; 4 of the same
    slow, fast = ([EpochSoFar(train_accuracy=0, accuracy=0, seconds=seconds)] for seconds in (1000.0, 10.0))
    made_up.tell("search/s1", rows=[*slow, *fast, *fast, *fast, *fast, *fast], epochs=8, seconds=4.0)
    assert made_up.stage("search", "s1").own_left == 2 * 10.0 - 4.0  # at its newer pace, whatever came before
    assert not rest_of(overview, left).complete


def test_time_left_of_the_whole(made_up: MadeUp) -> None:
    """Choices come after searches, the training of found networks after these; two at a time."""
    made_up.finish("search/s1", [0.5] * 4)
    made_up.select(1, 0.5)
    made_up.tell("search/s2")
    made_up.tell("augment/random-00/seed1")
    overview = made_up.overview()
    left = seconds_left(overview, {"select_arc": 30.0, "score_arcs": 0.0})
    by_stage = {f"{stage.rule} {stage.name}": seconds for stage, seconds in zip(overview.stages, left, strict=True)}
    assert by_stage["search s2"] == 150.0
    assert by_stage["select_arc s2"] == 30.0
    assert by_stage["augment random-00 seed 1"] == 750.0
    assert by_stage["augment searched-s2 seed 1"] == 1000.0
    rest = rest_of(overview, left)
    assert (rest.complete, rest.at_a_time) == (True, 2)
    assert rest.seconds >= (150 + 30 + 750 + 3 * 1000) / 2
    assert rest.seconds <= 150 + 30 + 1000 + 1000 + 750


def test_a_plan_says_what_nothing_else_does(made_up: MadeUp, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = load_workflow(made_up.config).experiments["mine"]
    for settings, expected in (("other", "not known yet"), (None, "about 0:12:30 left with 1 at a time")):
        plan = {
            rule: RunTime(seconds=75.0, device="cpu", conditions=settings or conditions("mine", experiment, rule))
            for rule in ("search", "select_arc", "score_arcs", "augment")
        }
        save_run_times(made_up.results / FILE, {"mine": plan})
        assert expected in printed(capsys, made_up)[0]


def test_what_comes_first(made_up: MadeUp, capsys: pytest.CaptureFixture[str]) -> None:
    made_up.prepare()
    made_up.finish("search/s1", [0.5] * 4)
    made_up.tell("search/s2", "interrupted")
    made_up.tell("augment/random-00/seed1")
    states = [re.split(r"\s{2,}", line)[1] for line in printed(capsys, made_up)[2:]]
    assert states == ["running", "interrupted", "finished", "finished", "waiting", "waiting", "waiting"]


def test_many_finished_trainings_share_a_line(made_up: MadeUp, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(SHOWN_ALONE + 1):
        made_up.finish(f"networks/net-{i}/seed1", [0.1, 0.2 + i / 100])
    (line,) = [line for line in printed(capsys, made_up) if "finished " in line]
    assert line.startswith(f"augment: {SHOWN_ALONE + 1}")
    assert "mean 24.0 %" in line
    assert "28.0 %" in line


def test_without_settings_it_tells_what_has_begun(made_up: MadeUp, capsys: pytest.CaptureFixture[str]) -> None:
    made_up.tell("search/s5")
    made_up.config.unlink()
    title, _, *lines = printed(capsys, made_up)
    assert title.startswith("mine: 0 of 4 stages finished, 1 running")
    assert [line.split("  ")[0] for line in lines] == ["search s5", "prepare_data", "select_arc s5", "score_arcs s5"]


def test_one_experiment_and_its_variants(made_up: MadeUp, capsys: pytest.CaptureFixture[str]) -> None:
    (made_up.folder / "variants/original/config").mkdir(parents=True)
    made_up.results = made_up.folder
    titles = [line for line in printed(capsys, made_up) if "stages finished" in line]
    assert [title.partition(":")[0] for title in titles] == ["mine", "mine/variants/original"]


def test_on_a_terminal_the_table_goes_on_until_nothing_is_left(made_up: MadeUp) -> None:
    made_up.prepare()
    for seed in (1, 2):
        made_up.finish(f"search/s{seed}", [0.5] * 4)
        made_up.select(seed, 0.5)
        made_up.score(seed)
    for network in ("searched-s1", "searched-s2", "random-00", "random-01"):
        made_up.finish(f"networks/{network}/seed1", [0.5])
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command = [sys.executable, "-m", "enas_core.status", str(made_up.results), "--configfile", str(made_up.config)]
    process = subprocess.Popen(command, stdout=theirs, env=os.environ | {"TERM": "xterm"})
    os.close(theirs)
    content = b""
    with contextlib.suppress(OSError):  # which says that nobody can write any more
        while chunk := os.read(ours, 4096):
            content += chunk
    os.close(ours)
    assert process.wait() == 0
    shown = content.decode()
    assert "\x1b[1mmine: 11 of 11 stages finished; nothing is left" in shown
    lines = re.sub(r"\x1b\[[^A-Za-z]*[A-Za-z]", "", shown).splitlines()
    assert any(line.startswith("search s1") for line in lines)
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "-"), (0.4, "0 s ago"), (119, "119 s ago"), (120, "2 min ago"), (1e6, "12 days ago")]
)
def test_ages(seconds: float | None, text: str) -> None:
    assert ago(seconds) == text
