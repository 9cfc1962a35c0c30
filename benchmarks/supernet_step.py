"""One training step of the supernet (forward, backward, optimiser) against the yardstick: same arcs, same images.

The original's search settings: 6+2 layers, 20 filters, batch 160, auxiliary head. Also peak memory of each."""

from __future__ import annotations

import multiprocessing
import resource
from collections.abc import Callable

import torch
import yardstick
from harness import alternate, finish, parser, rows

from enas_core.arc import uniform_arc
from enas_core.config import Search
from enas_core.engine import FlatSGD, loss_of, pick_device, trained_parameters
from enas_core.ops import initialise
from enas_core.supernet import Supernet

SHAPE = {"num_nodes": 5, "num_layers": 6, "num_filters": 20, "num_classes": 10}


def batch(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Normal images, random labels."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(size, 3, 32, 32, generator=generator)
    return images, torch.randint(10, (size,), generator=generator)


def project(batch_size: int, threads: int) -> Callable[[int], object]:
    """This project's step, with the arc of round k."""
    pick_device("cpu", threads)
    search = Search()
    supernet = Supernet(**SHAPE, image_size=32, in_channels=3, aux_head=True, reduction_inputs="previous")
    initialise(supernet, search.init_fan_in, torch.Generator().manual_seed(0))
    sgd = FlatSGD(trained_parameters(supernet, search), search)
    images, labels = batch(batch_size)
    images = images.contiguous(memory_format=torch.channels_last)

    def step(k: int) -> None:
        loss_of(supernet(images, uniform_arc(k)), labels, search)[1].backward()
        sgd.step(0.05)

    return step


def plain(batch_size: int, threads: int) -> Callable[[int], object]:
    """The yardstick's step."""
    torch.set_num_threads(threads)
    network = yardstick.PlainSupernet(**SHAPE)
    sgd = yardstick.optimizer(network, 0.05, 1e-4)
    images, labels = batch(batch_size)
    return lambda k: yardstick.train_step(sgd, network(images, uniform_arc(k)), labels, Search().aux_weight)


MODES = {"yardstick": plain, "project": project}


def _peak(name: str, batch_size: int, threads: int, answer: multiprocessing.Queue) -> None:
    step = MODES[name](batch_size, threads)
    for k in range(4):
        step(k)
    answer.put(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def peak_megabytes(name: str, batch_size: int, threads: int) -> float:
    """Peak resident memory of a fresh process that takes a few steps."""
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    process = context.Process(target=_peak, args=(name, batch_size, threads, answer))
    process.start()
    peak = answer.get()
    process.join()
    return peak


def main() -> None:
    options = parser(__doc__, rounds=20)
    options.add_argument("--batch-size", type=int, default=160, help="images a step (%(default)s)")
    options = options.parse_args()
    size, rounds = options.batch_size, 4 if options.quick else options.rounds
    times = alternate({name: build(size, options.threads) for name, build in MODES.items()}, rounds)
    table = rows("supernet step", times, "yardstick", images=size)
    for row in table:
        row["peak_mb"] = peak_megabytes(str(row["mode"]), size, options.threads)
    finish(table, table[-1]["ratio"], "supernet_step", options)


if __name__ == "__main__":
    main()
