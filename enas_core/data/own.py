"""Images of the user's own, from a folder or from Parquet files: decoded by all cores, resized, put into an order, and
written as arrays image by image, so that memory does not grow with their number.

Shapes: N images of a part of the source, S pixels a side, C channels.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from enas_core.console import UserError, log, progress
from enas_core.data.arrays import ImageFile, file_sha256, npy_header
from enas_core.data.collect import Values
from enas_core.data.collection import PARTS, Collection, Encoded, require_classes
from enas_core.data.folder import list_folder
from enas_core.data.order import Positions, divide, stratified_order
from enas_core.data.own_parquet import list_parquet
from enas_core.data.parallel import cores, in_parallel
from enas_core.files.pictures import Form, decode, formed
from enas_core.settings.dataset import Source

CHANNELS = {"grey": 1, "rgb": 3}

NOWHERE = -1
"""The position of an image that is not used."""


class Output(NamedTuple):
    """Where the images of one part of the source go: positions [N] in the arrays of `part`, or NOWHERE."""

    part: str
    positions: Positions


class Layout(NamedTuple):
    """Where all images go."""

    outputs: Mapping[str, list[Output]]
    """By part of the source."""
    labels: Mapping[str, NDArray[np.int64]]
    """Of the images of `train` and `test`, in their order."""
    held_out: int
    """The last so many training images come from the source's own part for that."""


def list_own(source: Source, data_path: Path | None) -> Collection:
    """What the source of `source` lists."""
    if source.source == "folder":
        return list_folder(source.name, data_path)
    return list_parquet(source.name, data_path, source.label_column)


def lay_out(collection: Collection, source: Source) -> Layout:
    """The order of the images: training images first, then those that the source sets apart to be held out. Raises
    UserError where a part has fewer images than are asked for."""
    labels = {part: listed.labels for part, listed in collection.parts.items()}
    rows = {part: np.arange(len(found)) for part, found in labels.items()}
    origin = dict.fromkeys(PARTS, "train") | {part: part for part in labels}
    if "test" not in labels:
        _require_two_of_each(collection, labels["train"])
        rows["train"], rows["test"] = divide(labels["train"], source.split_test_share, source.split_seed, 0)

    chosen: dict[str, Positions] = {}
    for stream, part in enumerate(PARTS, start=1):
        if part not in rows:
            continue
        limit = {"train": source.max_train_images, "test": source.max_test_images}.get(part)
        order = rows[part][stratified_order(labels[origin[part]][rows[part]], source.split_seed, stream)]
        if limit is not None and limit > len(order):
            raise UserError(f"dataset.max_{part}_images: {limit} is out of range 1..{len(order)} ({collection.where})")
        chosen[part] = order[:limit]
    _require_all_classes(collection, labels["train"][chosen["train"]])

    outputs: dict[str, list[Output]] = {part: [] for part in labels}
    held_out = len(chosen.get("valid", ()))
    for part, order in chosen.items():
        positions = np.full(len(labels[origin[part]]), NOWHERE)
        first = len(chosen["train"]) if part == "valid" else 0
        positions[order] = np.arange(first, first + len(order))
        outputs[origin[part]].append(Output("train" if part == "valid" else part, positions))
    ordered = {part: labels[origin[part]][order] for part, order in chosen.items()}
    if held_out:
        ordered["train"] = np.concatenate([ordered["train"], ordered.pop("valid")])
    return Layout(outputs, ordered, held_out)


def _require_all_classes(collection: Collection, labels: NDArray[np.int64]) -> None:
    """Of the training images that are used."""
    absent = np.flatnonzero(np.bincount(labels, minlength=len(collection.classes)) == 0)
    if len(absent):
        name = collection.classes[absent[0]]
        raise UserError(f"dataset.max_train_images: {len(labels)} leaves no images of class {name!r}")


def _require_two_of_each(collection: Collection, labels: NDArray[np.int64]) -> None:
    single = np.flatnonzero(np.bincount(labels, minlength=len(collection.classes)) == 1)
    if len(single):
        name = collection.classes[single[0]]
        raise UserError(
            f"{collection.where}: class {name!r} has one image; without a test part two are needed, one to test"
        )


def write_own(
    source: Source, data_path: Path | None, targets: Mapping[str, Path], check: Callable[[], None]
) -> dict[str, Any]:
    """Write the arrays of images of the user's own to `targets`, by the array's name. Returns what the manifest says of
    them. `check` is called once everything is written."""
    collection = list_own(source, data_path)
    with warnings.catch_warnings(action="ignore"), ThreadPoolExecutor(cores()) as pool:
        skipped: list[str] = []
        if source.skip_unreadable:
            collection, skipped = _readable_ones(collection, pool)
        layout = lay_out(collection, source)
        forms = _forms(collection, source)
        values, digests = Values(forms["train"].channels), _Digests(collection.where)
        for result in _written_images(collection, layout, forms, targets, pool):
            digests.add(result)
            for part, _, pixels in result.images:
                if part == "train":
                    values.count(pixels)
    for part, labels in layout.labels.items():
        targets[f"{part}_labels.npy"].write_bytes(npy_header(labels.shape, labels.dtype) + labels.tobytes())
    digests.warn()
    mean, std = values.mean_and_std()
    check()
    train, test = forms["train"], forms["test"]
    return {
        "classes": collection.classes,
        "image_shape": [test.size, test.size, test.channels],
        "stored_size": train.size if train.size > test.size else None,
        "images": {part: len(labels) for part, labels in layout.labels.items()} | {"valid": layout.held_out},
        "mean": mean,
        "std": std,
        "sha256": {name: file_sha256(path) for name, path in targets.items()},
        "source_sha256": collection.checksums() if collection.checksums else {"files": digests.all.hexdigest()},
        "skipped": [line.removeprefix(f"{collection.where}/") for line in skipped],
    }


