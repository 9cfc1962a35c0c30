"""Plan the cost before paying it: which jobs a target needs, their device-hours, memory and wall-clock time.

Snakemake's dry run says which jobs are left. A short calibration, real steps on random images of the dataset's
shape, says what each costs; every measurement has a process of its own, so that the peak memory is its own.
"""

from __future__ import annotations

import argparse
import datetime
import heapq
import itertools
import multiprocessing
import os
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from enas_core.arc import Arc
from enas_core.cli import Parser, RunError, log, run_stage
from enas_core.config import (
    DATASETS,
    AugmentSettings,
    Experiment,
    SearchSettings,
    SelectArcSettings,
    Source,
    Workflow,
    load_workflow,
    stage_settings,
)
from enas_core.random_arcs import draw_arcs
from enas_core.schedule import steps_per_epoch

if TYPE_CHECKING:
    import torch

    from enas_core.data import Dataset

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


class Cost(NamedTuple):
    """Measured of one stage: seconds until it is under way, of one training step, of one batch's evaluation, and of
    what comes once an update (search) or once an arc (select_arc); peak memory, bytes; device."""

    start: float
    step: float
    forward: float
    once: float
    memory: int
    device: str


def typical(costs: Sequence[Cost]) -> Cost:
    """The medians, but of memory the most."""
    seconds = [statistics.median(cost[i] for cost in costs) for i in range(4)]
    return Cost(*seconds, max(cost.memory for cost in costs), costs[0].device)


def num_test(source: Source) -> int:
    """Number of test images."""
    available = DATASETS[source.name].test_images or source.split_test_images or 0
    return min(available, source.max_test_images or available)


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


# --- calibration --------------------------------------------------------------------------------

ARCS = 3
"""Random arcs whose training is measured."""
WARM_UP = 1
LAPS, AUGMENT_LAPS = 4, 1
"""Laps that count, of the supernet with its different arcs, and of each network of one arc."""
BLOCK = {"cpu": 1, "cuda": 10}
"""Steps a lap: to wait for a GPU after every step would slow it down."""


class Clock:
    """In place of a run's `Saver`, whose `step` is called after each step: notes when laps end."""

    def __init__(self, device: str) -> None:
        self.device, self.steps, self.marks = device, 0, [time.monotonic()]

    def step(self) -> None:
        """One more step is done."""
        self.steps += 1
        if self.steps % BLOCK[self.device] == 0:
            if self.device == "cuda":
                import torch

                torch.cuda.synchronize()
            self.marks.append(time.monotonic())

    def seconds(self) -> float:
        """Of one step: the median lap after the warm-up."""
        laps = [after - before for before, after in itertools.pairwise(self.marks)]
        return statistics.median(laps[WARM_UP:]) / BLOCK[self.device]

    def start(self, began: float) -> float:
        """Seconds from `began` to the end of the warm-up, less what its steps take when warm."""
        return max(0.0, self.marks[WARM_UP] - began - WARM_UP * BLOCK[self.device] * self.seconds())


def random_images(source: Source, least: int, device: torch.device) -> Dataset:
    """As many random images as the dataset has (they take memory), and at least so many in each part."""
    import torch

    from enas_core.data import Dataset, Manifest, Split

    size, channels, classes = DATASETS[source.name][2:]
    scale, shift = torch.ones(2, channels, device=device) / 255

    def split(count: int) -> Split:
        images = torch.randint(256, (max(count, least), size, size, channels), dtype=torch.uint8, device=device)
        return Split(images, torch.randint(classes, (len(images),), device=device), scale, shift)

    manifest = Manifest(
        format=1,
        dataset=source.name,
        classes=[str(i) for i in range(classes)],
        image_shape=(size, size, channels),
        mean=[0.5] * channels,
        std=[0.5] * channels,
        sha256={},
    )
    return Dataset(split(source.num_train), split(num_test(source)), manifest)


def measure_search(settings: SearchSettings, source: Source, device: torch.device, began: float) -> Cost:
    """Steps, evaluations and controller updates of a search; each step and evaluation samples an arc of its own."""
    from enas_core.search import SearchRun

    search = settings.search
    images = search.batch_size * BLOCK[device.type] * (WARM_UP + LAPS)
    data = random_images(source, search.valid_images + images, device)
    short = data._replace(train=data.train.part(0, search.valid_images + images))
    run = SearchRun(settings=settings, data=short, seed=0, device=device)
    steps = Clock(device.type)
    run.train_children(steps)
    forwards = Clock(device.type)
    run.mean_accuracy(run.train_split, "valid", forwards)
    arcs = run.arcs(search.controller.arcs_per_update, "reward arcs", 0)
    updates = Clock("cpu")
    for _ in range(WARM_UP + LAPS):
        run.reinforce.update(arcs, [0.5] * len(arcs))
        updates.step()
    return _cost(device, began, [steps, forwards], updates)


