"""Stage 1: images from any source as plain arrays, with a manifest that says what they are.

Writes into the output folder, for `train` and `test`, `{part}_images.npy` (uint8, [N, H, W, C]) and
`{part}_labels.npy` (int64, [N]), and `manifest.json` (see `prepare`). Equal input gives equal bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import io
import json
import math
import pickle
import sys
import tempfile
import urllib.error
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image, UnidentifiedImageError

from enas_core.cli import Inputs, Parser, log, progress, run_stage
from enas_core.config import DATASETS, DatasetFacts, PrepareDataSettings, Source, load_stage_settings
from enas_core.tables import atomic_path

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


class CifarFiles(NamedTuple):
    """Original CIFAR files: what they are called and which MD5 checksums they have."""

    folder: str
    train: dict[str, str]
    """MD5 (hex) by file name, in the order of the images."""
    test: dict[str, str]
    url: str
    archive: str
    archive_md5: str


def torchvision_files(name: str) -> CifarFiles:
    """What torchvision knows of the files of `cifar10` or `cifar100`."""
    from torchvision.datasets import CIFAR10, CIFAR100

    known = {"cifar10": CIFAR10, "cifar100": CIFAR100}[name]
    return CifarFiles(
        known.base_folder, dict(known.train_list), dict(known.test_list), known.url, known.filename, known.tgz_md5
    )


def prepare(
    settings: PrepareDataSettings,
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
    channel, at a scale of 0..1. Raises ValueError, one line, when the files are not what they should be.
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


# --- checks and statistics ----------------------------------------------------------------------


def _arrays(source: Source, parts: Mapping[str, Iterable[Chunk]], where: str) -> dict[str, np.ndarray]:
    """All images and labels by output file. Raises ValueError unless they are what the settings count on."""
    facts, moved = DATASETS[source.name], source.split_test_images or 0
    arrays: dict[str, np.ndarray] = {}
    for part, limit, available in (
        ("train", source.max_train_images, facts.train_images - moved),
        ("test", source.max_test_images, facts.test_images + moved),
    ):
        key = f"dataset.max_{part}_images"
        if limit is not None and limit > available:
            raise ValueError(f"{key}: {limit} is out of range 1..{available} ({source.name})")
        images, labels, found = _collect(parts[part], facts, limit or available, stop=limit is not None)
        if found != len(labels):
            raise ValueError(f"{where}: {found} {part} images found, {len(labels)} expected ({key}: {limit or 'all'})")
        arrays |= {f"{part}_images.npy": images, f"{part}_labels.npy": labels}
    train_labels, classes = arrays["train_labels.npy"], CLASSES[source.name]
    absent = np.flatnonzero(np.bincount(train_labels, minlength=len(classes)) == 0)
    if len(absent):
        raise ValueError(
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
    """Integer `labels` as int64. Raises ValueError at the first that is out of range."""
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        row = int(wrong[0])
        raise ValueError(f"{where}: row {first_row + row}: label {labels[row]} is out of range 0..{classes - 1}")
    return labels.astype(np.int64)


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
            raise ValueError(f"channel {channel} has the same value in every pixel of the training images")
    return mean, std


# --- sources ------------------------------------------------------------------------------------


def _read(path: Path, digests: dict[str, str]) -> bytes:
    """Content of a source file, whose sha256 goes into `digests`."""
    content = path.read_bytes()
    if not content:
        raise ValueError(f"{path}: empty file")
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
        raise ValueError(f"{data_path}: --data-path: no such folder")
    return data_path


def _cifar(
    name: str, files: CifarFiles, data_path: Path | None, download_dir: Path | None, digests: dict[str, str]
) -> dict[str, Iterable[Chunk]]:
    """CIFAR's original files from an existing folder, or downloaded."""
    if data_path is not None:
        folder = _cifar_folder(_existing_folder(data_path), files)
    elif download_dir is not None:
        folder = _download(files, download_dir)
    else:
        raise ValueError(f"{name} from torchvision needs --data-path or --download-dir")
    log.info("reading %s", folder)
    return {
        "train": _cifar_chunks(name, folder, files.train, digests),
        "test": _cifar_chunks(name, folder, files.test, digests),
    }


def _cifar_folder(data_path: Path, files: CifarFiles) -> Path:
    if (data_path / files.folder).is_dir():
        return data_path / files.folder
    if data_path.resolve().name == files.folder or any((data_path / name).is_file() for name in files.train):
        return data_path
    raise ValueError(
        f"{data_path}: --data-path: there is no {files.folder} in it; give the extracted folder {files.folder}"
        " or its parent (archives are not unpacked)"
    )


