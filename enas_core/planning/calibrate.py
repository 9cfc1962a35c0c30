"""A short calibration: what real steps of a stage cost here, on random images of a dataset's shape.

Every measurement has a process of its own, so that the peak memory is its own.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import re
import statistics
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from enas_core.console import RunError, log
from enas_core.settings.dataset import DATASETS, Source
from enas_core.settings.experiment import Experiment
from enas_core.settings.stages import AugmentSettings, SearchSettings, SelectArcSettings, stage_settings
from enas_core.spaces.micro.settings import MicroSettings
from enas_core.spaces.micro.space import Micro
from enas_core.spaces.space import Arc

if TYPE_CHECKING:
    import torch

    from enas_core.data.prepared import Dataset


ARCS = 3
"""Random arcs whose training is measured."""


WARM_UP = 1


LAPS, AUGMENT_LAPS = 4, 1
"""Laps that count, of the supernet with its different arcs, and of each network of one arc."""


BLOCK = {"cpu": 1, "cuda": 10}
"""Steps a lap: to wait for a GPU after every step would slow it down."""


class Cost(NamedTuple):
    """Measured of one stage: seconds until it is under way, of one training step, of one batch's evaluation, and of
    what comes once an update (search) or once an arc (select_arc); peak memory, bytes; device."""

    start: float
    step: float
    forward: float
    once: float
    memory: int
    device: str


def num_test(source: Source) -> int:
    """Number of test images."""
    available = DATASETS[source.name].test_images or source.split_test_images or 0
    return min(available, source.max_test_images or available)


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

    from enas_core.data.prepared import Dataset, Manifest, Split

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
    from enas_core.training.supernet import SearchRun

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

    from enas_core.policies.controller import Controller
    from enas_core.spaces.layers import initialise
    from enas_core.spaces.measure import count_macs
    from enas_core.training.compilation import accelerate
    from enas_core.training.run import build_supernet
    from enas_core.training.scoring import policy_samples, valid_accuracy

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
    from enas_core.training.evaluation import evaluate_network
    from enas_core.training.network import AugmentRun

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
    from enas_core.training.device import describe_device

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
        from enas_core.training.device import pick_device

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
    space = Micro(MicroSettings(num_nodes=experiment.num_nodes))
    arcs = space.baseline(experiment.baseline.sampler, experiment.baseline.seed, ARCS)
    return [measure(stage, settings, device, source, arc) for arc in arcs]
