"""One training over several processes: equal to one process up to the order of sums; and who gets which GPU."""

import os
import re
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import norms
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from enas_core.files.tables import TIMING_COLUMNS, read_provenance
from enas_core.settings.augment import Augment
from enas_core.spaces.saved import load_network
from enas_core.training.checkpoint import StateDirectory
from enas_core.training.gpus import claim_gpus, visible_gpus
from enas_core.training.optimiser import spread
from enas_core.training.processes import ALONE, Processes

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
TIMEOUT = 600


def torchrun(count, script, *arguments):
    """Run a script of this folder in `count` processes."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"] if count > 1 else []
    command = [sys.executable, *launcher, str(HERE / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr


def closeness(one, other):
    """Largest difference between two results of train.py, relative to 1 or the value."""
    assert len(one["rows"]) == len(other["rows"]) > 0
    rows = [
        torch.tensor([row[name] for row in result["rows"] for name in row if isinstance(row[name], float)
                      and name not in TIMING_COLUMNS]) for result in (one, other)
    ]  # fmt: skip
    weights = [torch.cat([t.flatten().double() for t in result["state"].values()]) for result in (one, other)]
    return max(float(((a - b).abs() / a.abs().clamp_min(1)).max()) for a, b in (rows, weights))


def results(folder, stage):
    """What the processes have written."""
    return [torch.load(path, weights_only=True) for path in sorted(folder.glob(f"{stage}-*.pt"))]


# --- parts of a batch ---------------------------------------------------------------------------

counts = st.integers(1, 9)


@given(start=st.integers(0, 1000), size=st.integers(0, 200), count=counts)
def test_parts_of_a_batch_are_the_whole_batch(start, size, count):
    parts = [Processes(rank, count).part(start, start + size) for rank in range(count)]
    assert parts[0][0] == start
    assert parts[-1][1] == start + size
    assert all(a[1] == b[0] for a, b in pairwise(parts))
    lengths = [stop - first for first, stop in parts]
    assert max(lengths) - min(lengths) <= 1


@given(tasks=st.integers(0, 50), count=counts)
def test_every_task_is_dealt_once_in_equally_many_rounds(tasks, count):
    dealt = [list(Processes(rank, count).deal(tasks)) for rank in range(count)]
    assert len({len(rounds) for rounds in dealt}) == 1
    assert sorted(task for rounds in dealt for task in rounds if task is not None) == list(range(tasks))


def test_one_process_needs_no_others():
    assert list(ALONE.deal(3)) == [0, 1, 2]
    assert ALONE.largest(7) == 7
    assert ALONE.sum(torch.tensor([1.0, 2.0])).tolist() == [1.0, 2.0]
    assert [t.tolist() for t in ALONE.mean([torch.tensor([1.0]), torch.tensor([[2.0, 3.0]])])] == [[1.0], [[2.0, 3.0]]]
    ALONE.wait()


def test_statistics_of_each_process_need_an_image_in_each():
    training = Augment(batch_size=4, sync_batch_norm=False)
    with pytest.raises(ValueError, match=r"sync_batch_norm: false .* 2 processes, the smallest batch has 1 .*: true"):
        spread(torch.nn.Linear(1, 1), training, 9, Processes(0, 2))


# --- training -----------------------------------------------------------------------------------


def test_synchronised_batch_norm_is_that_of_the_whole_batch(tmp_path):
    count = 3
    torchrun(count, "norms.py", tmp_path)
    parts = results(tmp_path, "norm")
    assert len(parts) == count
    for case, *found in zip(norms.CASES, *parts, strict=True):
        expected = norms.outputs(*(norms.inputs(case)[k] for k in (2, 0, 1)))
        together = [
            torch.cat(t) if k < 2 else sum(t) if k < 4 else t[0] for k, t in enumerate(zip(*found, strict=True))
        ]
        tolerance = {"rtol": 1e-10, "atol": 1e-10} if case[0] == torch.float64 else {"rtol": 2e-2, "atol": 2e-2}
        for ours, theirs in zip(together, expected, strict=True):
            torch.testing.assert_close(ours, theirs, **tolerance)
        if case[2]:
            assert all(torch.equal(a, b) for a, b in zip(found[0][4:], found[1][4:], strict=True))


@pytest.fixture(scope="module")
def alone(inputs, tmp_path_factory):
    """Both trainings in one process."""
    folder = tmp_path_factory.mktemp("alone")
    torchrun(1, "train.py", inputs, folder)
    return folder


def test_metrics_and_weights_do_not_depend_on_the_number_of_processes(inputs, alone, tmp_path):
    torchrun(2, "train.py", inputs, tmp_path)
    for stage in ("search", "augment"):
        (expected,), found = results(alone, stage), results(tmp_path, stage)
        assert len(found) == 2
        assert closeness(expected, found[0]) < 1e-8
        assert all(torch.equal(a, b) for other in found[1:]
                   for a, b in zip(found[0]["state"].values(), other["state"].values(), strict=True))  # fmt: skip


def test_a_training_goes_on_with_another_number_of_processes(inputs, alone, tmp_path):
    for count, stop_after in ((2, 1), (1, 3), (3, 4)):
        torchrun(count, "train.py", inputs, tmp_path, "--stop-after", stop_after)
    for stage in ("search", "augment"):
        assert closeness(results(alone, stage)[0], results(tmp_path, stage)[0]) < 1e-8


def test_statistics_of_each_process_are_a_setting(inputs, alone, tmp_path):
    torchrun(2, "train.py", inputs, tmp_path, "--per-process")
    for stage in ("search", "augment"):
        first, second = results(tmp_path, stage)
        assert closeness(results(alone, stage)[0], first) > 1e-4
        assert all(torch.equal(first["state"][name], second["state"][name]) for name in first["state"])


# --- stages -------------------------------------------------------------------------------------


def augment(inputs, out, *arguments):
    """The command of a stage."""
    options = ["--config", inputs / "config/augment.json", "--data", inputs / "data", "--arc-file", inputs / "arc.txt"]
    options += ["--network", "a", "--seed", "1", "--out-dir", out, "--state-dir", out / "state", "--device", "cpu"]
    return [sys.executable, "-m", "enas_core.augment", *map(str, options), "--log-file", out / "log", *arguments]


def run(command):
    """Exit code and stderr of a command."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, env=ENVIRONMENT)
    return done.returncode, done.stderr


