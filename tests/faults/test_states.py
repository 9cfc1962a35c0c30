"""Which saved state is used, and what ends a run: damaged, foreign, finished states, locks, full disks, signals."""

from __future__ import annotations

import json
import random
import re
import shutil
import signal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import trials
from trials import ForkServer, Position
from workplace import Workplace

from enas_core.files.inputs import Inputs
from enas_core.files.lock import only_writer
from enas_core.files.progress import PROGRESS, read_progress
from enas_core.files.tables import table_identity, write_table
from enas_core.training.checkpoint import Saver, StateDirectory, resume

STAGES = list(trials.WEIGHTS)


@pytest.fixture(params=STAGES)
def place(request: pytest.FixtureRequest, inputs: Path, server: ForkServer, tmp_path: Path) -> Workplace:
    """An empty one of each stage."""
    return Workplace(request.param, inputs, tmp_path, server)


@pytest.fixture
def search(inputs: Path, server: ForkServer, tmp_path: Path) -> Workplace:
    """An empty one of the search."""
    return Workplace("search", inputs, tmp_path, server)


@pytest.mark.parametrize("harm", ["truncated", "empty", "changed", "header"])
def test_previous_state_takes_the_place_of_a_damaged_one(
    search: Workplace, references: dict[str, trials.Reference], harm: str
) -> None:
    search.interrupt()
    content = bytearray(search.current.read_bytes())
    if harm == "changed":
        content[len(content) // 2] ^= 1
    elif harm == "header":
        content[3] ^= 1
    else:
        del content[0 if harm == "empty" else len(content) // 2 :]
    search.current.write_bytes(content)
    before = trials.position(search.previous)
    ended = search.run(5)
    assert re.search(r"current.state: not used: .*(truncated or corrupt)", ended.output)
    assert "previous.state: used, of a run that was interrupted" in ended.output
    assert f"goes on at {before}\n" in ended.output
    trials.assert_same_outputs("search", search.folder, references["search"].folder)


def test_damaged_state_does_not_push_out_the_good_one(search: Workplace) -> None:
    search.interrupt()
    search.current.write_bytes(b"damaged")
    before = trials.position(search.previous)
    for event in range(8, 17):  # before, in and after the first save
        search.run(event=event, signal=signal.SIGKILL)
        after = trials.newest(search.state)
        assert after is not None
        assert after >= before


def test_both_states_damaged(place: Workplace, references: dict[str, trials.Reference]) -> None:
    place.interrupt()
    for path in (place.current, place.previous):
        trials.damage(path, random.Random(0))
    ended = place.run(5)
    assert ended.output.count(": not used: ") == 2
    assert "none to resume, starting from the beginning" in ended.output
    trials.assert_same_outputs(place.stage, place.folder, references[place.stage].folder)


def test_state_of_a_flipped_byte_is_never_read(search: Workplace) -> None:
    search.interrupt()
    states, content = StateDirectory(search.state, _fingerprint(search.current)), search.current.read_bytes()
    search.previous.unlink()
    assert states.load() is not None
    header = content.index(b"\n") + 1
    for where in [*range(header), *range(header, len(content), len(content) // 50)]:
        search.current.write_bytes(content[:where] + bytes([content[where] ^ 0x20]) + content[where + 1 :])
        assert states.load() is None, where
    for length in [*range(0, header, 10), header, len(content) - 1]:
        search.current.write_bytes(content[:length])
        assert states.load() is None, length


def _fingerprint(path: Path) -> str:
    return json.loads(path.read_bytes().partition(b"\n")[0])["fingerprint"]


def test_format_of_another_version(search: Workplace) -> None:
    search.interrupt()
    for path in (search.current, search.previous):
        header, _, payload = path.read_bytes().partition(b"\n")
        path.write_bytes(json.dumps(json.loads(header) | {"format": 0}).encode() + b"\n" + payload)
    ended = search.run(5)
    assert ended.output.count("not used: saved under other settings, data, arc, seed or state format") == 2


@pytest.mark.parametrize("what", ["settings", "data", "arc", "seed"])
def test_changed_inputs_never_resume_an_old_state(inputs: Path, server: ForkServer, tmp_path: Path, what: str) -> None:
    shutil.copytree(inputs, tmp_path / "inputs")
    place = Workplace("augment", tmp_path / "inputs", tmp_path, server)
    assert place.run(event=111, signal=signal.SIGKILL).code == -signal.SIGKILL
    options = []
    if what == "settings":
        trials.write_settings(place.inputs / "config", augment={"l2": 0.001})
    elif what == "data":
        other = json.loads((place.inputs / "config/prepare_data.json").read_text())
        other["dataset"]["split_seed"] = 1
        (place.inputs / "config/prepare_data.json").write_text(json.dumps(other))
        trials.prepare_from(place.inputs)
    elif what == "arc":
        (place.inputs / "arc.txt").write_text(trials.ARC.replace("4", "2"))
    else:
        options = ["--seed", "2"]
    resumed = place.run(5, *options)
    assert resumed.code == 0
    assert "current.state: not used: saved under other settings, data, arc, seed" in resumed.output
    assert "none to resume, starting from the beginning" in resumed.output
    fresh = Workplace("augment", place.inputs, tmp_path / "fresh", server)
    fresh.folder.mkdir()
    assert fresh.run(5, *options).code == 0
    trials.assert_same_outputs("augment", place.folder, fresh.folder)


def test_finished_work_is_emitted_again_until_a_start_has_found_it(
    place: Workplace, references: dict[str, trials.Reference]
) -> None:
    assert place.run(5).code == 0
    assert trials.newest(place.state).finished
    for path in (place.folder / "out").iterdir():
        path.unlink()
    ended = place.run(5)
    assert "used, of a run that had finished" in ended.output
    assert "epoch 1/" not in ended.output
    trials.assert_same_outputs(place.stage, place.folder, references[place.stage].folder)
    assert trials.newest(place.state).finished
    ended = place.run(5)
    assert ended.output.startswith("outputs are complete, nothing to do")
    assert {path.name for path in place.state.iterdir()} == {"lock", "progress.json"}


@pytest.mark.parametrize("name", ["epochs.parquet", "supernet.pt"])
def test_outputs_are_complete_only_together(search: Workplace, name: str) -> None:
    assert search.run(5).code == 0
    (search.folder / "out" / name).unlink()
    assert "used, of a run that had finished" in search.run(5).output
    assert (search.folder / "out" / name).exists()


class Finished:
    """A run with nothing left to do."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None: ...

    def train(self, saver: Saver) -> None: ...


def test_table_never_vouches_for_another_runs_weights(tmp_path: Path) -> None:
    """Ended after the new weights and before the new table, the former table is gone."""
    weights, table = tmp_path / "model.pt", tmp_path / "epochs.parquet"

    def start(run: str, fail: bool = False) -> None:
        def emit(_: Finished) -> None:
            weights.write_text(run)
            if fail:
                raise OSError(run)
            write_table(table, "augment_epochs", [], {"run": run})

        resume(Finished, StateDirectory(tmp_path / "state", run), 5.0, Inputs(), weights, table, emit)

    start("former")
    with pytest.raises(OSError, match="new"):
        start("new", fail=True)
    assert not table.exists()
    start("former")
    assert weights.read_text() == table_identity(table) == "former"


def test_what_a_killed_and_an_interrupted_training_tell(place: Workplace) -> None:
    """A killed one looks as if it were running, and older and older; no process is asked."""
    place.interrupt()
    told = read_progress(place.state / PROGRESS)
    assert told is not None
    assert (told.state, told.epochs) == ("running", 4)
    assert place.run(event=30, signal=signal.SIGTERM).code == 128 + signal.SIGTERM
    told = read_progress(place.state / PROGRESS)
    assert told is not None
    assert (told.state, told.epochs) == ("interrupted", 4)
    assert place.run(5).code == 0
    told = read_progress(place.state / PROGRESS)
    assert told is not None
    table = pq.read_table(place.folder / "out/epochs.parquet").to_pydict()
    score = "valid_accuracy" if place.stage == "search" else "test_accuracy"
    assert told.state == "finished"
    assert [row.accuracy for row in told.rows] == table[score]
    assert [row.seconds for row in told.rows] == table["seconds"]


class Counting(Finished):
    """A run whose state is a number that grows."""

    value = 0

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if not isinstance(state["value"], int):
            raise ValueError(f"value is {state['value']!r}")
        self.value = state["value"]

    def train(self, saver: Saver) -> None:
        self.value += 1


@pytest.mark.parametrize("wrong", [{"value": "x"}, {}, [1], None, {"value": float("nan")}])
def test_a_state_with_the_right_checksum_and_wrong_content_is_passed_over(
    wrong: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "enas_core")
    states, emitted = StateDirectory(tmp_path / "state", "run"), []

    def start() -> None:
        resume(
            *(Counting, states, 5.0, Inputs(), tmp_path / "model.pt", tmp_path / "epochs.parquet"),
            lambda run: emitted.append(run.value),
        )

    states.save({"value": 5})
    states.save(wrong)
    start()
    assert emitted == [6]
    assert any("current.state: not used: " in line for line in caplog.messages)
    assert any("previous.state: used" in line for line in caplog.messages)
    states.clear()
    states.save(wrong)
    start()
    assert emitted == [6, 1]
    assert any("none to resume" in line for line in caplog.messages)


def test_second_process_is_refused(place: Workplace) -> None:
    with StateDirectory(place.state, "another"):
        ended = place.run()
        holder = (place.state / "lock").read_text()
    assert ended.code == 2
    assert ended.output == (
        f"error: {place.state}: in use by another process ({holder}); wait until it has ended, or end it\n"
    )
    assert not (place.folder / "out").exists()
    assert place.run(5).code == 0


def test_second_run_into_the_same_folder_is_refused(place: Workplace) -> None:
    """Though each has a state folder of its own."""
    with only_writer(place.folder / "out/epochs.parquet"):
        holder = (place.folder / "out/.lock-epochs.parquet").read_text()
        ended = place.run()
    assert ended.code == 2
    assert ended.output == (
        f"error: {place.folder}/out/epochs.parquet: in use by another process ({holder});"
        " wait until it has ended, or end it\n"
    )
    assert not list(place.state.glob("*.state"))
    assert place.run(5).code == 0


def test_full_disk_keeps_the_last_state(search: Workplace, references: dict[str, trials.Reference]) -> None:
    search.interrupt()
    before = trials.newest(search.state)
    ended = search.run(max_bytes=50_000, fatal=False)
    assert ended.code == 2
    assert ended.output.splitlines()[-1] == f"error: {search.current}: File too large"
    assert trials.newest(search.state) == before
    names = {"current.state", "previous.state", "lock", "progress.json"}
    assert {path.name for path in search.state.iterdir()} == names
    assert search.run(5).code == 0
    trials.assert_same_outputs("search", search.folder, references["search"].folder)


def test_full_disk_at_the_outputs(place: Workplace, references: dict[str, trials.Reference]) -> None:
    """The limit is below what the weights need, and then below what the table needs."""
    assert place.run(5).code == 0
    shutil.rmtree(place.folder / "out")
    for limit in (20_000, 3_000):
        (place.folder / "stage.log").unlink()
        ended = place.run(5, max_bytes=limit, fatal=False)
        assert ended.code == 2
        assert ended.output.splitlines()[-1].endswith(f"{trials.WEIGHTS[place.stage]}: File too large")
        assert not (place.folder / "out").exists()
    (place.folder / "out").mkdir()
    shutil.copy(references[place.stage].folder / "out" / trials.WEIGHTS[place.stage], place.folder / "out")
    assert place.run(5).code == 0
    trials.assert_same_outputs(place.stage, place.folder, references[place.stage].folder)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_in_every_part_of_a_run(place: Workplace, references: dict[str, trials.Reference], number: int) -> None:
    """One after each save, so that some arrive in the evaluations; every start makes a step of progress."""
    before = Position(False, 0, 0)
    for _ in range(40):
        ended = place.run(event=62, signal=number)
        if ended.code == 0:
            break
        assert ended.code == 128 + number
        assert ended.output.splitlines()[-1] == (
            f"{signal.Signals(number).name}: state saved in {place.state}; the same command resumes it"
        )
        after = trials.newest(place.state)
        assert after >= before
        before = after
    trials.assert_same_outputs(place.stage, place.folder, references[place.stage].folder)


def test_signal_after_each_step_of_an_epoch(search: Workplace, references: dict[str, trials.Reference]) -> None:
    """Each start gets to its first save, also the one between child steps and controller updates; an evaluation
    begins anew."""
    found = []
    for _ in range(10):
        assert search.run(event=14, signal=signal.SIGTERM).code == 128 + signal.SIGTERM
        found.append(trials.newest(search.state))
    steps = [Position(False, 0, step) for step in range(1, 6)]
    updates = [Position(False, 0, 5, update) for update in range(1, 4)]
    assert found == [*steps, *updates, updates[-1], updates[-1]]
    assert search.run(5).code == 0
    trials.assert_same_outputs("search", search.folder, references["search"].folder)