def measure_select_arc(settings: SelectArcSettings, source: Source, device: torch.device, began: float) -> Cost:
    """Scoring of arcs that an untrained policy samples, on a few validation batches; sizes are counted once an arc."""
    import torch

    from enas_core.controller import Controller
    from enas_core.engine import accelerate, build_supernet
    from enas_core.network import count_macs
    from enas_core.ops import initialise
    from enas_core.select_arc import policy_samples, valid_accuracy

    search, generator, batches = settings.search, torch.Generator().manual_seed(0), BLOCK[device.type]
    data = random_images(source, search.batch_size * batches, device)
    supernet = build_supernet(settings, data)
    initialise(supernet, search.init_fan_in, generator)
    accelerate(supernet.to(device), settings, device)
    samples = policy_samples(settings, Controller(search.controller, settings.num_nodes, generator), seed=0)
    arcs = list(itertools.islice(itertools.chain.from_iterable(samples), batches * (WARM_UP + LAPS)))
    scores = Clock(device.type)
    for arc in arcs:
        valid_accuracy(supernet, arc, data.train.part(0, search.batch_size * batches), search.batch_size)
        scores.step()
    with torch.device("meta"):
        shape_only = build_supernet(settings, data)
    sizes = Clock("cpu")
    for arc in arcs[: WARM_UP + LAPS]:
        count_macs(shape_only, data.in_channels, data.image_size, arc)
        sizes.step()
    cost = _cost(device, began, [scores], sizes)
    return cost._replace(step=0.0, forward=cost.step / batches)


def measure_augment(settings: AugmentSettings, source: Source, device: torch.device, began: float, arc: Arc) -> Cost:
    """Steps and evaluations of one arc's training."""
    from enas_core.augment import AugmentRun
    from enas_core.engine import evaluate_network

    batch = settings.augment.batch_size
    images = batch * BLOCK[device.type] * (WARM_UP + AUGMENT_LAPS)
    data = random_images(source, images, device)
    short = data._replace(train=data.train.part(0, images))
    run = AugmentRun(settings=settings, data=short, arc=arc, network="random", seed=0, device=device)
    steps = Clock(device.type)
    run.train_epoch(steps)
    forwards = Clock(device.type)
    evaluate_network(run.network, data.test.part(0, images), batch, forwards.step)
    return _cost(device, began, [steps, forwards])


def _cost(device: torch.device, began: float, clocks: Sequence[Clock], once: Clock | None = None) -> Cost:
    """`clocks`: of steps, and of evaluations where they are another thing; each has a start of its own."""
    from enas_core.engine import describe_device

    start = sum(clock.start(began if clock is clocks[0] else clock.marks[0]) for clock in clocks)
    seconds = clocks[0].seconds(), clocks[-1].seconds(), once.seconds() if once else 0.0
    return Cost(start, *seconds, peak_memory(device), describe_device(device))


def peak_memory(device: torch.device) -> int:
    """Bytes that this process has held at most: allocated on the GPU, or resident."""
    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return 1024 * int(re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[1])


MEASURE: dict[str, Callable[..., Cost]] = {
    "search": measure_search,
    "select_arc": measure_select_arc,
    "augment": measure_augment,
}


def _child(answer: Connection, stage: str, settings: Any, device: str, *facts: Any) -> None:
    """A measurement in a process of its own; answers with a Cost or with the exception."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the workflow sets it, and before torch is there
    try:
        from enas_core.engine import pick_device

        source, began, *arc = facts
        answer.send(MEASURE[stage](settings, source, pick_device(device, settings.cpu_threads), began, *arc))
    except Exception as error:
        answer.send(error)


def measure(stage: str, settings: Any, device: str, source: Source, *arc: Arc) -> Cost:
    """The cost of a stage with these settings. Raises what the measurement raises, RunError when it is killed."""
    context = multiprocessing.get_context("spawn")
    answer, sender = context.Pipe(duplex=False)
    arguments = (sender, stage, settings, device, source, time.monotonic(), *arc)
    process = context.Process(target=_child, args=arguments, daemon=True)
    process.start()
    sender.close()
    try:
        result = answer.recv()
        process.join()
    except EOFError:
        what = f"the calibration of {settings.experiment} {stage}"
        raise RunError(f"{what} was killed: the memory may not suffice") from None
    finally:
        process.kill()
    if isinstance(result, Exception):
        raise result
    return result


def calibrate(name: str, experiment: Experiment, stage: str, device: str) -> list[Cost]:
    """The costs of a stage of the experiment called `name`; of augment, one for each of several random arcs."""
    settings, source = stage_settings(name, experiment, stage), stage_settings(name, experiment, "prepare_data").dataset
    log.info("measuring %s %s ...", name, stage)
    if stage != "augment":
        return [measure(stage, settings, device, source)]
    arcs = draw_arcs(experiment.baseline, experiment.num_nodes, ARCS)
    return [measure(stage, settings, device, source, arc) for arc in arcs]


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