def _download(files: CifarFiles, download_dir: Path) -> Path:
    """Folder of the downloaded files; they are fetched only if they are not yet there, whole."""
    from torchvision.datasets.utils import check_integrity, download_and_extract_archive

    folder = download_dir / files.folder
    checksums = files.train | files.test
    if all(check_integrity(folder / name, md5) for name, md5 in checksums.items()):
        return folder
    log.info("downloading %s", files.url)
    folder.mkdir(parents=True, exist_ok=True)
    # Extracted aside and moved, so that two experiments may do this at once.
    with tempfile.TemporaryDirectory(dir=download_dir, prefix=".download-") as temporary:
        try:
            download_and_extract_archive(files.url, temporary, filename=files.archive, md5=files.archive_md5)
        except (urllib.error.URLError, ConnectionError, TimeoutError, http.client.HTTPException, RuntimeError) as error:
            raise ValueError(f"{files.url}: download failed: {error}; --data-path names existing files") from None
        for name in checksums:
            (Path(temporary) / files.folder / name).replace(folder / name)
    return folder


class _ArraysOnly(pickle.Unpickler):
    """Reads what CIFAR's files consist of, built-in values and numpy arrays, and refuses all else."""

    ALLOWED = frozenset({("numpy.core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype")})

    def find_class(self, module_name: str, global_name: str) -> Any:
        if (module_name, global_name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"{module_name}.{global_name} does not belong in such a file")
        return super().find_class(module_name, global_name)


def _cifar_chunks(name: str, folder: Path, checksums: Mapping[str, str], digests: dict[str, str]) -> Iterator[Chunk]:
    """One chunk a file. No file is unpickled unless its MD5 is the expected one."""
    facts = DATASETS[name]
    for file_name, expected in progress(checksums.items(), f"reading {name}", total=len(checksums)):
        path = folder / file_name
        content = _read(path, digests)
        found = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if found != expected:
            raise ValueError(f"{path}: MD5 checksum is {found}, expected {expected}: damaged or not the original file")
        try:
            entry = _ArraysOnly(io.BytesIO(content), encoding="bytes").load()
            data, labels = entry[b"data"], np.array(entry[b"fine_labels" if name == "cifar100" else b"labels"])
            planes = data.reshape(-1, facts.channels, facts.size, facts.size)
            well_formed = planes.dtype == np.uint8 and labels.dtype.kind in "iu" and labels.shape == (len(planes),)
        except Exception as error:  # a pickle can fail in any way
            raise ValueError(f"{path}: not a CIFAR batch: {type(error).__name__}: {error}") from None
        if not well_formed:
            raise ValueError(f"{path}: not a CIFAR batch: needs uint8 data and one integer label for each image")
        yield planes.transpose(0, 2, 3, 1), _checked_labels(str(path), labels, facts.classes)


def _parquet(name: str, data_path: Path | None, digests: dict[str, str]) -> dict[str, Iterable[Chunk]]:
    """Parquet files in the Hugging Face layout."""
    if data_path is None:
        raise ValueError(f"{name} from parquet needs --data-path")
    _existing_folder(data_path)
    folders = [data_path / sub for sub in (".", "data", name, "plain_text")]
    found = {folder: {part: _shards(folder, part) for part in ("train", "test")} for folder in folders}
    folder = next((folder for folder, parts in found.items() if any(parts.values())), data_path)
    for part, paths in found[folder].items():
        if not paths:
            places = "" if folder != data_path else f", nor in data, {name} or plain_text below it"
            raise ValueError(f"{folder}: neither {part}.parquet nor {part}-*.parquet is there{places}")
    log.info("reading %s", folder)
    return {part: _parquet_chunks(name, paths, digests) for part, paths in found[folder].items()}


def _shards(folder: Path, part: str) -> list[Path]:
    single = folder / f"{part}.parquet"
    return [single] if single.exists() else sorted(folder.glob(f"{part}-*.parquet"))


def _parquet_chunks(name: str, paths: Sequence[Path], digests: dict[str, str]) -> Iterator[Chunk]:
    """Decoded images and labels of `paths`; rows in messages count from 0 in each file."""
    facts, label_column = DATASETS[name], LABEL_COLUMNS[name]
    for path in paths:
        row = 0
        for encoded, labels in _parquet_rows(path, _read(path, digests), label_column):
            if labels.null_count:
                raise ValueError(f"{path}: row {row + labels.is_null().index(True).as_py()}: {label_column} is null")
            images = np.empty((len(encoded), facts.size, facts.size, facts.channels), np.uint8)
            for i, content in enumerate(encoded):
                images[i] = _decoded(f"{path}: row {row + i}", content, facts.size)
            yield images, _checked_labels(str(path), labels.to_numpy(), facts.classes, row)
            row += len(encoded)


