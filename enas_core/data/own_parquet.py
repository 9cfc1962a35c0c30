"""Any dataset in the Hugging Face layout: Parquet files with encoded images in a column of structs, and integer labels
in another, whose classes the files' metadata may name."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from enas_core.console import UserError, log
from enas_core.data.arrays import file_sha256
from enas_core.data.collection import Collection, Encoded, Part, require_classes
from enas_core.data.parquet import image_column, readable, require_bounded, shards
from enas_core.data.sources import existing_folder
from enas_core.files.reading import require_regular

FILES = {"train": ("train",), "valid": ("validation", "valid", "val"), "test": ("test",)}
"""How the files of each part may begin."""

ROWS = 64
"""Encoded images that are in memory at a time."""

MOST_CLASSES = 100_000


def list_parquet(name: str, data_path: Path | None, label_column: str | None) -> Collection:
    """The images in `data_path`. Raises UserError, naming what is wrong, before anything is decoded."""
    if data_path is None:
        raise UserError(f"{name} from parquet needs --data-path")
    folder, paths = _find(name, existing_folder(data_path))
    log.info("reading %s", folder)
    features = _features(paths["train"][0])
    column = label_column or _label_column(paths["train"][0], features)
    labels = {part: [_labels(path, column) for path in files] for part, files in paths.items()}
    most = max(int(found.max(initial=-1)) for of_part in labels.values() for found in of_part)
    classes = _class_names(features.get(column), most)
    for part, of_part in labels.items():
        for path, found in zip(paths[part], of_part, strict=True):
            wrong = np.flatnonzero((found < 0) | (found >= len(classes)))
            if len(wrong):
                value = found[wrong[0]]
                raise UserError(f"{path}: row {wrong[0]}: label {value} is out of range 0..{len(classes) - 1}")
    parts = {
        part: Part(np.concatenate(labels[part]), functools.partial(_images, files)) for part, files in paths.items()
    }
    require_classes(str(folder), classes, {part: listed.labels for part, listed in parts.items()})
    every = [path for files in paths.values() for path in files]
    return Collection(str(folder), classes, parts, lambda: {path.name: file_sha256(path) for path in every})


def _find(name: str, data_path: Path) -> tuple[Path, dict[str, list[Path]]]:
    """The folder with the files, and the files of each part that is there."""
    folders = [data_path / sub for sub in (".", "data", name, "default", "plain_text")]
    for folder in folders:
        found = {part: next(filter(None, (shards(folder, n) for n in names)), []) for part, names in FILES.items()}
        if found["train"]:
            return folder, {part: paths for part, paths in found.items() if paths}
    raise UserError(
        f"{data_path}: neither train.parquet nor train-*.parquet is there, nor in data, {name}, default or plain_text"
        " below it"
    )


def _features(path: Path) -> dict[str, Any]:
    """What the file's metadata say of its columns, in the form of Hugging Face's library; empty where they do not."""
    with readable(path):
        require_regular(path)
        metadata = pq.read_schema(path).metadata or {}
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def _label_column(path: Path, features: dict[str, Any]) -> str:
    """The column that is declared to hold classes, or `label`."""
    declared = [name for name, kind in features.items() if isinstance(kind, dict) and kind.get("_type") == "ClassLabel"]
    if len(declared) == 1:
        return declared[0]
    if "label" in declared or not declared:
        return "label"
    raise UserError(f"{path}: dataset.label_column: must say which one: {', '.join(declared)}")


def _class_names(feature: Any, most: int) -> list[str]:
    """From the metadata, or else numbers up to the largest label."""
    names = feature.get("names") if isinstance(feature, dict) else None
    if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
        return names
    return [str(label) for label in range(min(most + 1, MOST_CLASSES))]


def _labels(path: Path, column: str) -> NDArray[np.int64]:
    """The labels of one file."""
    with readable(path):
        require_regular(path)
        file = pq.ParquetFile(path, memory_map=True)
        require_bounded(path, file.metadata)
        columns = dict(zip(file.schema_arrow.names, file.schema_arrow.types, strict=True))
    image_column(path, columns, column)  # says what is missing
    with readable(path):
        labels = file.read([column]).column(column).combine_chunks()
        labels.validate(full=True)
    if labels.null_count:
        raise UserError(f"{path}: row {labels.is_null().index(True).as_py()}: {column} is null")
    if not len(labels):
        raise UserError(f"{path}: has no rows")
    return labels.cast(pa.int64()).to_numpy()


def _images(paths: Sequence[Path]) -> Iterator[Encoded]:
    """All images of some files; rows in messages count from 0 in each file."""
    for path in paths:
        for row, content in enumerate(_contents(path)):
            where = f"{path}: row {row}"
            yield Encoded(where, functools.partial(_given, where, content))


def _given(where: str, content: bytes | None) -> bytes:
    if content is None:
        raise UserError(f"{where}: image is null")
    return content


def _contents(path: Path) -> Iterator[bytes | None]:
    """The encoded images of one file, of which few are in memory at a time."""
    with readable(path):
        file = pq.ParquetFile(path, memory_map=True, page_checksum_verification=True)
        name = image_column(path, dict(zip(file.schema_arrow.names, file.schema_arrow.types, strict=True)))
        for batch in file.iter_batches(ROWS, columns=[f"{name}.bytes"], use_threads=False):
            batch.validate(full=True)
            yield from pc.struct_field(batch.column(name), "bytes").to_pylist()
