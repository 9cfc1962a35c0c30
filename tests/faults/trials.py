"""Runs real stages on tiny data, does them harm, and compares what they leave with an undisturbed run."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import os
import select
import shutil
import signal as signals
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch

from enas_core.data.prepare import prepare
from enas_core.files.schemas import BY_MACHINE
from enas_core.files.tables import read_provenance
from enas_core.settings.stages import STAGES, stage_settings, to_json
from enas_core.settings.workflow import parse_workflow

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
ARC = "0 0 1 3 1 4 2 1 0 2 3 0 1 1 0 4 2 0 1 3 3 2 0 1"
EXPERIMENT = {
    "num_nodes": 3,
    "cpu_threads": 1,
    "dataset": {
        "name": "digits",
        "source": "digits",
        "split_test_images": 60,
        "max_train_images": 200,
        "augmentation": {"crop_padding": 1, "cutout": 2},
    },
    "search": {
        "num_epochs": 4,
        "batch_size": 32,
        "num_layers": 1,
        "num_filters": 4,
        "aux_head": False,
        "valid_images": 60,
        "lr_t_0": 2,
        "apply_drop_path": True,
        "controller": {"updates_per_epoch": 3, "arcs_per_update": 2, "hidden_size": 16},
    },
    "select": {"num_candidates": 3},
    "augment": {"num_epochs": 4, "batch_size": 32, "num_layers": 1, "num_filters": 4, "aux_head": False, "lr_t_0": 2},
    "baseline": {"num_arcs": 2},
}
KILLS_A_SEED = 5
WEIGHTS = {"search": "supernet.pt", "augment": "model.pt"}


@dataclass
class Reference:
    """An undisturbed run, and how long it took."""

    folder: Path
    seconds: float


def write_settings(folder: Path, **sections: dict[str, Any]) -> None:
    """All stages' JSON files, with `sections` of the experiment changed."""
    experiment = {
        name: {**value, **sections.get(name, {})} if isinstance(value, dict) else value
        for name, value in EXPERIMENT.items()
    }
    workflow = parse_workflow({"experiments": {"tiny": experiment}})
    folder.mkdir(parents=True, exist_ok=True)
    for stage in STAGES:
        settings = stage_settings("tiny", workflow.experiments["tiny"], stage)
        (folder / f"{stage}.json").write_text(to_json(settings))


def write_inputs(folder: Path) -> None:
    """Settings, an arc and prepared images."""
    write_settings(folder / "config")
    (folder / "arc.txt").write_text(ARC)
    prepare_from(folder)


def prepare_from(folder: Path) -> None:
    """Prepare the images that the settings in `folder` ask for."""
    settings = STAGES["prepare_data"].model_validate_json((folder / "config/prepare_data.json").read_text())
    prepare(settings, None, folder / "data")


def arguments(stage: str, inputs: Path, folder: Path, save_every: float = 5.0) -> list[str]:
    """Command line of `stage` with everything it writes in `folder`."""
    own = ["--arc-file", inputs / "arc.txt", "--network", "mine"] if stage == "augment" else []
    options = [
        *("--config", inputs / f"config/{stage}.json", "--data", inputs / "data", "--seed", 1, *own),
        *("--out-dir", folder / "out", "--state-dir", folder / "state", "--save-every", save_every),
        *("--log-file", folder / "stage.log", "--device", "cpu"),
    ]
    return [str(option) for option in options]


@dataclass
class Ended:
    """How a process ended: its exit code (negative for a signal), and what it printed."""

    code: int
    output: str


