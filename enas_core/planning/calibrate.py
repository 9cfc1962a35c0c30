"""A short calibration: what real steps of a stage cost here, on random images of a dataset's shape.

Every measurement has a process of its own, so that the peak memory is its own.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, NamedTuple

from enas_core.console import RunError, log
from enas_core.settings.dataset import DatasetFacts
from enas_core.settings.experiment import Experiment
from enas_core.settings.stages import AugmentStage, SearchStage, SelectArcStage, stage_settings
from enas_core.spaces.space import Arc

if TYPE_CHECKING:
    import torch

    from enas_core.data.prepared import Dataset


ARCS = 3
"""Random arcs whose training is measured."""


WARM_UP = 1


LAPS, AUGMENT_LAPS = 4, 1
"""Laps that count, of the supernet with its different arcs, and of each network of one arc."""


MOST_BYTES = 2**29
"""Of the random images of a part."""


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


class Clock:
    """Watches a training, as its saver would, and notes when laps end."""

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

    def save(self) -> None:
        """Nothing is saved."""

    def split(self, laps: int) -> tuple[Clock, Clock]:
        """The clock of the first so many laps, and that of the others."""
        first, second = Clock(self.device), Clock(self.device)
        first.marks, second.marks = self.marks[: laps + 1], self.marks[laps:]
        return first, second

    def seconds(self) -> float:
        """Of one step: the median lap after the warm-up."""
        laps = [after - before for before, after in itertools.pairwise(self.marks)]
        return statistics.median(laps[WARM_UP:]) / BLOCK[self.device]

    def start(self, began: float) -> float:
        """Seconds from `began` to the end of the warm-up, less what its steps take when warm."""
        return max(0.0, self.marks[WARM_UP] - began - WARM_UP * BLOCK[self.device] * self.seconds())


def random_images(name: str, facts: DatasetFacts, least: int, device: torch.device) -> Dataset:
    """As many random images as the dataset has (they take memory, up to what is mapped rather than held), and at least
    so many in each part."""
    import torch

    from enas_core.data.manifest import Counts, Manifest
    from enas_core.data.prepared import Dataset, Split

    size, channels, classes = facts.size, facts.channels, facts.classes
    scale, shift = torch.ones(2, channels, device=device) / 255

    most = MOST_BYTES // (size * size * channels)

    def split(count: int) -> Split:
        shape = (max(min(count, most), least), size, size, channels)
        images = torch.randint(256, shape, dtype=torch.uint8, device=device)
        return Split(images, torch.randint(classes, (len(images),), device=device), scale, shift)

    train, test = split(facts.train_images), split(facts.test_images)
    manifest = Manifest(
        format=1,
        dataset=name,
        classes=[str(i) for i in range(classes)],
        image_shape=(size, size, channels),
        images=Counts(train=len(train), test=len(test)),
        mean=[0.5] * channels,
        std=[0.5] * channels,
        sha256={},
    )
    return Dataset(train, test, manifest)


def measure_search(settings: SearchStage, images: DatasetFacts, device: torch.device, began: float) -> Cost:
    """Steps, evaluations and policy updates of a search; each step and evaluation proposes an arc of its own."""
    from enas_core.training.supernet import SupernetTraining

    search = settings.search.model_copy(update={"max_train_images": None})
    count = search.batch_size * BLOCK[device.type] * (WARM_UP + LAPS)
    data = random_images(settings.dataset, images, search.valid_images + count, device)
    short = data._replace(train=data.train.part(0, search.valid_images + count))
    training = SupernetTraining(settings.model_copy(update={"search": search}), short, seed=0, device=device)
    training.at.start_clock()
    steps = Clock(device.type)
    training.train_children(steps)
    forwards = Clock(device.type)
    training.mean_accuracy(training.train_split, "valid", forwards)
    arcs = training.arcs[: training.update_plan.arcs]
    updates = Clock("cpu")
    for _ in range(WARM_UP + LAPS):
        training.policy.update(arcs, [0.5] * len(arcs))
        updates.step()
    return _cost(device, began, [steps, forwards], updates)


def measure_select_arc(settings: SelectArcStage, images: DatasetFacts, device: torch.device, began: float) -> Cost:
    """Scoring of arcs that an untrained policy proposes, on a few validation batches; sizes are counted once an arc."""
    import torch

    from enas_core.data.fit import shape_for
    from enas_core.policies import policy_class
    from enas_core.spaces.layers import initialise
    from enas_core.training.randomness import draw_for
    from enas_core.training.scoring import Scorer

    search, space, batches = settings.search, settings.search_space, BLOCK[device.type]
    generator = torch.Generator().manual_seed(0)
    data = random_images(settings.dataset, images, search.valid_images + search.batch_size * batches, device)
    few = data._replace(train=data.train.part(0, search.batch_size * batches))
    supernet = space.supernet(shape_for(search, data.manifest))
    initialise(supernet, search.init_fan_in, generator)
    policy = policy_class(search.policy)(space, search, generator)
    arcs = policy.propose(batches * (WARM_UP + LAPS), draw_for(0, "candidates"))
    scorer = Scorer(settings, few, supernet, device)
    scores = Clock(device.type)
    for arc in arcs:
        scorer.valid_accuracy(arc)
        scores.step()
    sizes = Clock("cpu")
    for arc in arcs[: WARM_UP + LAPS]:
        scorer.size(arc)
        sizes.step()
    cost = _cost(device, began, [scores], sizes)
    return cost._replace(step=0.0, forward=cost.step / batches)


def measure_augment(settings: AugmentStage, images: DatasetFacts, device: torch.device, began: float, arc: Arc) -> Cost:
    """Steps and evaluations of one arc's training, in a short epoch."""
    from enas_core.training.network import NetworkTraining

    changes = {"num_epochs": 1, "valid_images": 0, "max_train_images": None}
    augment = settings.augment.model_copy(update=changes)
    laps = WARM_UP + AUGMENT_LAPS
    count = augment.batch_size * BLOCK[device.type] * laps
    data = random_images(settings.dataset, images, count, device)
    short = data._replace(train=data.train.part(0, count), test=data.test.part(0, count))
    training = NetworkTraining(settings.model_copy(update={"augment": augment}), short, arc, "random", 0, device)
    clock = Clock(device.type)
    training.train(clock)
    return _cost(device, began, clock.split(laps))


