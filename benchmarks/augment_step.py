"""One training step of a stand-alone network (forward, backward, optimiser) against the yardstick.

The original's settings: 15+2 layers, 36 filters, batch 144 (a quarter with --quick), drop path, auxiliary head."""

from __future__ import annotations

import models
from harness import Work, alternate, finish, parser, rows

from enas_core.spaces.micro.arc import MicroArc
from enas_core.spaces.micro.sampling import uniform_arc
from enas_core.training.device import pick_device


def modes(arc: MicroArc, size: int) -> dict[str, Work]:
    """All steps from the same weights, images and factors."""
    project = models.fused(models.network(arc))
    inputs = *models.batch(size), *models.factors(project, size)
    return {
        "yardstick": models.plain_network_step(models.plain_network(arc), *inputs),
        "torch": models.network_step(models.network(arc), *inputs),
        "project": models.network_step(project, *inputs),
    }


def main() -> None:
    options_parser = parser(__doc__, rounds=10)
    options_parser.add_argument("--arc-seed", type=int, default=0, help="which uniform random arc (%(default)s)")
    options_parser.add_argument(
        "--batch-size", type=int, default=models.AUGMENT.batch_size, help="images (%(default)s)"
    )
    options = options_parser.parse_args()
    pick_device("cpu", options.threads)
    size = options.batch_size // 4 if options.quick else options.batch_size
    times = alternate(modes(uniform_arc(options.arc_seed), size), 3 if options.quick else options.rounds)
    table = rows("augment step", times, "yardstick", images=size)
    finish(table, table[-1]["ratio"], "augment_step", options)


if __name__ == "__main__":
    main()
