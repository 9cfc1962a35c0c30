"""All that matters on a GPU, in one call of under eight minutes: both training steps and the reward's forward pass
in every mode against the yardstick on the same GPU, next to floors computed from what the GPU itself was measured
to do, with results checked against the CPU in float32. A mode is a precision and a value of the setting `compile`: with
`auto` a GPU's networks are compiled. Works on a CPU too (`--device cpu`), where `auto` means the operators of
kernels.cpp in fp32 and changes nothing in bf16; with --quick networks are tiny there.

Floors of a step: `memory_floor_ms` is the time to move every operation's inputs and outputs once at the measured
bandwidth (fusion can beat it), `launch_floor_ms` the time to launch every operation. `minutes` is what the search
of 150 or the augmentation of 630 epochs on CIFAR-10 would take at this pace. Modes for which the time is too short
are left out and named. The headline is the smaller of the two ratios of training steps in `bf16, auto`, on a CPU in
`fp32, auto`. The exit code is 1 when a result is wrong."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import models
import torch
from harness import Work, alternate, finish, parser, rows, seconds
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from enas_core.data.batches import plan_epoch, training_batch
from enas_core.settings.dataset import DATASETS, Augmentation
from enas_core.spaces.micro.network import MicroNetwork
from enas_core.spaces.micro.sampling import uniform_arc
from enas_core.spaces.micro.supernet import MicroSupernet
from enas_core.training.compilation import accelerate, repeat_exactly
from enas_core.training.device import pick_device
from enas_core.training.evaluation import hits, loss_of
from enas_core.training.optimiser import FlatSGD, trained_parameters
from enas_core.training.randomness import noise_factors
from enas_core.training.schedule import drop_path_keep_probs, steps_per_epoch
from enas_core.training.step_log import StepLog

BUDGET = 420  # seconds until no further mode is started
TOLERANCE = {"fp32": 1e-3, "bf16": 0.05}
"""Largest difference of a loss from the CPU's in float32, relative."""

CIFAR = DATASETS["cifar10"]


@dataclass(frozen=True)
class Size:
    """Of the networks and batches measured. `repeat`: steps a round, launched without waiting."""

    search_layers: int = models.SEARCH.num_layers
    search_filters: int = models.SEARCH.num_filters
    search_batch: int = models.SEARCH.batch_size
    augment_layers: int = models.AUGMENT.num_layers
    augment_filters: int = models.AUGMENT.num_filters
    augment_batch: int = models.AUGMENT.batch_size
    repeat: int = 10


SMALL = Size(1, 4, 8, 1, 4, 8, repeat=1)
MODES: dict[str, tuple[str, str] | None] = {
    "yardstick": None,
    **{f"{p}, {c}": (p, c) for c in ("off", "auto") for p in ("fp32", "bf16")},
}
"""Precision and compile setting by name."""


# --- the machine ---------------------------------------------------------------------------------


def bandwidth(device: torch.device, megabytes: int) -> float:
    """Bytes a second of reading and writing, from the copy of a large tensor."""
    source = torch.empty(megabytes * 2**18, device=device)
    target = torch.empty_like(source)
    return 2 * 4 * source.numel() / min(seconds(lambda: target.copy_(source)) for _ in range(5))


def launch_seconds(device: torch.device, count: int = 1000) -> float:
    """Time of one of many small operations in a row."""
    x = torch.zeros(8, device=device)

    def launch() -> None:
        for _ in range(count):
            x.add_(1)

    return min(seconds(launch) for _ in range(5)) / count


class Traffic(TorchDispatchMode):
    """Counts operations that compute something, and the bytes of their inputs and outputs."""

    operations = 0
    moved = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **kwargs or {})
        if not func.is_view:
            tensors = [t for t in tree_leaves((args, kwargs, result)) if isinstance(t, Tensor)]
            self.operations += 1
            self.moved += sum(t.numel() * t.element_size() for t in tensors)
        return result


def floors(work: Work, byte_rate: float, launch: float) -> dict[str, float]:
    """The two floors of one step, and what they are computed from."""
    with Traffic() as traffic:
        work(0)
    return {
        "operations": traffic.operations,
        "moved_mb": traffic.moved / 2**20,
        "memory_floor_ms": 1e3 * traffic.moved / byte_rate,
        "launch_floor_ms": 1e3 * traffic.operations * launch,
    }


