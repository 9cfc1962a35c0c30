"""Training batches: this project's crop and flip of whole batches against a torchvision DataLoader with the same
transforms, in the main process and with two workers. The headline is against the faster of the two loaders."""

from __future__ import annotations

import models
from harness import Work, alternate, finish, parser, rows
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision import transforms

from enas_core.data.batches import plan_epoch, training_batch
from enas_core.data.prepared import Split
from enas_core.settings.dataset import Augmentation
from enas_core.training.device import pick_device

AUGMENTATION = Augmentation()


class Images(TorchDataset[tuple[Tensor, int]]):
    """What torchvision's CIFAR10 does with an image."""

    def __init__(self, split: Split) -> None:
        self.images, self.labels = split.images.numpy(), split.labels.tolist()
        self.transform = transforms.Compose(
            [
                transforms.ToPILImage(),
                transforms.RandomCrop(32, padding=AUGMENTATION.crop_padding),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(models.MEAN, models.DEVIATION),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.images[index]), self.labels[index]


def loader_epoch(split: Split, size: int, workers: int) -> Work:
    """One pass of a DataLoader; its workers stay from one pass to the next."""
    loader = DataLoader(Images(split), size, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
    return lambda k: [images.shape for images, _ in loader]


def project_epoch(split: Split, size: int) -> Work:
    """One pass of this project's pipeline, its draws included."""

    def work(k: int) -> None:
        plan = plan_epoch(split, AUGMENTATION, seed=k)
        for start in range(0, len(split), size):
            training_batch(split, plan, AUGMENTATION, start, start + size)

    return work


def main() -> None:
    options_parser = parser(__doc__, rounds=10)
    options = options_parser.parse_args()
    pick_device("cpu", options.threads)
    images, size = 8_000 if options.quick else 45_000, models.SEARCH.batch_size
    split = models.split(images)
    modes = {
        "DataLoader": loader_epoch(split, size, workers=0),
        "DataLoader, 2 workers": loader_epoch(split, size, workers=2),
        "project": project_epoch(split, size),
    }
    times = alternate(modes, 4 if options.quick else options.rounds)
    faster = min(("DataLoader", "DataLoader, 2 workers"), key=lambda name: sum(times[name]))
    table = rows(f"{images} images", times, faster, images=images)
    finish(table, table[-1]["ratio"], "data", options)


if __name__ == "__main__":
    main()