class ForkServer:
    """Client of forkserver.py."""

    def __init__(self) -> None:
        command = [sys.executable, str(Path(__file__).with_name("forkserver.py"))]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env=ENVIRONMENT
        )
        assert self._process.stdout.readline() == b"ready\n"

    def close(self) -> None:
        """End the server."""
        self._process.stdin.close()
        self._process.wait()

    def run(
        self, stage: str, options: list[str], output: Path, delay: float = 0, signal: int = 0, **fault: int
    ) -> Ended:
        """Run a stage to its end. `signal` is sent after `delay` seconds, or, with `event`, at that file operation."""
        server = self._process
        output.unlink(missing_ok=True)
        request = {"stage": stage, "arguments": options, "output": str(output), "signal": signal, **fault}
        server.stdin.write(json.dumps(request).encode() + b"\n")
        child = int(server.stdout.readline())
        if signal and "event" not in fault and not select.select([server.stdout], [], [], delay)[0]:
            os.kill(child, signal)
        code = int(server.stdout.readline())
        server.stdin.write(b"\n")
        return Ended(code, output.read_text() if output.exists() else "")


def run_cold(stage: str, options: list[str], delay: float = 0, signal: int = 0) -> Ended:
    """Run a stage as users do, in a new interpreter; with `signal` sent after `delay` seconds."""
    command = [sys.executable, "-m", f"enas_core.{stage}", *options]
    heard = functools.partial(signals.signal, signals.SIGINT, signals.SIG_DFL)  # if tests run in the background
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, preexec_fn=heard)
    if signal:
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            process.send_signal(signal)
    output = process.communicate(timeout=600)[1]
    return Ended(process.returncode, output)


@dataclass(frozen=True, order=True)
class Position:
    """How far a saved state is."""

    finished: bool
    epoch: int
    step: int
    update: int = 0

    def __str__(self) -> str:
        """As a training's log names it."""
        return f"epoch {self.epoch}, step {self.step}" + (f", update {self.update}" if self.update else "")


def position(path: Path) -> Position | None:
    """Position of a state file; None when it is not whole. Knows the format by itself."""
    header, _, payload = path.read_bytes().partition(b"\n") if path.exists() else (b"", b"", b"")
    if hashlib.sha256(payload).hexdigest().encode() not in header:
        return None
    content = torch.load(io.BytesIO(payload), weights_only=True)
    at = content["run"]["at"]
    return Position(content["finished"], at["epoch"], at["step"], at["update"])


def newest(folder: Path) -> Position | None:
    """Position of the newest whole state in a state directory."""
    return position(folder / "current.state") or position(folder / "previous.state")


def comparable(path: Path) -> dict[str, Any]:
    """A table's columns without those that clock and machine decide."""
    columns = pq.read_table(path).to_pydict()
    return {name: values for name, values in columns.items() if name not in BY_MACHINE}


def assert_same(found: Any, expected: Any) -> None:
    """Equal to the bit, tensors included; what made the file is left out."""
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            if key != "provenance":
                assert_same(found[key], expected[key])
    elif isinstance(expected, torch.Tensor):
        assert found.dtype == expected.dtype
        assert torch.equal(found, expected)
    else:
        assert found == expected


def assert_same_outputs(stage: str, folder: Path, reference: Path) -> None:
    """The outputs in `folder` are the reference's, and nothing lies beside them."""
    names = {"epochs.parquet", WEIGHTS[stage]}
    assert {path.name for path in (folder / "out").iterdir()} == names
    assert_same(comparable(folder / "out/epochs.parquet"), comparable(reference / "out/epochs.parquet"))
    found, expected = (torch.load(f / "out" / WEIGHTS[stage], weights_only=True) for f in (folder, reference))
    assert_same(found, expected)
    run = (read_provenance(f / "out/epochs.parquet")["run"] for f in (folder, reference))
    assert next(run) == next(run)


def damage(path: Path, random: Any) -> None:
    """Truncate a file, or change one byte of it."""
    content = bytearray(path.read_bytes())
    where = random.randrange(len(content))
    if random.random() < 0.5:
        del content[where:]
    else:
        content[where] ^= random.randrange(1, 256)
    path.write_bytes(content)


def clear(folder: Path) -> None:
    """An empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
