"""One training step of the supernet (forward, backward, optimiser) against the yardstick: same arcs, same images.

The original's search settings: 6+2 layers, 20 filters, batch 160, auxiliary head. Also peak memory of each."""

from __future__ import annotations

import models
import torch
from harness import Work, alternate, finish, parser, peak_megabytes, rows

from enas_core.training.device import pick_device


def plain(size: int, threads: int) -> Work:
    """The yardstick's step, with the arc of round k."""
    torch.set_num_threads(threads)
    return models.plain_supernet_step(models.plain_supernet(), *models.batch(size))


def torch_operators(size: int, threads: int) -> Work:
    """This project's without a compiler: torch's own operators."""
    pick_device("cpu", threads)
    return models.supernet_step(models.supernet(), *models.batch(size))


def project(size: int, threads: int) -> Work:
    """This project's."""
    pick_device("cpu", threads)
    return models.supernet_step(models.fused(models.supernet()), *models.batch(size))


MODES = {"yardstick": plain, "torch": torch_operators, "project": project}


def main() -> None:
    options_parser = parser(__doc__, rounds=20)
    options_parser.add_argument("--batch-size", type=int, default=models.SEARCH.batch_size, help="images (%(default)s)")
    options = options_parser.parse_args()
    size = options.batch_size
    peaks = {name: peak_megabytes(build, size, options.threads) for name, build in MODES.items()}
    times = alternate(
        {name: build(size, options.threads) for name, build in MODES.items()}, 3 if options.quick else options.rounds
    )
    table = [row | {"peak_mb": peaks[row["mode"]]} for row in rows("supernet step", times, "yardstick", images=size)]
    finish(table, table[-1]["ratio"], "supernet_step", options)


if __name__ == "__main__":
    main()
