"""Writes what a version of this project leaves behind, for the tests of later versions to go on with.

    python tests/upgrade/write.py WORKTREE tests/upgrade/VERSION.tar.xz

WORKTREE: the version's source tree, for example made by `git worktree add WORKTREE v0.1.0`. The archive holds

* `toy.yaml`, and `results/toy` with Snakemake's records of it, as a finished run leaves them;
* `interrupted/{search,augment}`: states of the trainings `search/s1` and `networks/random-00/seed1`, which got SIGTERM
  in the middle of their second epoch;
* `settings/{experiment}/{stage}.json`: the settings of all stages of all experiments of `toy.yaml`;
* `answers.json`: what `final.pt` says of four images.

It stays small: logs, benchmarks, figures and finished states are left out, and the second search's supernet, which is
there to be older than what was made from it, is empty.
"""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import torch

HERE = Path(__file__).parent
TARGETS = ("final.pt", "comparison.parquet", "search/s1/candidates.parquet", "networks/named/seed1/model.pt")
LEFT_OUT = ("results/toy/logs", "results/toy/benchmarks", "results/toy/_state")
EMPTIED = "results/toy/search/s2/supernet.pt"

SETTINGS = """
import sys
from pathlib import Path
from enas_core.settings.stages import STAGES, stage_settings, to_json
from enas_core.settings.workflow import load_workflow
for name, experiment in load_workflow(Path("toy.yaml")).experiments.items():
    for stage in STAGES:
        path = Path("settings", name, f"{stage}.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(to_json(stage_settings(name, experiment, stage)))
"""

ANSWERS = """
import json, torch, enas_core
network = enas_core.load("results/toy/final.pt")
images = torch.linspace(-2, 2, 4 * 64).reshape(4, 1, 8, 8)
print(json.dumps(network(images).tolist()))
"""


class Version:
    """A version of the project, at work in a folder."""

    def __init__(self, source: Path, folder: Path) -> None:
        self.source, self.folder = source, folder
        self.environment = os.environ | {"PYTHONPATH": str(source), "OMP_WAIT_POLICY": "PASSIVE"}

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, *map(str, arguments)]
        return subprocess.Popen(command, cwd=self.folder, env=self.environment, text=True, stdout=subprocess.PIPE)

    def run(self, *arguments: object) -> str:
        process = self.start(*arguments)
        printed, _ = process.communicate()
        assert process.returncode == 0, arguments
        return printed

    def interrupt(self, stage: str, output: str, *own: str) -> None:
        """Train once more what has written `output`, and send SIGTERM in the middle of the second epoch."""
        state = Path("interrupted", stage)
        process = self.start(
            *("-m", f"enas_core.{stage}", "--config", f"results/toy/config/{stage}.json", "--data", "results/toy/data"),
            *("--seed", 1, *own, "--out-dir", "again", "--state-dir", state, "--save-every", 1e-9, "--device", "cpu"),
        )
        while self.position(state) < (1, 1):
            assert process.poll() is None, "it has ended too soon"
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        process.wait()
        assert process.returncode == 128 + signal.SIGTERM
        epoch, step = self.position(state)
        print(f"{stage}: interrupted at epoch {epoch}, step {step}")
        assert (epoch, step > 0) == (1, True)
        for other in ("previous.state", "lock"):
            (self.folder / state / other).unlink(missing_ok=True)
        shutil.rmtree(self.folder / "again", ignore_errors=True)

    def position(self, state: Path) -> tuple[int, int]:
        """Epoch and step of the saved state; none yet, or between two of them: before everything."""
        try:
            _, _, payload = (self.folder / state / "current.state").read_bytes().partition(b"\n")
        except FileNotFoundError:
            return -1, 0
        at = torch.load(io.BytesIO(payload), weights_only=True)["run"]["at"]
        return at["epoch"], at["step"]


def kept(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """As nobody's file."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def pack(folder: Path, archive: Path) -> None:
    """What is needed of `folder`."""
    for left_out in LEFT_OUT:
        shutil.rmtree(folder / left_out, ignore_errors=True)
    emptied = folder / EMPTIED
    times = emptied.stat()
    emptied.write_bytes(b"")
    os.utime(emptied, ns=(times.st_atime_ns, times.st_mtime_ns))
    with tarfile.open(archive, "w:xz") as file:
        for path in ("toy.yaml", "results", ".snakemake/metadata", "interrupted", "settings", "answers.json"):
            file.add(folder / path, path, filter=kept)


def main() -> None:
    source, archive = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(HERE / "toy.yaml", folder)
        version = Version(source, folder)
        targets = [f"results/toy/{target}" for target in TARGETS]
        snakemake = ("-m", "snakemake", "--snakefile", source / "Snakefile", "--configfile", "toy.yaml")
        version.run(*snakemake, "--cores", 1, *targets, "--config", "device=cpu")
        (folder / "answers.json").write_text(version.run("-c", ANSWERS))
        version.run("-c", SETTINGS)
        version.interrupt("search", "search/s1")
        arc = ("--arc-file", "results/toy/arcs/random-00.txt", "--network", "random-00", "--role", "random")
        version.interrupt("augment", "networks/random-00/seed1", *arc)
        pack(folder, archive)
    print(f"{archive}: {archive.stat().st_size} bytes")


if __name__ == "__main__":
    main()