def _cost(device: torch.device, began: float, clocks: Sequence[Clock], once: Clock | None = None) -> Cost:
    """`clocks`: of steps, and of evaluations where they are another thing; each has a start of its own."""
    from enas_core.training.device import describe_device, peak_memory

    start = sum(clock.start(began if clock is clocks[0] else clock.marks[0]) for clock in clocks)
    seconds = clocks[0].seconds(), clocks[-1].seconds(), once.seconds() if once else 0.0
    return Cost(start, *seconds, peak_memory(device), describe_device(device))


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

        images, began, *arc = facts
        answer.send(MEASURE[stage](settings, images, pick_device(device, settings.cpu_threads), began, *arc))
    except Exception as error:
        answer.send(error)


def measure(stage: str, settings: Any, device: str, images: DatasetFacts, *arc: Arc) -> Cost:
    """The cost of a stage with these settings. Raises what the measurement raises, RunError when it is killed."""
    context = multiprocessing.get_context("spawn")
    answer, sender = context.Pipe(duplex=False)
    arguments = (sender, stage, settings, device, images, time.monotonic(), *arc)
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


def calibrate(name: str, experiment: Experiment, images: DatasetFacts, stage: str, device: str) -> list[Cost]:
    """The costs of a stage of the experiment called `name`; of augment, one for each of several random arcs."""
    settings = stage_settings(name, experiment, stage)
    log.info("measuring %s %s ...", name, stage)
    if stage != "augment":
        return [measure(stage, settings, device, images)]
    baseline = experiment.baseline
    arcs = experiment.search_space.baseline(baseline.sampler, baseline.seed, ARCS)
    return [measure(stage, settings, device, images, arc) for arc in arcs]
