"""Stages and whole workflows, interrupted at random moments again and again, end as if nothing had happened."""

from __future__ import annotations

import random
import re
import signal
import subprocess
from collections import Counter
from contextlib import suppress
from pathlib import Path

import trials
from trials import Ended, ForkServer, Position
from workflows import REFUSED, Run, Workspace, check_no_traceback, wait_for

SIGNALS = [signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT]
FILE_OPERATIONS = {1e-6: 340, 2e-3: 90, 5.0: 45}
"""By minutes between two saves (after every step, some steps, every epoch): file operations of a run, about."""
STATE_BYTES = {"search": 859_000, "augment": 106_000}


def interrupted(
    chance: random.Random,
    server: ForkServer,
    stage: str,
    options: list[str],
    output: Path,
    seconds: float,
    operations: int,
) -> tuple[str, Ended]:
    """One run with one fault; what it was, and how the run ended."""
    kind = chance.choices(["moment", "file operation", "in a write", "disk full", "cold"], [10, 8, 2, 1, 1])[0]
    which = chance.choice(SIGNALS)
    if kind == "moment":
        delay = chance.uniform(0, seconds)
        return f"{which.name} at a moment", server.run(stage, options, output, delay=delay, signal=which)
    if kind == "file operation":
        event = chance.randrange(1, operations)
        return f"{which.name} at a file operation", server.run(stage, options, output, event=event, signal=which)
    if kind == "cold":
        ended = trials.run_cold(stage, options, chance.uniform(0, 8), which)
        return f"{which.name} at a moment, new interpreter", ended
    max_bytes, fatal = chance.randrange(5_000, STATE_BYTES[stage]), kind == "in a write"
    name = "SIGXFSZ in the middle of a write" if fatal else "file size limit"
    return name, server.run(stage, options, output, max_bytes=max_bytes, fatal=fatal)


def check_end(kind: str, ended: Ended) -> None:
    """A run that was interrupted says so, in its exit code and in a line."""
    name = kind.split()[0]
    if name.startswith("SIG"):
        number = signal.Signals[name]
        assert ended.code in (0, -number, 128 + number), ended.output
        if ended.code == 128 + number:
            assert re.search(f"{name}: state saved in|error: interrupted", ended.output)
    else:
        assert ended.code in (0, 2), ended.output
        assert ended.code == 0 or ended.output.splitlines()[-1].endswith(": File too large")
    check_no_traceback(ended.output)  # but of Python itself, while it starts


def check_start(before: Position | None, ended: Ended) -> None:
    """A run that got as far as its state used the newest whole one."""
    if "state " not in ended.output or "state saved" in ended.output.splitlines()[0]:
        return
    if before is None:
        assert ": none to resume, starting from the beginning" in ended.output
    elif before.finished:
        assert ": used, of a run that had finished" in ended.output
    elif "goes on at" in ended.output:
        assert f" goes on at {before}\n" in ended.output


def test_nothing_lost_nothing_different(
    campaign_seed: int,
    inputs: Path,
    server: ForkServer,
    references: dict[str, trials.Reference],
    tmp_path: Path,
    counts: Counter,
) -> None:
    chance, kills = random.Random(campaign_seed), 0
    while kills < trials.KILLS_A_SEED:
        stage, save_every = chance.choice(list(references)), chance.choice(list(FILE_OPERATIONS))
        reference = references[stage]
        trials.clear(tmp_path)
        output, state = tmp_path / "output", tmp_path / "state"
        options = trials.arguments(stage, inputs, tmp_path, save_every)
        before = None
        for _ in range(chance.randrange(1, trials.KILLS_A_SEED + 1)):
            kind, ended = interrupted(
                chance, server, stage, options, output, reference.seconds, FILE_OPERATIONS[save_every]
            )
            check_end(kind, ended)
            check_start(before, ended)
            after = trials.newest(state)
            if ended.code == 0:
                break
            kills += kind.startswith("SIG")
            counts[f"stage: {kind}"] += 1
            assert before is None or (after is not None and after >= before)  # nothing lost
            epochs = re.findall(r"  epoch (\d+)/", ended.output)
            assert len(epochs) < 2 or after >= Position(False, int(epochs[-2]), 0)  # saved after each epoch
            if chance.random() < 0.25 and (state / "current.state").exists():
                trials.damage(state / "current.state", chance)
                counts["stage: damaged state"] += 1
                after = trials.newest(state)
            before = after
        else:
            ended = server.run(stage, options, output)
            check_start(before, ended)
            assert ended.code == 0, ended.output
        trials.assert_same_outputs(stage, tmp_path, reference.folder)
        assert {path.name for path in state.iterdir()} <= {"current.state", "previous.state", "lock", "progress.json"}
        counts["stage: resumed run compared with the undisturbed one"] += 1


WORKFLOW_FAULTS = {
    "SIGKILL of the process group": 5,
    "SIGKILL of Snakemake alone": 2,
    "SIGTERM to the process group": 1,
    "SIGINT to the process group": 1,
}
"""How often each is chosen."""
NUM_JOBS = re.compile(r"^total +(\d+)", re.MULTILINE)
START_SECONDS = 3.0
"""About as long as Snakemake takes to start."""


def interrupt(chance: random.Random, kind: str, run: Run, whole: Workspace) -> str | None:
    """Do to the rest of a workflow what `kind` says, at a moment in a random one of its jobs; says in which. None where
    it has ended before."""
    where, seconds = "the start", START_SECONDS
    if chance.random() < 0.9:
        wait_for(lambda: run.has_ended() or NUM_JOBS.search(run.printed) is not None)
        found = NUM_JOBS.search(run.printed)
        jobs = int(found[1]) if found else 1
        job = int(jobs * chance.random() ** 2)  # rather an early one: each run does the rest of the one before
        wait_for(lambda: run.has_ended() or len(run.rules()) > job)
        if len(run.rules()) > job:
            where = run.rules()[job]
            seconds = whole.seconds(where)
    with suppress(subprocess.TimeoutExpired):
        run.process.wait(chance.uniform(0, seconds))
    if run.has_ended():
        return None
    run.send(signal.Signals[kind.split()[0]], alone="alone" in kind)
    run.end()
    return where


def test_whole_workflows(workflow_seed: int, whole: Workspace, tmp_path: Path, counts: Counter) -> None:
    chance, kills = random.Random(workflow_seed), 0
    while kills < trials.KILLS_A_SEED:
        trials.clear(tmp_path)
        workspace = Workspace(tmp_path)
        for _ in range(trials.KILLS_A_SEED):
            (kind,) = chance.choices(list(WORKFLOW_FAULTS), list(WORKFLOW_FAULTS.values()))
            run = workspace.start(cores=2, save_every=chance.choice([1e-6, 5.0]))
            where = interrupt(chance, kind, run, whole)
            if run.end() == 0:
                break
            if where is None:  # refused by a training that has outlived an earlier Snakemake
                assert REFUSED in run.printed, run.printed
                workspace.wait_until_nothing_runs()
                counts["workflow: refused beside a training that had outlived its Snakemake"] += 1
                continue
            check_no_traceback(run.printed)
            kills += 1
            counts[f"workflow: {kind} in {where}"] += 1
            workspace.unlock()
        workspace.wait_until_nothing_runs()
        workspace.again(cores=2)
        workspace.assert_same_results(whole)
        workspace.assert_nothing_to_do()
        counts["workflow: resumed run compared with the undisturbed one"] += 1
