"""What a file of tensors may hold: torch reads more than this project writes.

torch is asked for inside the functions, so that importing this needs none."""

from __future__ import annotations

import io
import math
import warnings
import zipfile
from typing import Any


def load_plain(data: bytes) -> Any:
    """Content of what `torch.save` has written, on the CPU; nothing in it is executed. Raises an error of any kind
    where it is not that: torch's own on damaged bytes, ValueError where it holds what this project never writes, such
    as parts that expand, or tensors that are complex, sparse, larger than the file, or not finite."""
    import numpy  # noqa: F401 (torch would import it, and go on with half of it when a signal interrupts that)
    import torch

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = archive.infolist()
    if sum(part.file_size for part in parts) > len(data):
        raise ValueError("it expands")
    with warnings.catch_warnings(action="ignore"):  # of the form of a pickle: if it matters, it raises
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    _require_plain(content, len(data))
    return content


def _require_plain(content: Any, most: int) -> None:
    """Raise ValueError unless all tensors and numbers in nested mappings and lists are plain and finite, and none has
    more than `most` bytes."""
    import torch

    waiting, seen = [content], set()
    while waiting:
        value = waiting.pop()
        if id(value) in seen:  # an object may be in many places
            continue
        seen.add(id(value))
        if isinstance(value, dict):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple | set):
            waiting += value
        elif isinstance(value, complex) or (isinstance(value, float) and not math.isfinite(value)):
            raise ValueError(f"{value} is not a finite number")
        elif isinstance(value, torch.Tensor):
            if value.layout != torch.strided or value.is_complex() or value.is_quantized or value.device.type != "cpu":
                raise ValueError("a tensor that is complex, sparse or quantised, or without values")
            if value.numel() * value.element_size() > most:
                raise ValueError("a tensor that is larger than the file")
            if not value.isfinite().all():
                raise ValueError("a tensor with values that are not finite")
