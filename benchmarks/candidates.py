"""Scoring candidate arcs on the validation split with the shared weights, against the yardstick's forward passes.

`project` is what select_arc does with an arc. `forward only` is the same supernet's bare forward passes on ready
batches: the rest of select_arc's work may take 10% more. The default is a validation split of 5,000 images and four
arcs a round, --quick 640 images and one arc."""

from __future__ import annotations

import models
import torch
from harness import Work, alternate, finish, parser, rows
from torch import Tensor

from enas_core.data.batches import equal_batches, plain_batch
from enas_core.data.manifest import Counts, Manifest
from enas_core.data.prepared import Dataset, Split
from enas_core.spaces.micro.sampling import uniform_arc
from enas_core.training.device import pick_device
from enas_core.training.scoring import Scorer


def scorer(split: Split, device: torch.device) -> Scorer:
    """What select_arc makes of a supernet, to score arcs on the whole of `split`."""
    counts = Counts(train=len(split), test=len(split))
    classes = [str(label) for label in range(models.CLASSES)]
    manifest = Manifest(
        format=1,
        dataset="cifar10",
        classes=classes,
        image_shape=(32, 32, 3),
        images=counts,
        mean=models.MEAN,
        std=models.DEVIATION,
        sha256={},
    )
    settings = models.stage(search={"valid_images": len(split)})
    return Scorer(settings, Dataset(split, split, manifest), models.fused(models.supernet()), device)


def modes(split: Split, arcs: int, device: torch.device) -> dict[str, Work]:
    """Each scores `arcs` arcs on the whole split."""
    project, plain = scorer(split, device), models.plain_supernet()
    batches = [plain_batch(split, positions) for positions in equal_batches(len(split), models.SEARCH.batch_size)]

    def passes(forward: list[models.Step], k: int) -> list[Tensor]:
        return [work(k * arcs + i) for i in range(arcs) for work in forward]

    plain_passes = [models.plain_forward(plain, *batch) for batch in batches]
    bare_passes = [models.forward(project.supernet, *batch) for batch in batches]
    return {
        "yardstick": lambda k: passes(plain_passes, k),
        "forward only": lambda k: passes(bare_passes, k),
        "project": lambda k: [project.valid_accuracy(uniform_arc(k * arcs + i)) for i in range(arcs)],
    }


def main() -> None:
    options_parser = parser(__doc__, rounds=5)
    options = options_parser.parse_args()
    device = pick_device("cpu", options.threads)
    images, arcs, rounds = (640, 1, 4) if options.quick else (models.SEARCH.valid_images, 4, options.rounds)
    times = alternate(modes(models.split(images), arcs, device), rounds)
    table = rows(f"{arcs} candidates x {images} images", times, "yardstick", images=arcs * images)
    finish(table, table[-1]["ratio"], "candidates", options)


if __name__ == "__main__":
    main()
