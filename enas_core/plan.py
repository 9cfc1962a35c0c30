"""Plan the cost before paying it: which jobs a target needs, their device-hours, memory and wall-clock time.

Snakemake's dry run says which jobs are left, a short calibration what each costs.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from enas_core.console import UserError
from enas_core.options import Parser, run_stage
from enas_core.planning.calibrate import Cost, calibrate
from enas_core.planning.costs import STAGE_OF, job_seconds, typical
from enas_core.planning.jobs import Job, chains, dry_run, makespan, read_jobs
from enas_core.settings.experiment import Experiment
from enas_core.settings.workflow import Workflow, load_workflow


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


def experiments_of(jobs: Sequence[Job], workflow: Workflow, configfile: Path) -> dict[str, Experiment]:
    """The settings of the experiments that have jobs. Raises UserError for one that is not in the file."""
    names = dict.fromkeys(job.experiment for job in jobs if job.experiment != "-")
    for name in names:
        if name not in workflow.experiments:
            allowed = ", ".join(workflow.experiments)
            raise UserError(f"{configfile}: experiments: {name!r} is not there; allowed: {allowed}")
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
