"""Plan the cost before paying it: which jobs a target needs, their device-hours, memory and wall-clock time.

Snakemake's dry run says which jobs are left, a short calibration what each costs.
"""

from __future__ import annotations

import argparse
import datetime
import heapq
import itertools
import re
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from enas_core.calibrate import Cost, calibrate, num_test
from enas_core.cli import Parser, run_stage
from enas_core.config import Experiment, Workflow, load_workflow
from enas_core.schedule import steps_per_epoch

# --- jobs ---------------------------------------------------------------------------------------

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
    """What Snakemake's dry run prints. Raises ValueError, one line, when it fails."""
    command = [sys.executable, "-m", "snakemake", *targets, "--dry-run", "--configfile", str(configfile), *more]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise ValueError(f"Snakemake's dry run failed: {explain(done.stdout)}")
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
    """The jobs of a dry run. Raises ValueError when it is not printed in the form that is known."""
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
        raise ValueError("Snakemake's dry run does not list its jobs as expected (no --quiet, please)")
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


# --- estimates ----------------------------------------------------------------------------------


def typical(costs: Sequence[Cost]) -> Cost:
    """The medians, but of memory the most."""
    seconds = [statistics.median(cost[i] for cost in costs) for i in range(4)]
    return Cost(*seconds, max(cost.memory for cost in costs), costs[0].device)


def search_seconds(experiment: Experiment, cost: Cost) -> float:
    """Of one search: steps, rewards and updates of the controller, validation and test of each epoch."""
    search, data = experiment.search, experiment.dataset
    steps = steps_per_epoch(data.num_train - search.valid_images, search.batch_size)
    evaluations = sum(steps_per_epoch(n, search.batch_size) for n in (search.valid_images, num_test(data)))
    updates = search.controller.updates_per_epoch if search.policy == "controller" else 0
    rewards = updates * search.controller.arcs_per_update
    epoch = steps * cost.step + (rewards + evaluations) * cost.forward + updates * cost.once
    return cost.start + search.num_epochs * epoch


def scoring_seconds(experiment: Experiment, cost: Cost, arcs: int) -> float:
    """Of scoring so many arcs on the validation images."""
    batches = steps_per_epoch(experiment.search.valid_images, experiment.search.batch_size)
    return cost.start + arcs * (cost.once + batches * cost.forward)


def augment_seconds(experiment: Experiment, cost: Cost) -> float:
    """Of one training, with its test after each epoch."""
    augment, data = experiment.augment, experiment.dataset
    train, test = (steps_per_epoch(n, augment.batch_size) for n in (data.num_train, num_test(data)))
    return cost.start + augment.num_epochs * (train * cost.step + test * cost.forward)


STAGE_OF = {"search": "search", "select_arc": "select_arc", "score_arcs": "select_arc", "augment": "augment"}
"""The rules whose jobs hold a device, and the stage that is measured for each."""


def job_seconds(rule: str, experiment: Experiment, cost: Cost) -> float:
    """Estimated seconds of one job of a rule of `STAGE_OF`."""
    if rule == "search":
        return search_seconds(experiment, cost)
    if rule == "augment":
        return augment_seconds(experiment, cost)
    baselines = experiment.baseline.num_arcs + len(experiment.arcs)
    return scoring_seconds(experiment, cost, experiment.select.num_candidates if rule == "select_arc" else baselines)


# --- wall-clock time ----------------------------------------------------------------------------


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
    order: dict[int, None] = {}
    while len(order) < len(needs):
        order |= dict.fromkeys(i for i, before in enumerate(needs) if i not in order and order.keys() >= set(before))
    return list(order)


def makespan(seconds: Sequence[float], needs: Sequence[Collection[int]], devices: int) -> float:
    """Seconds until all jobs are done, when each free device takes the ready job with the longest chain behind it
    (list scheduling, Graham 1966). Jobs of 0 seconds take no device."""
    longest = chains(seconds, needs)
    waiting = {i: set(before) for i, before in enumerate(needs)}
    running: list[tuple[float, int]] = []
    now, free = 0.0, devices
    while waiting or running:
        ready = sorted((i for i, before in waiting.items() if not before), key=lambda i: (seconds[i] > 0, -longest[i]))
        for job in ready:
            if seconds[job] == 0 or free:
                del waiting[job]
                free -= seconds[job] > 0
                heapq.heappush(running, (now + seconds[job], job))
        now, done = heapq.heappop(running)
        free += seconds[done] > 0
        for before in waiting.values():
            before.discard(done)
    return now


# --- printing -----------------------------------------------------------------------------------


def as_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Aligned lines, the first two columns to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    aligns = [str.ljust if i < 2 else str.rjust for i in range(len(widths))]
    return ["  ".join(f(c, w) for f, c, w in zip(aligns, row, widths, strict=True)).rstrip() for row in rows]


def describe_costs(name: str, stage: str, costs: Sequence[Cost]) -> str:
    """What was measured of one stage."""
    cost = typical(costs)
    parts = [f"start {cost.start:.1f} s"]
    if stage != "select_arc":
        spread = f" ({min(c.step for c in costs):.3g} to {max(c.step for c in costs):.3g}, {len(costs)} random arcs)"
        parts.append(f"step {cost.step:.3g} s{spread if len(costs) > 1 else ''}")
    parts.append(f"evaluated batch {cost.forward:.3g} s")
    if stage == "search":
        parts.append(f"controller update {cost.once:.3g} s")
    return f"{name} {stage}: {', '.join(parts)}; {cost.device}"