# --- networks in a mode --------------------------------------------------------------------------


N = TypeVar("N", MicroSupernet, MicroNetwork)


def in_mode(network: N, mode: tuple[str, str], device: torch.device) -> N:
    """`network` on `device`, as a training with these settings computes it there."""
    network.to(device)
    precision, compiled = mode
    accelerate(network, models.stage(precision=precision, compile=compiled), device)
    return network


def search_step(size: Size, mode: tuple[str, str] | None, device: torch.device) -> models.Step:
    """A supernet step."""
    shape, inputs = (5, size.search_layers, size.search_filters), models.batch(size.search_batch, str(device))
    if mode is None:
        return models.plain_supernet_step(models.plain_supernet(*shape).to(device), *inputs)
    return models.supernet_step(in_mode(models.supernet(*shape), mode, device), *inputs)


def reward(size: Size, mode: tuple[str, str] | None, device: torch.device) -> models.Step:
    """The forward pass of a reward."""
    shape, inputs = (5, size.search_layers, size.search_filters), models.batch(size.search_batch, str(device))
    if mode is None:
        return models.plain_forward(models.plain_supernet(*shape).to(device), *inputs)
    return models.forward(in_mode(models.supernet(*shape), mode, device), *inputs)


def augment_step(size: Size, mode: tuple[str, str] | None, device: torch.device) -> models.Step:
    """A step of a stand-alone network."""
    shape = (uniform_arc(0), size.augment_layers, size.augment_filters)
    network = models.network(*shape)
    inputs = *models.batch(size.augment_batch, str(device)), *models.factors(network, size.augment_batch, str(device))
    if mode is None:
        return models.plain_network_step(models.plain_network(*shape).to(device), *inputs)
    return models.network_step(in_mode(network, mode, device), *inputs)


def search_minutes(step: float) -> float:
    """Of the children's steps of 150 epochs."""
    images = CIFAR.train_images - models.SEARCH.valid_images
    return step * models.SEARCH.num_epochs * steps_per_epoch(images, models.SEARCH.batch_size) / 60


def augment_minutes(step: float) -> float:
    """Of the steps of 630 epochs."""
    return step * models.AUGMENT.num_epochs * steps_per_epoch(CIFAR.train_images, models.AUGMENT.batch_size) / 60


Build = Callable[[Size, tuple[str, str] | None, torch.device], models.Step]
WORK: dict[str, tuple[Build, Callable[[float], float] | None]] = {
    "supernet step": (search_step, search_minutes),
    "augment step": (augment_step, augment_minutes),
    "reward forward": (reward, None),
}
TRAINING = ("supernet step", "augment step")
"""Those of them that are training steps."""


# --- checks --------------------------------------------------------------------------------------


@contextmanager
def exact_float32() -> Iterator[None]:
    """No TF32 in convolutions."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


def check(what: str, works: dict[str, models.Step], reference: models.Step) -> list[dict[str, Any]]:
    """The loss of the first step in each of these modes against the CPU's in float32."""
    expected = float(reference(0))
    table = []
    for name, work in works.items():
        error = abs(float(work(0)) - expected) / abs(expected)
        tolerance = TOLERANCE["bf16" if name.startswith("bf16") else "fp32"]
        table.append({"what": f"{what}: loss", "mode": name, "error": error, "correct": error <= tolerance})
    return table


def check_no_waiting(size: Size, device: torch.device) -> dict[str, Any]:
    """Steps with everything an epoch does (batch, factors, step, log) in which nothing may wait for the GPU."""
    split = models.split(64, str(device))
    network = models.network(uniform_arc(0), size.augment_layers, size.augment_filters).to(device)
    log, plan = StepLog(3, device), plan_epoch(split, Augmentation(cutout=16), 0)
    sgd = FlatSGD(trained_parameters(network, models.AUGMENT), models.AUGMENT)
    if device.type == "cuda":
        torch.cuda.set_sync_debug_mode("error")
    try:
        for step in range(3):
            batch, target = training_batch(split, plan, Augmentation(cutout=16), 16 * step, 16 * step + 16)
            keep = drop_path_keep_probs(models.AUGMENT.drop_path_keep_prob, network.depth, step, 9)
            outputs = network(batch, *noise_factors(network, device, 16, step, models.AUGMENT.keep_prob, keep))
            cross_entropy, loss = loss_of(outputs, target, models.AUGMENT)
            loss.backward()
            log.record(step, cross_entropy, sgd.step(models.LEARNING_RATE), hits(outputs[0], target))
    except RuntimeError as error:
        return {"what": "no waiting in an epoch", "mode": f"waited: {error}", "correct": False}
    finally:
        if device.type == "cuda":
            torch.cuda.set_sync_debug_mode("default")
    return {"what": "no waiting in an epoch", "mode": "fp32, off", "correct": log.first_divergence(3) is None}


