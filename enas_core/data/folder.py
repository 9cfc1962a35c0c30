"""Image files in folders, one for each class: `train/CLASS/*`, and where they are there `test/CLASS/*` and
`valid/CLASS/*` or `val/CLASS/*` (the layout of torchvision's `ImageFolder`)."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from enas_core.console import UserError, log
from enas_core.data.collection import Collection, Encoded, Part, require_classes, require_unlike
from enas_core.data.sources import existing_folder
from enas_core.files.pictures import MOST_BYTES
from enas_core.files.reading import read_bytes

FOLDERS = {"train": ("train",), "valid": ("valid", "val"), "test": ("test",)}
"""How the folder of each part may be called."""

SUFFIXES = frozenset(".jpg .jpeg .png .webp .bmp .gif .tif .tiff .ppm .pgm .pbm".split())
"""Files that are called otherwise are no images."""


def list_folder(name: str, data_path: Path | None) -> Collection:
    """The images below `data_path`. Raises UserError, naming what is wrong, before anything is decoded."""
    if data_path is None:
        raise UserError(f"{name} from a folder needs --data-path")
    root = existing_folder(data_path)
    folders = {part: _part_folder(root, names) for part, names in FOLDERS.items()}
    if folders["train"] is None:
        raise UserError(f"{root}: needs a folder train with one folder for each class; there {_what_is(root)}")

    found: dict[str, dict[str, list[Path]]] = {}
    for part, folder in folders.items():
        if folder is not None:
            found[part] = {path.name: _image_files(path, root) for path in _class_folders(folder)}
    names = sorted({class_name for files in found.values() for class_name in files})
    require_unlike(str(root), names)
    parts = {part: _part(files, names) for part, files in found.items()}
    require_classes(str(root), names, {part: listed.labels for part, listed in parts.items()})
    absent = [class_name for class_name in names if "test" in found and class_name not in found["test"]]
    if absent:
        log.info(
            "%s: the test part has no images of %d of %d classes, such as %s", root, len(absent), len(names), absent[0]
        )
    return Collection(str(root), names, parts)


def _part_folder(root: Path, names: tuple[str, ...]) -> Path | None:
    """The folder of a part; None where there is none."""
    there = [root / name for name in names if os.path.lexists(root / name)]
    if len(there) > 1:
        raise UserError(f"{root}: has both {there[0].name} and {there[1].name}; one of the two is needed")
    if not there:
        return None
    _require_inside(there[0], root)
    if not there[0].is_dir():
        raise UserError(f"{there[0]}: not a folder")
    return there[0]


def _class_folders(folder: Path) -> list[Path]:
    """The folders of the classes, by name."""
    entries = [entry for entry in sorted(folder.iterdir()) if not entry.name.startswith(".")]
    for entry in entries:
        _require_inside(entry, folder.parent)
        _require_no_linked_folder(entry)
    files = [entry for entry in entries if not entry.is_dir()]
    images = [entry for entry in files if entry.suffix.lower() in SUFFIXES]
    if images:
        raise UserError(f"{images[0]}: an image in no class; images belong into a folder for each class")
    return [entry for entry in entries if entry.is_dir()]


def _image_files(folder: Path, root: Path) -> list[Path]:
    """The images of a class, those in folders below it included, by name. Raises UserError where there are none."""
    found = []
    others = 0
    for path in _files(folder, root):
        if path.suffix.lower() in SUFFIXES:
            found.append(path)
        else:
            others += 1
    if others:
        log.info("%s: %d files that are not called like images are left aside", folder, others)
    if not found:
        raise UserError(f"{folder}: an empty class: no image files are in it")
    return found


def _files(folder: Path, root: Path) -> Iterator[Path]:
    """All files below a folder, hidden ones aside. Raises UserError where one is no regular file."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        _require_inside(path, root)
        _require_no_linked_folder(path)
        if path.is_dir():
            yield from _files(path, root)
        elif path.is_file():
            yield path
        else:
            raise UserError(f"{path}: not a regular file")


def _require_inside(path: Path, root: Path) -> None:
    """Raise UserError where a symbolic link leads out of `root`, or nowhere."""
    if not path.is_symlink():
        return
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):
        raise UserError(f"{path}: a symbolic link that leads nowhere") from None
    if not target.is_relative_to(root.resolve()):
        raise UserError(f"{path}: a symbolic link out of the folder, to {target}")


def _require_no_linked_folder(path: Path) -> None:
    if path.is_symlink() and path.is_dir():
        raise UserError(f"{path}: a symbolic link to a folder; only links to files are followed")


def _part(files: dict[str, list[Path]], classes: list[str]) -> Part:
    """All images of a part, class by class."""
    listed = [(label, path) for label, name in enumerate(classes) for path in files.get(name, ())]
    labels = np.array([label for label, _ in listed], np.int64)
    return Part(
        labels, lambda: (Encoded(str(path), functools.partial(read_bytes, path, MOST_BYTES)) for _, path in listed)
    )


def _what_is(root: Path) -> str:
    """What a folder holds, in a few words."""
    names = sorted(entry.name for entry in root.iterdir())
    if not names:
        return "is nothing"
    return f"is {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"
