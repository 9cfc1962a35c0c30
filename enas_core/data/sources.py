"""Stage 1: images from any source as plain arrays, with a manifest that says what they are.

Writes into the output folder, for `train` and `test`, `{part}_images.npy` (uint8, [N, H, W, C]) and
`{part}_labels.npy` (int64, [N]), and `manifest.json` (see `prepare`). Equal input gives equal bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa

from enas_core.console import UserError
from enas_core.settings.dataset import DATASETS, DatasetFacts, Source

FORMAT = 1
"""Version of the manifest and the arrays beside it."""


CLASSES: dict[str, list[str]] = {
    name: names.split()
    for name, names in {
        "cifar10": "airplane automobile bird cat deer dog frog horse ship truck",
        "cifar100": """
            apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
            castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
            elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard
            lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear
            pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark
            shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone
            television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm""",
        "digits": "0 1 2 3 4 5 6 7 8 9",
    }.items()
}
"""Class names in the order of the labels."""


LABEL_COLUMNS = {"cifar10": "label", "cifar100": "fine_label"}


IMAGE_COLUMNS = ("img", "image")


CHUNK = 1000  # images that are decoded, or counted, at a time


Chunk = tuple[np.ndarray, np.ndarray]
"""Some images of a part (uint8, [n, H, W, C]) and their labels (int64, [n])."""


def _arrays(source: Source, parts: Mapping[str, Iterable[Chunk]], where: str) -> dict[str, np.ndarray]:
    """All images and labels by output file. Raises UserError unless they are what the settings count on."""
    facts, moved = DATASETS[source.name], source.split_test_images or 0
    arrays: dict[str, np.ndarray] = {}
    for part, limit, available in (
        ("train", source.max_train_images, facts.train_images - moved),
        ("test", source.max_test_images, facts.test_images + moved),
    ):
        key = f"dataset.max_{part}_images"
        if limit is not None and limit > available:
            raise UserError(f"{key}: {limit} is out of range 1..{available} ({source.name})")
        images, labels, found = _collect(parts[part], facts, limit or available, stop=limit is not None)
        if found != len(labels):
            raise UserError(f"{where}: {found} {part} images found, {len(labels)} expected ({key}: {limit or 'all'})")
        arrays |= {f"{part}_images.npy": images, f"{part}_labels.npy": labels}
    train_labels, classes = arrays["train_labels.npy"], CLASSES[source.name]
    absent = np.flatnonzero(np.bincount(train_labels, minlength=len(classes)) == 0)
    if len(absent):
        raise UserError(
            f"{where}: class {classes[absent[0]]!r} (label {absent[0]}) is absent from the {len(train_labels)} training"
            f" images ({len(absent)} of {len(classes)} classes are absent)"
        )
    return arrays


def _collect(
    chunks: Iterable[Chunk], facts: DatasetFacts, expected: int, stop: bool
) -> tuple[np.ndarray, np.ndarray, int]:
    """The first `expected` images and labels, and how many were found; with `stop`, no more are looked for."""
    images = np.empty((expected, facts.size, facts.size, facts.channels), np.uint8)
    labels = np.empty(expected, np.int64)
    found = 0
    for chunk_images, chunk_labels in chunks:
        room = max(0, expected - found)
        taken = slice(found, found + min(room, len(chunk_labels)))
        images[taken], labels[taken] = chunk_images[:room], chunk_labels[:room]
        found += len(chunk_labels)
        if stop and found >= expected:
            return images, labels, expected
    return images, labels, found


def _checked_labels(where: str, labels: np.ndarray, classes: int, first_row: int = 0) -> np.ndarray:
    """Integer `labels` as int64. Raises UserError at the first that is out of range."""
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        row = int(wrong[0])
        raise UserError(f"{where}: row {first_row + row}: label {labels[row]} is out of range 0..{classes - 1}")
    return labels.astype(np.int64)


def _read(path: Path, digests: dict[str, str]) -> bytes:
    """Content of a source file, whose sha256 goes into `digests`."""
    content = path.read_bytes()
    if not content:
        raise UserError(f"{path}: empty file")
    digests[path.name] = hashlib.sha256(content).hexdigest()
    return content


def _digits(test_images: int, seed: int, digests: dict[str, str]) -> dict[str, Iterable[Chunk]]:
    """scikit-learn's digits: `test_images` drawn at random are the test part, the rest the training part."""
    import importlib.resources

    from sklearn.datasets import load_digits

    content = importlib.resources.files("sklearn.datasets.data").joinpath("digits.csv.gz").read_bytes()
    digests["digits.csv.gz"] = hashlib.sha256(content).hexdigest()
    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[..., np.newaxis]
    labels = bunch.target.astype(np.int64)
    order = np.random.Generator(np.random.PCG64(seed)).permutation(len(labels))
    train, test = order[:-test_images], order[-test_images:]
    return {"train": [(images[train], labels[train])], "test": [(images[test], labels[test])]}


def _existing_folder(data_path: Path) -> Path:
    if not data_path.is_dir():
        raise UserError(f"{data_path}: --data-path: no such folder")
    return data_path


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what Arrow raises on a damaged file (already in memory) into one line."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError, KeyError) as error:
        raise UserError(f"{path}: not a readable Parquet file: {' '.join(str(error).split())[:200]}") from None