def describe_jobs(jobs: Sequence[Job], seconds: Sequence[float], costs: dict[tuple[str, str], list[Cost]]) -> list[str]:
    """The table of experiments and rules."""
    rows = [["experiment", "rule", "jobs", "device-hours", "peak GB"]]
    groups = Counter((job.experiment, job.rule) for job in jobs)
    for (name, rule), count in sorted(groups.items(), key=lambda group: group[0][0]):
        measured = costs.get((name, STAGE_OF.get(rule, "")))
        total = sum(s for job, s in zip(jobs, seconds, strict=True) if (job.experiment, job.rule) == (name, rule))
        memory = f"{typical(measured).memory / 1e9:.2f}" if measured else "-"
        rows.append([name, rule, str(count), hours(total) if measured else "-", memory])
    most = max((cost.memory for measured in costs.values() for cost in measured), default=0)
    rows.append(["total", "", str(len(jobs)), hours(sum(seconds)), f"{most / 1e9:.2f}"])
    return as_table(rows)


def hours(seconds: float) -> str:
    """With three significant digits, and all digits of large numbers."""
    return f"{seconds / 3600:.3g}" if seconds < 3.6e6 else f"{seconds / 3600:.0f}"


def duration(seconds: float) -> str:
    """As [days,] h:mm:ss."""
    return str(datetime.timedelta(seconds=round(seconds)))


def describe_wall_clock(jobs: Sequence[Job], seconds: Sequence[float], devices: Sequence[int]) -> list[str]:
    """Time for each number of devices, and the longest chain, which no number of them shortens."""
    needs = [job.needs for job in jobs]
    rows = [["devices", "", "wall-clock time"]]
    rows += [[str(n), "", duration(makespan(seconds, needs, n))] for n in devices]
    return [*as_table(rows), f"The longest chain of jobs takes {duration(max(chains(seconds, needs)))}."]


NOTES = """\
Measured on random images; medians of a few steps, each of an arc that the untrained policy samples (search, select_arc)
or of random arcs (augment: found arcs tend to cost more). An interrupted training's remaining part is counted whole.
Rules without a figure take seconds to minutes, a first download aside. On a CPU a device is cores for one training."""


# --- command line -------------------------------------------------------------------------------


def experiments_of(jobs: Sequence[Job], workflow: Workflow, configfile: Path) -> dict[str, Experiment]:
    """The settings of the experiments that have jobs. Raises ValueError for one that is not in the file."""
    names = dict.fromkeys(job.experiment for job in jobs if job.experiment != "-")
    for name in names:
        if name not in workflow.experiments:
            allowed = ", ".join(workflow.experiments)
            raise ValueError(f"{configfile}: experiments: {name!r} is not there; allowed: {allowed}")
    return {name: workflow.experiments[name] for name in names}


def run(options: argparse.Namespace, more: Sequence[str]) -> None:
    """Print the plan. `more`: further arguments for Snakemake."""
    workflow = load_workflow(options.configfile)
    jobs = read_jobs(dry_run(options.targets, options.configfile, more))
    if not jobs:
        return print("nothing to do: all files are there and up to date")
    experiments = experiments_of(jobs, workflow, options.configfile)
    stages = dict.fromkeys((job.experiment, STAGE_OF[job.rule]) for job in jobs if job.rule in STAGE_OF)
    costs = {(name, stage): calibrate(name, experiments[name], stage, options.device) for name, stage in stages}
    seconds = [
        job_seconds(job.rule, experiments[job.experiment], typical(costs[job.experiment, STAGE_OF[job.rule]]))
        if job.rule in STAGE_OF
        else 0.0
        for job in jobs
    ]
    measured = [describe_costs(*key, value) for key, value in costs.items()]
    table = describe_jobs(jobs, seconds, costs)
    print("\n".join([*measured, "", *table, "", *describe_wall_clock(jobs, seconds, options.gpus), "", NOTES]))


def counts(text: str) -> list[int]:
    """`1,2,4`."""
    parts = text.split(",")
    if not all(re.fullmatch(r"[1-9]\d{0,5}", part) for part in parts):
        raise argparse.ArgumentTypeError(f"{text[:80]!r}: allowed are numbers from 1 with commas between them")
    return [int(part) for part in parts]


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    own = list(itertools.takewhile(lambda argument: argument != "--", arguments))
    parser = Parser(
        "plan",
        "Estimate device-hours, memory and wall-clock time of the jobs that are left for some targets, from Snakemake's"
        " dry run and a short calibration. What follows -- is given to Snakemake.",
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="as for snakemake (default: its default target)")
    parser.add_argument(
        "--configfile", type=Path, default=Path("config.yaml"), help="file with the experiments (default: %(default)s)"
    )
    parser.add_device()
    parser.add_argument(
        "--gpus",
        type=counts,
        default="1,2,4,8",
        metavar="N,...",
        help="numbers of GPUs to plan for (default: %(default)s)",
    )
    return run_stage(parser, lambda options: run(options, arguments[len(own) + 1 :]), own)


if __name__ == "__main__":
    sys.exit(main())
