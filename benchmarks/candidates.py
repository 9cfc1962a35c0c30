"""Scoring candidate arcs on the validation split with the shared weights, against the yardstick's forward passes.

`forward only` is the same supernet's bare forward passes on ready batches: select_arc may take 10% more. The
default is a validation split of 5,000 images and four arcs a round, --quick 640 images and one arc."""

from __future__ import annotations

import models
import torch
from harness import Work, alternate, finish, parser, rows
from torch import Tensor

from enas_core.data.batches import equal_batches, plain_batch
from enas_core.data.prepared import Split
from enas_core.spaces.micro.sampling import uniform_arc
from enas_core.training.device import pick_device
from enas_core.training.scoring import valid_accuracy


def validation_split(images: int) -> Split:
    """Random pixels and labels."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (images, 32, 32, 3), generator=generator, dtype=torch.uint8)
    labels = torch.randint(models.CLASSES, (images,), generator=generator)
    return Split(pixels, labels, torch.full((3,), 1 / 64), torch.full((3,), -2.0))


def modes(split: Split, arcs: int, size: int) -> dict[str, Work]:
    """Each scores `arcs` arcs on the whole split."""
    project, plain = models.supernet(), models.plain_supernet()
    batches = [plain_batch(split, rows) for rows in equal_batches(len(split), size)]

    def passes(forward: list[Work], k: int) -> list[Tensor]:
        return [work(k * arcs + i) for i in range(arcs) for work in forward]

    plain_passes = [models.plain_forward(plain, *batch) for batch in batches]
    bare_passes = [models.forward(project, *batch) for batch in batches]
    return {
        "yardstick": lambda k: passes(plain_passes, k),
        "forward only": lambda k: passes(bare_passes, k),
        "select_arc": lambda k: [valid_accuracy(project, uniform_arc(k * arcs + i), split, size) for i in range(arcs)],
    }


def main() -> None:
    options = parser(__doc__, rounds=5)
    options = options.parse_args()
    pick_device("cpu", options.threads)
    images, arcs, rounds = (640, 1, 4) if options.quick else (models.SEARCH.valid_images, 4, options.rounds)
    times = alternate(modes(validation_split(images), arcs, models.SEARCH.batch_size), rounds)
    table = rows(f"{arcs} candidates x {images} images", times, "yardstick", images=arcs * images)
    finish(table, table[-1]["ratio"], "candidates", options)


if __name__ == "__main__":
    main()
