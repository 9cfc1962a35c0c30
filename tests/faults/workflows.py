"""Runs the real workflow on tiny data, in processes that can be found, stopped and killed."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import torch
import trials
import yaml

from enas_core.files.schemas import BY_MACHINE

ROOT = Path(__file__).parents[2]
TIME_LIMIT = 1800  # seconds for anything that is waited for: a hang is found, a busy machine is none
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
EXPERIMENT = trials.EXPERIMENT | {"baseline": {"num_arcs": 1}}
EVERYTHING = ("results/tiny/comparison.parquet", "results/tiny/final.pt")
REFUSED = "in use by another process"


def check_no_traceback(printed: str) -> None:
    """None of the commands'; those of Snakemake, and of the scripts that it runs, are not theirs."""
    for block in re.findall(r"^ *Traceback \(.*\n(?: +.*\n)*", printed, re.MULTILINE):
        of_snakemake = "/snakemake/cli.py" in block or "/.snakemake/scripts/" in block
        assert "/enas_core/" not in block or of_snakemake, printed


def check_full_disk(printed: str) -> None:
    """What a stage says of a disk that is full is one line."""
    check_no_traceback(printed)
    for line in re.findall(r"^error: .*", printed, re.MULTILINE):
        assert line.endswith(("No space left on device", "File too large")), printed


def stop_before(stage: str, file: str) -> dict[str, str]:
    """What to start the workflow with, so that a stage stops just before a file of its takes its name."""
    return {"PYTHONPATH": str(Path(__file__).with_name("hook")), "STOP_BEFORE": f"{stage} {file}"}


def wait_for(condition: Callable[[], bool], every: float = 0.05) -> None:
    """Until it holds; asked every so many seconds."""
    end = time.monotonic() + TIME_LIMIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(every)


class Run:
    """A Snakemake that has been started, in a process group of its own."""

    def __init__(
        self, command: Sequence[str], folder: Path, environment: dict[str, str], output: Path | None, max_bytes: int
    ) -> None:
        def prepare() -> None:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored, where the tests run in the background
            resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, max_bytes))

        self._output = output
        with output.open("w") if output is not None else contextlib.nullcontext(subprocess.PIPE) as to:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=ENVIRONMENT | environment,
                stdin=subprocess.DEVNULL,
                stdout=to,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=prepare,
            )

    @property
    def printed(self) -> str:
        """What it and its jobs have written so far, unless to a terminal."""
        assert self._output is not None
        return self._output.read_text()

    def rules(self) -> list[str]:
        """Names of the rules of the jobs that it has started."""
        return re.findall(r"^(?:local)?rule (\w+):", self.printed, re.MULTILINE)

    def has_ended(self) -> bool:
        """Whether it has."""
        return self.process.poll() is not None

    def end(self) -> int:
        """Its exit code, once it has ended."""
        return self.process.wait(TIME_LIMIT)

    def close_terminal(self) -> None:
        """Whatever still writes there fails."""
        assert self.process.stdout is not None
        self.process.stdout.close()

    def send(self, number: int, alone: bool = False) -> None:
        """Send a signal to the process group, as a terminal does, or to Snakemake alone."""
        if alone:
            self.process.send_signal(number)
        else:
            os.killpg(self.process.pid, number)


