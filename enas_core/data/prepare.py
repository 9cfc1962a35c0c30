"""Images from any source as plain arrays, with a manifest that says what they are: what `python -m
enas_core.prepare_data` does.

Writes into the output folder, for `train` and `test`, `{part}_images.npy` (uint8 [N, H, W, C]) and
`{part}_labels.npy` (int64 [N]), and `manifest.json` (see `manifest.py`). Equal input gives equal bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from enas_core.console import log
from enas_core.data.arrays import npy_header
from enas_core.data.cifar import CifarFiles, read_cifar, torchvision_files
from enas_core.data.collect import collect_arrays, mean_and_std
from enas_core.data.digits import read_digits
from enas_core.data.manifest import MANIFEST
from enas_core.data.noise import add_noise
from enas_core.data.own import write_own
from enas_core.data.parquet import read_parquet
from enas_core.files.atomic import atomic_path
from enas_core.files.inputs import Inputs
from enas_core.settings.dataset import CLASSES, Source
from enas_core.settings.stages import PrepareDataStage

ARRAYS = tuple(f"{part}_{what}.npy" for part in ("train", "test") for what in ("images", "labels"))

FORMAT = 1
"""Version of the manifest and the arrays beside it."""


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
    if source.facts is None:
        manifest = _prepare_own(source, data_path, out_dir, inputs)
    else:
        manifest = _prepare_known(source, data_path, out_dir, download_dir, cifar_files, inputs)
    counts = manifest["images"]
    log.info("%s from %s: %d training and %d test images", source.name, source.source, counts["train"], counts["test"])
    mean, std = _rounded(manifest["mean"]), _rounded(manifest["std"])
    log.info("training images: mean %s, standard deviation %s", mean, std)
    return manifest


def _prepare_known(
    source: Source,
    data_path: Path | None,
    out_dir: Path,
    download_dir: Path | None,
    cifar_files: CifarFiles | None,
    inputs: Inputs | None,
) -> dict[str, Any]:
    """A dataset of which all is known, and which is small: by way of whole arrays."""
    digests: dict[str, str] = {}
    if source.source == "digits":
        parts = read_digits(source.split_test_images or 0, source.split_seed, digests)
    elif source.source == "parquet":
        parts = read_parquet(source.name, data_path, digests)
    else:
        parts = read_cifar(source.name, cifar_files or torchvision_files(source.name), data_path, download_dir, digests)
    arrays = collect_arrays(source, parts, where=str(data_path or source.source))
    if source.noise is not None:
        arrays = add_noise(arrays, source.noise)
    mean, std = mean_and_std(arrays["train_images.npy"])
    manifest = {
        "format": FORMAT,
        "dataset": source.name,
        "source": source.source,
        "classes": CLASSES[source.name],
        "image_shape": list(arrays["train_images.npy"].shape[1:]),
        "images": {part: len(arrays[f"{part}_labels.npy"]) for part in ("train", "test")},
        "mean": mean,
        "std": std,
        "sha256": {},
        "source_sha256": digests,
    }
    if inputs is not None:
        inputs.require_unchanged()
    _write(out_dir, arrays, manifest)
    return manifest


def _prepare_own(source: Source, data_path: Path | None, out_dir: Path, inputs: Inputs | None) -> dict[str, Any]:
    """Images of the user's own."""
    with _written_to(out_dir) as targets:
        check = inputs.require_unchanged if inputs is not None else lambda: None
        of_source = {"format": FORMAT, "dataset": source.name, "source": source.source}
        arrays = {name: targets[name] for name in ARRAYS}
        manifest = of_source | write_own(source, data_path, arrays, check)
        targets[MANIFEST].write_text(json.dumps(manifest, indent=1) + "\n")
    return manifest


def _rounded(values: Sequence[float]) -> str:
    return " ".join(f"{value:.4f}" for value in values)


@contextmanager
def _written_to(out_dir: Path) -> Iterator[dict[str, Path]]:
    """Paths for all files, by name: all of them are there afterwards, whole, or none; the manifest comes last."""
    made = not out_dir.exists()
    try:
        with ExitStack() as stack:
            # Files take their names in the opposite order, once all are written.
            yield {name: stack.enter_context(atomic_path(out_dir / name)) for name in (MANIFEST, *ARRAYS)}
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(out_dir)) from None
    finally:
        if made and out_dir.exists() and not any(out_dir.iterdir()):
            out_dir.rmdir()


def _write(out_dir: Path, arrays: Mapping[str, np.ndarray], manifest: dict[str, Any]) -> None:
    """Write all files; fills in the manifest's `sha256`."""
    with _written_to(out_dir) as targets:
        for name, array in arrays.items():
            manifest["sha256"][name] = _save(targets[name], array)
        targets[MANIFEST].write_text(json.dumps(manifest, indent=1) + "\n")


def _save(path: Path, array: np.ndarray) -> str:
    """`np.save`, which would neither keep the file's name nor say that a disk is full. Returns the sha256."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for content in (npy_header(array.shape, array.dtype), array.data):
            digest.update(content)
            file.write(content)
    return digest.hexdigest()