def _written_images(
    collection: Collection,
    layout: Layout,
    forms: Mapping[str, Form],
    targets: Mapping[str, Path],
    pool: ThreadPoolExecutor,
) -> Iterator[_Result]:
    """All images, each once it has been written to where it goes."""
    with ExitStack() as stack:
        files = {}
        for part, form in forms.items():
            shape = (len(layout.labels[part]), form.size, form.size, form.channels)
            files[part] = stack.enter_context(ImageFile(targets[f"{part}_images.npy"], shape))
        for name, listed in collection.parts.items():
            outputs = [(output.part, forms[output.part], output.positions) for output in layout.outputs[name]]
            work = ((i, image, outputs) for i, image in enumerate(listed.images()))
            for result in progress(in_parallel(pool, _prepared, work), f"decoding {name}", total=len(listed)):
                for part, position, pixels in result.images:
                    files[part].put(position, pixels)
                yield result


# --- decoding -----------------------------------------------------------------------------------------------------


class _Result(NamedTuple):
    """What became of one encoded image: pixels by part and position."""

    where: str
    sha256: bytes
    images: list[tuple[str, int, np.ndarray]]


def _prepared(item: tuple[int, Encoded, list[tuple[str, Form, Positions]]]) -> _Result:
    """Decode one image for wherever it goes."""
    i, image, outputs = item
    content = _content(image)
    images = [
        (part, int(positions[i]), formed(image.where, content, form))
        for part, form, positions in outputs
        if positions[i] != NOWHERE
    ]
    return _Result(image.where, hashlib.sha256(content).digest(), images)


def _content(image: Encoded) -> bytes:
    try:
        content = image.read()
    except OSError as error:
        raise UserError(f"{image.where}: {error.strerror}") from None
    if not content:
        raise UserError(f"{image.where}: empty file")
    return content


def _problem(image: Encoded) -> str | None:
    """Why an image cannot be read, in one line that names it; None where it can."""
    try:
        decode(image.where, _content(image))
    except UserError as error:
        return str(error)
    return None


def _readable_ones(collection: Collection, pool: ThreadPoolExecutor) -> tuple[Collection, list[str]]:
    """The collection without the images that cannot be read, and a line for each of those."""
    problems: list[str] = []
    parts = {}
    for name, listed in collection.parts.items():
        found = list(progress(in_parallel(pool, _problem, listed.images()), f"checking {name}", total=len(listed)))
        kept = np.array([problem is None for problem in found])
        problems += [problem for problem in found if problem is not None]
        parts[name] = listed.only(kept)
    for problem in problems:
        log.info("skipped: %s", problem)
    parts = {name: listed for name, listed in parts.items() if len(listed) or name == "train"}
    labels = {name: listed.labels for name, listed in parts.items()}
    require_classes(f"{collection.where}, without what cannot be read", collection.classes, labels)
    return replace(collection, parts=parts), problems


def _forms(collection: Collection, source: Source) -> dict[str, Form]:
    """How images are prepared, by the part that they end in."""
    channels = CHANNELS[source.colours]
    size = source.image_size
    if size is None:
        first = next(iter(collection.parts["train"].images()))
        _, image = decode(first.where, _content(first))
        if image.width != image.height:
            raise UserError(
                f"{first.where}: is {image.width}x{image.height}, not square;"
                " dataset.image_size says to which size images are brought"
            )
        return dict.fromkeys(("train", "test"), Form(channels, None, image.width))
    resize_to = source.resize_to or size
    return {"train": Form(channels, resize_to, resize_to), "test": Form(channels, resize_to, size)}


class _Digests:
    """Checksums of all images: one of all names and contents together, and which are there to train on and to test."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.all = hashlib.sha256()
        self.trained: set[bytes] = set()
        self.tested: dict[bytes, str] = {}

    def add(self, result: _Result) -> None:
        """Of one image, in the order in which the source lists them."""
        name = os.path.relpath(result.where, self.root).encode(errors="surrogateescape")
        self.all.update(result.sha256 + name + b"\0")
        for part, _, _ in result.images:
            if part == "train":
                self.trained.add(result.sha256)
            else:
                self.tested[result.sha256] = result.where

    def warn(self) -> None:
        """Say so where a test image is a training image as well."""
        both = [where for digest, where in self.tested.items() if digest in self.trained]
        if both:
            log.warning(
                "%d test images are training images as well, such as %s: accuracies will be too high",
                len(both),
                both[0],
            )