def _parquet_rows(path: Path, content: bytes, label_column: str) -> Iterator[tuple[list[bytes | None], pa.Array]]:
    """Encoded images and labels of one file, `CHUNK` rows at a time."""
    with _readable(path):
        file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
        schema = file.schema_arrow
        columns = dict(zip(schema.names, schema.types, strict=True))
    image_column = _image_column(path, columns, label_column)
    with _readable(path):
        batches = file.iter_batches(CHUNK, columns=[f"{image_column}.bytes", label_column], use_threads=False)
        for batch in progress(batches, f"decoding {path.name}", total=file.metadata.num_rows // CHUNK):
            batch.validate(full=True)
            yield pc.struct_field(batch.column(image_column), "bytes").to_pylist(), batch.column(label_column)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what Arrow raises on a damaged file (already in memory) into one line."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError, KeyError) as error:
        raise ValueError(f"{path}: not a readable Parquet file: {' '.join(str(error).split())[:200]}") from None


def _image_column(path: Path, columns: Mapping[str, pa.DataType], label_column: str) -> str:
    """Name of the image column. Raises ValueError unless the columns are those of the layout."""
    shown = f"it has {', '.join(f'{name}: {kind}' for name, kind in columns.items())[:200] or 'no columns'}"
    if label_column not in columns or not pa.types.is_integer(columns[label_column]):
        raise ValueError(f"{path}: needs an integer column {label_column}; {shown}")
    for name in IMAGE_COLUMNS:
        kind = columns.get(name, pa.null())
        position = kind.get_field_index("bytes") if pa.types.is_struct(kind) else -1
        if position >= 0 and (pa.types.is_binary(kind[position].type) or pa.types.is_large_binary(kind[position].type)):
            return name
    raise ValueError(f"{path}: needs a column img or image: struct<bytes: binary, path: string>; {shown}")


def _decoded(where: str, content: bytes | None, size: int) -> np.ndarray:
    """RGB pixels (uint8, [size, size, 3]) of one PNG or JPEG file."""
    if content is None:
        raise ValueError(f"{where}: image is null")
    try:
        # Other formats stay out: some of Pillow's readers start external programs.
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as image,
        ):
            # An image of the wrong size, however large it claims to be, is never decoded.
            problem = _problem(image, size)
            pixels = None if problem else np.asarray(image.convert("RGB"))
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, struct.error ... on damaged files
        reason = "unknown format" if isinstance(error, UnidentifiedImageError) else error
        raise ValueError(f"{where}: not a readable PNG or JPEG image: {reason}") from None
    if pixels is None:
        raise ValueError(f"{where}: image {problem}")
    return pixels


def _problem(image: Image.Image, size: int) -> str | None:
    """Why an image cannot be one of RGB pixels as it is; nothing is resized or guessed."""
    if image.size != (size, size):
        return f"is {image.width}x{image.height}, expected {size}x{size}"
    if image.mode.startswith(("I", "F")):
        return f"has more than 8 bits a channel (mode {image.mode})"
    # Most images with an alpha channel are opaque all the same.
    if image.has_transparency_data and image.convert("RGBA").getextrema()[3] != (255, 255):
        return "has transparent parts; RGB is needed"
    return None


# --- output -------------------------------------------------------------------------------------


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


# --- command line -------------------------------------------------------------------------------


def _stage(options: argparse.Namespace) -> None:
    inputs = Inputs(options.config)
    settings = load_stage_settings(options.config, PrepareDataSettings)
    prepare(settings, options.data_path, options.out_dir, options.download_dir, inputs=inputs)


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(
        "prepare_data",
        "Read the images of an experiment, check them, and write them as arrays (train_images.npy, train_labels.npy,"
        " test_images.npy, test_labels.npy) with a manifest.json of counts, classes, mean and standard deviation, and"
        " checksums.",
    )
    parser.add_settings("prepare_data")
    parser.add_argument(
        "--data-path",
        type=Path,
        metavar="DIR",
        help="folder of existing files. torchvision: cifar-10-batches-py or cifar-100-python, extracted, or its parent."
        " parquet: train.parquet and test.parquet, or train-*.parquet and test-*.parquet, in DIR or in its folder data,"
        " plain_text or one named as the dataset. digits: not used",
    )
    parser.add_argument(
        "--download-dir",
        type=Path,
        metavar="DIR",
        help="without --data-path, torchvision's files are downloaded to this folder (about 170 MB), and reused there",
    )
    parser.add_argument("--out-dir", type=Path, required=True, metavar="DIR", help="folder to write to")
    return run_stage(parser, _stage, arguments)


if __name__ == "__main__":
    sys.exit(main())
