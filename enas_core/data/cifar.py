"""CIFAR-10 and CIFAR-100 in their original files, downloaded or found: pickles, which are verified before they are
read."""

from __future__ import annotations

import hashlib
import http.client
import io
import pickle
import tempfile
import urllib.error
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from enas_core.console import UserError, log, progress
from enas_core.data.sources import Chunk, checked_labels, existing_folder, read_source
from enas_core.settings.dataset import DATASETS


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


def read_cifar(
    name: str, files: CifarFiles, data_path: Path | None, download_dir: Path | None, digests: dict[str, str]
) -> dict[str, Iterable[Chunk]]:
    """CIFAR's original files from an existing folder, or downloaded."""
    if data_path is not None:
        folder = _cifar_folder(existing_folder(data_path), files)
    elif download_dir is not None:
        folder = _download(files, download_dir)
    else:
        raise UserError(f"{name} from torchvision needs --data-path or --download-dir")
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
    raise UserError(
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
            raise UserError(f"{files.url}: download failed: {error}; --data-path names existing files") from None
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
        content = read_source(path, digests)
        found = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if found != expected:
            raise UserError(f"{path}: MD5 checksum is {found}, expected {expected}: damaged or not the original file")
        try:
            entry = _ArraysOnly(io.BytesIO(content), encoding="bytes").load()
            data, labels = entry[b"data"], np.array(entry[b"fine_labels" if name == "cifar100" else b"labels"])
            planes = data.reshape(-1, facts.channels, facts.size, facts.size)
            well_formed = planes.dtype == np.uint8 and labels.dtype.kind in "iu" and labels.shape == (len(planes),)
        except Exception as error:  # a pickle can fail in any way
            raise UserError(f"{path}: not a CIFAR batch: {type(error).__name__}: {error}") from None
        if not well_formed:
            raise UserError(f"{path}: not a CIFAR batch: needs uint8 data and one integer label for each image")
        yield planes.transpose(0, 2, 3, 1), checked_labels(str(path), labels, facts.classes)
