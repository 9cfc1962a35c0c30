"""Stage 1: images from any source as plain arrays, with a manifest that says what they are.

Writes into the output folder, for `train` and `test`, `{part}_images.npy` (uint8, [N, H, W, C]) and
`{part}_labels.npy` (int64, [N]), and `manifest.json` (see `prepare`). Equal input gives equal bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from enas_core.console import UserError, log
from enas_core.data.cifar import CifarFiles, _cifar, torchvision_files
from enas_core.data.parquet import _parquet
from enas_core.data.sources import CHUNK, CLASSES, FORMAT, _arrays, _digits
from enas_core.files.atomic import atomic_path
from enas_core.files.inputs import Inputs
from enas_core.settings.stages import PrepareDataStage


def prepare(
    settings: PrepareDataStage,
    data_path: Path | None,
    out_dir: Path,
    download_dir: Path | None = None,
    cifar_files: CifarFiles | None = None,
    inputs: Inputs | None = None,
) -> dict[str, Any]:
    """Read the images that `settings` name, check them, and write arrays and manifest to `out_dir`.

    `data_path`: folder of existing files; without it, torchvision's are downloaded to `download_dir`.
    `cifar_files`: names and checksums to believe instead of torchvision's. `inputs`: must be unchanged at the end.
    Returns the manifest; its mean and standard deviation (population) are of the training images per
    channel, at a scale of 0..1. Raises UserError, one line, when the files are not what they should be.
    """
    source = settings.dataset
    digests: dict[str, str] = {}
    if source.source == "digits":
        parts = _digits(source.split_test_images or 0, source.split_seed, digests)
    elif source.source == "parquet":
        parts = _parquet(source.name, data_path, digests)
    else:
        parts = _cifar(source.name, cifar_files or torchvision_files(source.name), data_path, download_dir, digests)
    arrays = _arrays(source, parts, where=str(data_path or source.source))
    mean, std = mean_and_std(arrays["train_images.npy"])
    counts = {part: len(arrays[f"{part}_labels.npy"]) for part in ("train", "test")}
    manifest = {
        "format": FORMAT,
        "dataset": source.name,
        "source": source.source,
        "classes": CLASSES[source.name],
        "image_shape": list(arrays["train_images.npy"].shape[1:]),
        "images": counts,
        "mean": mean,
        "std": std,
        "sha256": {},
        "source_sha256": digests,
    }
    if inputs is not None:
        inputs.require_unchanged()
    _write(out_dir, arrays, manifest)
    log.info("%s from %s: %d training and %d test images", source.name, source.source, counts["train"], counts["test"])
    log.info("training images: mean %s, standard deviation %s", _rounded(mean), _rounded(std))
    return manifest


def _rounded(values: Sequence[float]) -> str:
    return " ".join(f"{value:.4f}" for value in values)


def mean_and_std(images: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean and population standard deviation of each channel of uint8 `images` [N, H, W, C], divided by
    255. Computed from integer sums, so exact to the last rounding."""
    channels = images.shape[-1]
    counts = np.zeros((channels, 256), np.int64)
    for start in range(0, len(images), CHUNK):  # bincount makes 8 bytes of each
        for channel in range(channels):
            counts[channel] += np.bincount(images[start : start + CHUNK, ..., channel].ravel(), minlength=256)
    mean, std = [], []
    for channel, histogram in enumerate(counts.tolist()):
        number = sum(histogram)
        total = sum(value * count for value, count in enumerate(histogram))
        squares = sum(value * value * count for value, count in enumerate(histogram))
        mean.append(total / (255 * number))
        std.append(math.sqrt((number * squares - total * total) / (255 * number) ** 2))
        if std[-1] == 0:
            raise UserError(f"channel {channel} has the same value in every pixel of the training images")
    return mean, std


def _write(out_dir: Path, arrays: Mapping[str, np.ndarray], manifest: dict[str, Any]) -> None:
    """Write all files or none, the manifest last; fills in its `sha256`."""
    try:
        with ExitStack() as stack:
            # Files take their names in the opposite order, once all are written.
            manifest_path = stack.enter_context(atomic_path(out_dir / "manifest.json"))
            for name, array in arrays.items():
                manifest["sha256"][name] = _save(stack.enter_context(atomic_path(out_dir / name)), array)
            manifest_path.write_text(json.dumps(manifest, indent=1) + "\n")
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(out_dir)) from None


def _save(path: Path, array: np.ndarray) -> str:
    """`np.save`, which would neither keep the file's name nor say that a disk is full. Returns the sha256."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for content in (header.getbuffer(), array.data):
            digest.update(content)
            file.write(content)
    return digest.hexdigest()