class Workspace:
    """A working folder, and the command that makes `targets` in it."""

    def __init__(self, folder: Path, targets: Sequence[str] = EVERYTHING, config: Path | None = None) -> None:
        self.folder, self.targets = folder.resolve(), targets
        self.results = folder / "results/tiny"
        self.config = config or folder / "config.yaml"
        self.output = "snakemake"
        """How the files begin into which it writes what it says."""
        self._starts = 0
        if config is None:
            self.config.write_text(yaml.safe_dump({"experiments": {"tiny": EXPERIMENT}}))

    def copied_to(self, folder: Path, *targets: str) -> Workspace:
        """A copy of all that is there, to make `targets` in, or the same ones."""
        subprocess.run(["cp", "-a", f"{self.folder}/.", str(folder)], check=True)
        return Workspace(folder, targets or self.targets)

    def start(
        self,
        *options: str,
        cores: int = 1,
        save_every: float = 0.002,
        max_bytes: int = resource.RLIM_INFINITY,
        to_terminal: bool = False,
        **environment: str,
    ) -> Run:
        """The command. `max_bytes`: the largest file that it and its jobs can write. `to_terminal`: they write
        to one, so to speak, and not to a file."""
        command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "-d", str(self.folder)]
        command += ["--configfile", str(self.config), "--cores", str(cores)]
        command += ["--profile", str(ROOT / "workflow/profiles/default"), "--config", f"save_every={save_every}"]
        # With the names of the rules, which the profile replaces by short lines.
        command += ["device=cpu", "--quiet", "host", *options, "--", *self.targets]
        self._starts += 1
        output = None if to_terminal else self.folder / f"{self.output}-{self._starts}.output"
        return Run(command, self.folder, environment, output, max_bytes)

    def unlock(self) -> None:
        """As Snakemake asks for after it was killed."""
        assert self.start("--unlock").end() == 0

    def again(self, *options: str, **how: int) -> Run:
        """The same command, unlocked first where Snakemake asks for it, to its successful end."""
        run = self.start(*options, **how)
        if run.end() != 0 and "--unlock" in run.printed:
            self.unlock()
            run = self.start(*options, **how)
        assert run.end() == 0, run.printed
        return run

    def processes(self) -> Iterator[tuple[int, str]]:
        """Process id and command line of what works in the folder."""
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if process.joinpath("cwd").readlink() == self.folder:
                    yield int(process.name), process.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode()
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue  # it has ended, or is somebody else's

    def stopped(self, stage: str) -> int | None:
        """Process id of the stage that tests/faults/hook has stopped; None before."""
        for pid, command in self.processes():
            is_python = "python" in command.partition(" ")[0]
            if is_python and f"-m enas_core.{stage} " in command and _state(pid) == "T":
                return pid
        return None

    def wait_until_nothing_runs(self) -> None:
        """Until what has outlived its Snakemake has ended."""
        wait_for(lambda: not list(self.processes()))

    def assert_same_results(self, other: Workspace) -> None:
        """Equal to the bit but for times; and nothing lies beside the results."""
        found, expected = self._files(), other._files()
        assert found.keys() == expected.keys()
        for name, path in found.items():
            _assert_same_file(path, expected[name])

    def _files(self) -> dict[str, Path]:
        """All results, by their name in the folder."""
        skipped = {"_state", "logs", "benchmarks"}
        files = (path for path in self.results.rglob("*") if path.is_file())
        names = {str(path.relative_to(self.results)): path for path in files}
        return {name: path for name, path in sorted(names.items()) if Path(name).parts[0] not in skipped}

    def seconds(self, rule: str) -> float:
        """How long the longest job of a rule took, with its start."""
        tables = self.results.glob(f"benchmarks/{rule}*.tsv")
        return max(float(path.read_text().splitlines()[1].split()[0]) for path in tables)

    def assert_nothing_to_do(self) -> None:
        """Nothing is out of date."""
        dry = self.start("--dry-run")
        assert dry.end() == 0, dry.printed
        assert "Nothing to be done" in dry.printed, dry.printed


def _state(pid: int) -> str:
    """A letter, as `ps` shows it: T for stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def _assert_same_file(found: Path, expected: Path) -> None:
    if found.suffix == ".parquet":
        tables = [pq.read_table(path).to_pydict() for path in (found, expected)]
        rows = [{name: values for name, values in table.items() if name not in BY_MACHINE} for table in tables]
        trials.assert_same(*rows)
    elif found.suffix == ".pt":
        trials.assert_same(*(torch.load(path, weights_only=True) for path in (found, expected)))
    elif found.suffix != ".csv":  # which has times among its columns, those of a table beside it
        assert found.read_bytes() == expected.read_bytes(), found