# --- measurement ---------------------------------------------------------------------------------


def build_all(
    build: Build, size: Size, device: torch.device, deadline: float
) -> tuple[dict[str, models.Step], dict[str, float], list[str]]:
    """The modes for which there is time, called once for every kind of operation so that all is compiled; how long
    that took; the modes left out."""
    works: dict[str, models.Step] = {}
    starts: dict[str, float] = {}
    left_out = []
    for name, mode in MODES.items():
        if time.monotonic() > deadline:
            left_out.append(name)
            continue
        started = time.monotonic()
        works[name] = build(size, mode, device)
        for k in range(4):
            works[name](k)
        starts[name] = time.monotonic() - started
    return works, starts, left_out


def measure(
    what: str, size: Size, device: torch.device, rounds: int, deadline: float, machine: tuple[float, float]
) -> list[dict[str, Any]]:
    """Rows of one kind of work: checks, then times."""
    build, minutes = WORK[what]
    cpu = torch.device("cpu")
    table = []
    if what in TRAINING:
        with exact_float32():
            fresh = {
                name: build(size, mode, device) for name, mode in MODES.items() if mode is None or mode[1] == "off"
            }
            table += check(what, fresh, build(size, ("fp32", "off"), cpu))
            floor = floors(fresh["fp32, off"], *machine)
    else:
        floor = floors(build(size, ("fp32", "off"), device), *machine)
    works, starts, left_out = build_all(build, size, device, deadline)

    def repeated(work: Work) -> Work:
        return lambda k: [work(size.repeat * k + i) for i in range(size.repeat)]

    times = alternate({name: repeated(work) for name, work in works.items()}, rounds)
    single = {name: [value / size.repeat for value in values] for name, values in times.items()}
    for row in rows(
        what, single, "yardstick", images=getattr(size, "augment_batch" if "aug" in what else "search_batch")
    ):
        row |= floor | {"start_s": starts[row["mode"]]}
        table.append(row | ({"minutes": minutes(row["median_ms"] / 1e3)} if minutes else {}))
    return table + [{"what": what, "mode": f"{name}: left out, no time"} for name in left_out]


def main() -> int:
    options_parser = parser(__doc__, rounds=10)
    options_parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda", help="(default: %(default)s)")
    options_parser.add_argument(
        "--deterministic", action="store_true", help="as the setting; its price is the difference to a run without it"
    )
    options = options_parser.parse_args()
    started = time.monotonic()
    device = pick_device(options.device, options.threads)
    if options.deterministic:
        repeat_exactly()
    small = options.quick and device.type == "cpu"
    size = SMALL if small else Size()
    byte_rate, launch = bandwidth(device, 16 if small else 256), launch_seconds(device)
    table: list[dict[str, Any]] = [
        {"what": "machine: bandwidth, GB/s", "mode": str(device), "value": byte_rate / 1e9},
        {"what": "machine: launch, microseconds", "mode": str(device), "value": 1e6 * launch},
        check_no_waiting(size, device),
    ]
    for share, what in enumerate(WORK, start=1):
        deadline = started + BUDGET * share / len(WORK)
        table += measure(what, size, device, 2 if options.quick else options.rounds, deadline, (byte_rate, launch))
    best = "bf16, auto" if device.type == "cuda" else "fp32, auto"
    ratios = [row["ratio"] for row in table if row["what"] in TRAINING and row["mode"] == best and "ratio" in row]
    if device.type == "cuda":
        table.append({"what": "peak GPU memory, MB", "value": torch.cuda.max_memory_allocated(device) / 2**20})
    finish(table, min(ratios, default=float("nan")), "gpu", options)
    return 0 if all(row.get("correct", True) for row in table) else 1


if __name__ == "__main__":
    sys.exit(main())
