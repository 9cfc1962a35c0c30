"""One training over several processes: equal to one process up to the order of sums; and how it ends."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import lost
import norms
import pandas as pd
import pytest
import torch

from enas_core.files.schemas import BY_MACHINE
from enas_core.files.tables import read_provenance
from enas_core.settings.augment import Augment
from enas_core.spaces.saved import load_network
from enas_core.training import gpus
from enas_core.training.checkpoint import StateDirectory
from enas_core.training.descent import Descent
from enas_core.training.processes import Processes

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
TIMEOUT = 600


def torchrun(count, script, *arguments, code=0):
    """Run a script of this folder in `count` processes, which end with the exit code `code`."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"] if count > 1 else []
    command = [sys.executable, *launcher, str(HERE / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, env=ENVIRONMENT)
    assert done.returncode == code, done.stderr
    return done.stderr


def closeness(one, other):
    """Largest difference between two results of train.py, relative to 1 or the value."""
    assert len(one["rows"]) == len(other["rows"]) > 0
    rows = [
        torch.tensor([row[name] for row in result["rows"] for name in row if isinstance(row[name], float)
                      and name not in BY_MACHINE]) for result in (one, other)
    ]  # fmt: skip
    weights = [torch.cat([t.flatten().double() for t in result["state"].values()]) for result in (one, other)]
    return max(float(((a - b).abs() / a.abs().clamp_min(1)).max()) for a, b in (rows, weights))


def results(folder, stage):
    """What the processes have written."""
    return [torch.load(path, weights_only=True) for path in sorted(folder.glob(f"{stage}-*.pt"))]


def test_statistics_of_each_process_need_an_image_in_each():
    training = Augment(batch_size=4, sync_batch_norm=False)
    network = torch.nn.Linear(1, 1)
    network.aux_head = None
    with pytest.raises(ValueError, match=r"sync_batch_norm: false .* 2 processes, the smallest batch has 1 .*: true"):
        Descent("a network", network, training, 9, Processes(0, 2))


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


def test_random_changes_depend_neither_on_processes_nor_on_interruptions_nor_on_where_the_images_are(inputs, tmp_path):
    changed = shutil.copytree(inputs, tmp_path / "inputs")
    for stage in ("search", "augment"):
        path = changed / f"config/{stage}.json"
        content = json.loads(path.read_text())
        content["augmentation"] = {"crop_padding": 0, "random_resized_crop": 0.4, "brightness": 0.3, "contrast": 0.3}
        content["augmentation"]["cutout"] = 3
        path.write_text(json.dumps(content))
    torchrun(1, "train.py", changed, tmp_path / "alone")
    torchrun(2, "train.py", changed, tmp_path / "together", "--streamed", "--stop-after", 2)
    torchrun(3, "train.py", changed, tmp_path / "together", "--streamed")
    for stage in ("search", "augment"):
        (expected,), found = results(tmp_path / "alone", stage), results(tmp_path / "together", stage)
        assert closeness(expected, found[0]) < 1e-8


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
    """The training's table without what clock and machine decide."""
    return pd.read_parquet(out / "epochs.parquet").drop(columns=list(BY_MACHINE), errors="ignore")


@pytest.fixture(scope="module")
def whole(inputs, tmp_path_factory):
    """A stage of two processes that nothing has interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    code, errors = run(augment(inputs, folder, "--gpus", "2"))
    assert code == 0, errors
    assert read_provenance(folder / "epochs.parquet")["device"] == "2 x cpu (1 threads)"
    assert (folder / "log").read_text().count("written:") == 1
    return folder


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_stage_of_two_processes_resumes(inputs, whole, tmp_path, number):
    """Interrupted is torchrun; when it is killed, the processes that it has started hear of it (as SIGTERM)."""
    broken = tmp_path / "broken"
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


@pytest.mark.parametrize("waiting", ["sum", "backward"])
def test_who_loses_a_killed_process_ends_quietly(tmp_path, waiting):
    errors = torchrun(2, "lost.py", f"killed {waiting}", tmp_path, code=1)
    assert [path.name for path in tmp_path.iterdir()] == ["0"]
    assert (tmp_path / "0").read_text() == "SystemExit: 1"
    assert "pair.cc" not in errors


def test_a_mistake_that_mentions_gloo_keeps_its_traceback(tmp_path):
    errors = torchrun(2, "lost.py", "mistake sum", tmp_path, code=1)
    assert (tmp_path / "0").read_text() == "SystemExit: 1"
    assert (tmp_path / "1").read_text() == f"RuntimeError: {lost.MESSAGE}"
    assert f"RuntimeError: {lost.MESSAGE}" in errors
    assert "Traceback" in errors


def children(process):
    """Process ids of those that a process has started."""
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def test_gpus_are_taken_until_the_processes_of_a_killed_torchrun_have_ended(inputs, tmp_path, monkeypatch):
    """The GPUs are not there, so the training computes on the CPU; but it claims them, by their names."""
    names = [f"GPU-{uuid.uuid4()}" for _ in range(2)]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(names))
    for variable in gpus.SCHEDULERS.values():
        monkeypatch.delenv(variable, raising=False)
    command = augment(inputs, tmp_path, "--gpus", "2", "--device", "auto")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        lines = []
        while not any("epoch 1/" in line for line in lines):
            assert process.poll() is None
            lines.append(process.stderr.readline())
        assert f"on GPU {', '.join(names)}\n" in lines
        workers = children(process)
        assert len(workers) == 2
        for worker in workers:
            os.kill(worker, signal.SIGSTOP)  # a training that takes long to hear of it
        process.kill()
        process.wait(timeout=TIMEOUT)
        assert not any(free(name) for name in names)
        for worker in workers:
            os.kill(worker, signal.SIGCONT)
        process.communicate(timeout=TIMEOUT)  # until all have ended
    assert "SIGTERM: state saved" in (tmp_path / "log").read_text()
    deadline = time.monotonic() + 10
    while not all(free(name) for name in names):
        assert time.monotonic() < deadline


def free(name):
    """Whether a stage could claim this GPU now."""
    claims = gpus.claim_if_free({name: name.removeprefix("GPU-")}, 1, 1)
    for claim in claims or []:
        claim.release()
    return claims is not None