def table(out):
    """The training's table without its timing columns."""
    return pd.read_parquet(out / "epochs.parquet").drop(columns=list(TIMING_COLUMNS), errors="ignore")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_stage_of_two_processes_resumes(inputs, tmp_path, number):
    """Interrupted is torchrun; when it is killed, the processes that it has started hear of it (as SIGTERM)."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    code, errors = run(augment(inputs, whole, "--gpus", "2"))
    assert code == 0, errors
    assert read_provenance(whole / "epochs.parquet")["device"] == "2 x cpu (1 threads)"
    assert (whole / "log").read_text().count("written:") == 1

    with subprocess.Popen(augment(inputs, broken, "--gpus", "2"), stderr=subprocess.PIPE, env=ENVIRONMENT) as process:
        while b"epoch 1/" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(number)
        process.communicate(timeout=TIMEOUT)  # until all have ended
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number)
    heard = signal.SIGTERM if number == signal.SIGKILL else number
    assert f"{heard.name}: state saved" in (broken / "log").read_text()
    assert not (broken / "model.pt").exists()
    code, errors = run(augment(inputs, broken, "--gpus", "2"))
    assert code == 0, errors
    assert "goes on at epoch" in (broken / "log").read_text()
    pd.testing.assert_frame_equal(table(whole), table(broken), check_exact=True)
    ours, theirs = (load_network(out / "model.pt").state_dict() for out in (whole, broken))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_users_mistake_is_one_line(inputs, tmp_path):
    (tmp_path / "arc.txt").write_text("1 2 3")
    (tmp_path / "data").mkdir()
    command = augment(inputs, tmp_path, "--gpus", "2")
    with StateDirectory(tmp_path / "state", "another"):  # which only the first process locks
        ended = [
            run([*command, "--arc-file", str(tmp_path / "arc.txt")]),
            run([*command, "--data", str(tmp_path / "data")]),
            run(command),
        ]
    assert [code for code, _ in ended] == [2, 2, 2]
    lines = [line for _, errors in ended for line in errors.splitlines()]
    for line, word in zip(lines, ("arc", "manifest.json", "in use by another process"), strict=True):
        assert line.startswith("error: ")
        assert word in line
    assert re.findall(r"error: .*", (tmp_path / "log").read_text()) == lines


def test_a_process_that_is_killed_ends_the_others(inputs, tmp_path):
    with subprocess.Popen(augment(inputs, tmp_path, "--gpus", "2"), stderr=subprocess.PIPE, text=True) as process:
        while "epoch 1/" not in process.stderr.readline():
            assert process.poll() is None
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[-1]), signal.SIGKILL)
        errors = process.communicate(timeout=TIMEOUT)[1]
    assert process.returncode == 1
    assert errors.splitlines()[-1] == "error: a process of the training was ended by SIGKILL"
    assert "Traceback" not in errors


# --- who gets which GPU -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listed", "expected"), [("0,1", ["0", "1"]), ("", []), ("-1", []), ("2,-1,3", ["2"]), ("GPU-a", ["GPU-a"])]
)
def test_visible_gpus(monkeypatch, listed, expected):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
    assert visible_gpus() == expected


def claims(monkeypatch, listed, count):
    """GPUs that are claimed among `listed`."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
    return claim_gpus(count)


