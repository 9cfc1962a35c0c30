"""Runs that are interrupted at random moments, again and again, end as if nothing had happened."""

from __future__ import annotations

import random
import re
import signal
from collections import Counter
from pathlib import Path

import trials
from trials import Ended, ForkServer, Position

SIGNALS = [signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT]
FILE_OPERATIONS = {1e-6: 300, 2e-3: 80, 5.0: 40}
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
    if kind != "SIGINT at a moment, new interpreter":  # while it starts, Python itself answers SIGINT
        assert "Traceback" not in ended.output


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
            counts[kind] += 1
            assert before is None or (after is not None and after >= before)  # nothing lost
            epochs = re.findall(r"  epoch (\d+)/", ended.output)
            assert len(epochs) < 2 or after >= Position(False, int(epochs[-2]), 0)  # saved after each epoch
            if chance.random() < 0.25 and (state / "current.state").exists():
                trials.damage(state / "current.state", chance)
                counts["damaged state"] += 1
                after = trials.newest(state)
            before = after
        else:
            ended = server.run(stage, options, output)
            check_start(before, ended)
            assert ended.code == 0, ended.output
        trials.assert_same_outputs(stage, tmp_path, reference.folder)
        assert {path.name for path in state.iterdir()} <= {"current.state", "previous.state", "lock"}
        counts["resumed run compared with the undisturbed one"] += 1
