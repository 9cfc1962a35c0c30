"""Parquet files in the Hugging Face layout: encoded images in a column of structs, integer labels in another."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image, UnidentifiedImageError

from enas_core.console import UserError, log, progress
from enas_core.data.sources import CHUNK, Chunk, checked_labels, existing_folder, read_source
from enas_core.settings.dataset import DATASETS

LABEL_COLUMNS = {"cifar10": "label", "cifar100": "fine_label"}
IMAGE_COLUMNS = ("img", "image")

MOST_ROWS = 10_000_000
"""Of a file. More labels than that need memory before anybody knows what they are."""

MOST_EXPANSION, MOST_MORE = 64, 2**26
"""A column may have so many times its compressed bytes, and so many bytes more: encoded images hardly shrink."""


def read_parquet(name: str, data_path: Path | None, digests: dict[str, str]) -> dict[str, Iterable[Chunk]]:
    """Parquet files in the Hugging Face layout."""
    if data_path is None:
        raise UserError(f"{name} from parquet needs --data-path")
    existing_folder(data_path)
    folders = [data_path / sub for sub in (".", "data", name, "plain_text")]
    found = {folder: {part: shards(folder, part) for part in ("train", "test")} for folder in folders}
    folder = next((folder for folder, parts in found.items() if any(parts.values())), data_path)
    for part, paths in found[folder].items():
        if not paths:
            places = "" if folder != data_path else f", nor in data, {name} or plain_text below it"
            raise UserError(f"{folder}: neither {part}.parquet nor {part}-*.parquet is there{places}")
    log.info("reading %s", folder)
    return {part: _parquet_chunks(name, paths, digests) for part, paths in found[folder].items()}


def shards(folder: Path, part: str) -> list[Path]:
    """The files of a part in a folder: a single one, or any number of them."""
    single = folder / f"{part}.parquet"
    return [single] if single.exists() else sorted(folder.glob(f"{part}-*.parquet"))


def _parquet_chunks(name: str, paths: Sequence[Path], digests: dict[str, str]) -> Iterator[Chunk]:
    """Decoded images and labels of `paths`; rows in messages count from 0 in each file."""
    facts, label_column = DATASETS[name], LABEL_COLUMNS[name]
    for path in paths:
        row = 0
        for encoded, labels in _parquet_rows(path, read_source(path, digests), label_column):
            if labels.null_count:
                raise UserError(f"{path}: row {row + labels.is_null().index(True).as_py()}: {label_column} is null")
            images = np.empty((len(encoded), facts.size, facts.size, facts.channels), np.uint8)
            for i, content in enumerate(encoded):
                images[i] = _decoded(f"{path}: row {row + i}", content, facts.size)
            yield images, checked_labels(str(path), labels.to_numpy(), facts.classes, row)
            row += len(encoded)


def _parquet_rows(path: Path, content: bytes, label_column: str) -> Iterator[tuple[list[bytes | None], pa.Array]]:
    """Encoded images and labels of one file, `CHUNK` rows at a time."""
    with readable(path):
        file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
        require_bounded(path, file.metadata)
        schema = file.schema_arrow
        columns = dict(zip(schema.names, schema.types, strict=True))
    found = image_column(path, columns, label_column)
    with readable(path):
        batches = file.iter_batches(CHUNK, columns=[f"{found}.bytes", label_column], use_threads=False)
        for batch in progress(batches, f"decoding {path.name}", total=file.metadata.num_rows // CHUNK):
            batch.validate(full=True)
            yield pc.struct_field(batch.column(found), "bytes").to_pylist(), batch.column(label_column)


def require_bounded(path: Path, metadata: pq.FileMetaData) -> None:
    """Raise UserError, before anything is decoded, where a file says that it has too many rows, or that a column
    expands as encoded images never do."""
    if metadata.num_rows > MOST_ROWS:
        raise UserError(f"{path}: has {metadata.num_rows} rows; at most {MOST_ROWS} are read")
    for i in range(metadata.num_row_groups):
        group = metadata.row_group(i)
        for j in range(group.num_columns):
            column = group.column(j)
            expanded, stored = column.total_uncompressed_size, column.total_compressed_size
            if column.num_values > MOST_ROWS or expanded > MOST_EXPANSION * stored + MOST_MORE:
                raise UserError(f"{path}: column {column.path_in_schema} expands from {stored} to {expanded} bytes")


def image_column(path: Path, columns: Mapping[str, pa.DataType], label_column: str | None = None) -> str:
    """Name of the image column. Raises UserError unless the columns are those of the layout."""
    shown = f"it has {', '.join(f'{name}: {kind}' for name, kind in columns.items())[:200] or 'no columns'}"
    if label_column is not None and not pa.types.is_integer(columns.get(label_column, pa.null())):
        raise UserError(f"{path}: needs an integer column {label_column}; {shown}")
    for name in IMAGE_COLUMNS:
        kind = columns.get(name, pa.null())
        position = kind.get_field_index("bytes") if pa.types.is_struct(kind) else -1
        if position >= 0 and (pa.types.is_binary(kind[position].type) or pa.types.is_large_binary(kind[position].type)):
            return name
    raise UserError(f"{path}: needs a column img or image: struct<bytes: binary, path: string>; {shown}")


def _decoded(where: str, content: bytes | None, size: int) -> np.ndarray:
    """RGB pixels (uint8, [size, size, 3]) of one PNG or JPEG file."""
    if content is None:
        raise UserError(f"{where}: image is null")
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
        raise UserError(f"{where}: not a readable PNG or JPEG image: {reason}") from None
    if pixels is None:
        raise UserError(f"{where}: image {problem}")
    return pixels


def _problem(image: Image.Image, size: int) -> str | None:
    """Why an image cannot be one of RGB pixels as it is; nothing is resized or guessed."""
    if image.size != (size, size):
        return f"is {image.width}x{image.height}, expected {size}x{size}"
    if image.mode.startswith(("I", "F")):
        return f"has more than 8 bits a channel (mode {image.mode})"
    # Most images with an alpha channel are opaque all the same.
    if image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema() != (255, 255):
        return "has transparent parts; RGB is needed"
    return None


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what Arrow raises on a damaged file (already in memory) into one line."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError, KeyError) as error:
        raise UserError(f"{path}: not a readable Parquet file: {' '.join(str(error).split())[:200]}") from None