def test_each_claim_gets_gpus_of_its_own(monkeypatch):
    names = [f"test-{os.getpid()}-{k}" for k in range(3)]
    one, held_one = claims(monkeypatch, ",".join(names), 1)
    two, held_two = claims(monkeypatch, ",".join(names), 2)
    assert sorted(one + two) == names
    for claim in held_one + held_two:
        claim.close()
    assert claims(monkeypatch, ",".join(names), 1)[0] == names[:1]


def test_what_a_scheduler_has_assigned_is_taken_as_it_is(monkeypatch):
    assert claims(monkeypatch, "5", 1) == (["5"], [])
    assert claims(monkeypatch, "5", 1) == (["5"], [])
    assert claims(monkeypatch, "", 2) == ([], [])


def test_more_gpus_than_there_are(monkeypatch):
    with pytest.raises(ValueError, match=r"--gpus: 3 GPUs are asked for, 2 can be used here: 4, 5"):
        claims(monkeypatch, "4,5", 3)


def test_a_killed_jobs_gpu_is_free_again(monkeypatch):
    names = [f"test-{os.getpid()}-{letter}" for letter in "ab"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(names))
    script = "from enas_core.parallel import claim_gpus\ngpus, held = claim_gpus(1)\nprint(*gpus, flush=True)\ninput()"
    started = [
        subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    # The third one waits, whichever it is.
    first = {process: process.stdout.readline().strip() for process in two_that_answer(started)}
    assert sorted(first.values()) == names
    (waiting,) = set(started) - set(first)
    killed = next(iter(first))
    killed.kill()
    assert waiting.stdout.readline().strip() == first[killed]
    for process in started:
        process.kill()
        process.communicate()


def two_that_answer(processes):
    """Those of three processes that have written a line, once two have."""
    import select

    ready = set()
    while len(ready) < 2:
        waiting = {process.stdout: process for process in processes if process not in ready}
        ready |= {waiting[stream] for stream in select.select(list(waiting), [], [], TIMEOUT)[0]}
    return ready
