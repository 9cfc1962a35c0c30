"""Plan the cost before paying it: which jobs a target needs, their device-hours, memory and wall-clock time.

Snakemake's dry run says which jobs are left, a short calibration what each costs.
"""

from __future__ import annotations

import heapq
import itertools
import re
import subprocess
import sys
from collections.abc import Collection, Sequence
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

from enas_core.console import UserError

RULE = re.compile(r"^(?:local)?rule (\w+):$")


FIELD = re.compile(r"^    (input|output|wildcards): (.*)$")


TOTAL = re.compile(r"^total +(\d+)$", re.MULTILINE)


ERROR = re.compile(r"^\w*(Error|Exception)\b.*:$")


AFTER_THE_MESSAGE = ("Traceback:", "Wildcards:", "  File ")


class Job(NamedTuple):
    """A job of the dry run; `needs`: positions of the jobs whose outputs it reads."""

    rule: str
    wildcards: dict[str, str]
    needs: frozenset[int]

    @property
    def experiment(self) -> str:
        """Name of the experiment, `-` for rules of none."""
        return self.wildcards.get("experiment", "-")


def dry_run(targets: Sequence[str], configfile: Path, more: Sequence[str]) -> str:
    """What Snakemake's dry run prints. Raises UserError, one line, when it fails."""
    command = [sys.executable, "-m", "snakemake", *targets, "--dry-run", "--configfile", str(configfile), *more]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise UserError(f"Snakemake's dry run failed: {explain(done.stdout)}")
    return done.stdout


def explain(printed: str) -> str:
    """The message in what a failed dry run printed: what follows `...Error in ...:`, or the last line."""
    lines = [line for line in printed.splitlines() if line.strip()] or ["no output"]
    first = next((i for i, line in enumerate(lines) if ERROR.match(line)), None)
    if first is None:
        return lines[-1]
    message = itertools.takewhile(lambda line: not line.startswith(AFTER_THE_MESSAGE), lines[first + 1 :])
    return " ".join(" ".join(message).split())[:500] or lines[first]


def read_jobs(printed: str) -> list[Job]:
    """The jobs of a dry run. Raises UserError when it is not printed in the form that is known."""
    blocks: list[dict[str, str]] = []
    block: dict[str, str] = {}
    for line in printed.splitlines():
        if found := RULE.match(line):
            block = {"rule": found[1]}
            blocks.append(block)
        elif found := FIELD.match(line):
            block.setdefault(found[1], found[2])
    totals = TOTAL.findall(printed)
    if not (len(blocks) == int(totals[0]) if totals else "Nothing to be done" in printed):
        raise UserError("Snakemake's dry run does not list its jobs as expected (no --quiet, please)")
    made_by = {file: i for i, block in enumerate(blocks) for file in _items(block, "output")}
    return [
        Job(
            block["rule"],
            dict(item.split("=", 1) for item in _items(block, "wildcards")),
            frozenset(made_by[file] for file in _items(block, "input") if file in made_by),
        )
        for block in blocks
    ]


def _items(block: dict[str, str], name: str) -> list[str]:
    return block[name].split(", ") if name in block else []


def chains(seconds: Sequence[float], needs: Sequence[Collection[int]]) -> list[float]:
    """For each job the seconds of the longest chain that starts with it."""
    longest = [0.0] * len(seconds)
    for job in reversed(_in_order(needs)):
        longest[job] += seconds[job]
        for earlier in needs[job]:
            longest[earlier] = max(longest[earlier], longest[job])
    return longest


def _in_order(needs: Sequence[Collection[int]]) -> list[int]:
    """All jobs, each after those that it needs."""
    return list(TopologicalSorter(dict(enumerate(needs))).static_order())


def makespan(seconds: Sequence[float], needs: Sequence[Collection[int]], devices: int) -> float:
    """Seconds until all jobs are done, when each free device takes the ready job with the longest chain behind it
    (list scheduling, Graham 1966). Jobs of 0 seconds take no device."""
    longest = chains(seconds, needs)
    order = TopologicalSorter(dict(enumerate(needs)))
    order.prepare()
    ready: list[tuple[float, int]] = []  # for a device, the longest chain first
    running: list[tuple[float, int]] = []  # those that end first come first
    now, free = 0.0, devices
    while order.is_active():
        instant = []
        for job in order.get_ready():
            if seconds[job] > 0:
                heapq.heappush(ready, (-longest[job], job))
            else:
                instant.append(job)
        if instant:
            order.done(*instant)
            continue  # with what these have made ready
        while ready and free:
            _, job = heapq.heappop(ready)
            heapq.heappush(running, (now + seconds[job], job))
            free -= 1
        if running:
            now, done = heapq.heappop(running)
            order.done(done)
            free += 1
    return now
