"""The operators of `kernels.cpp`, which compute a cell's operations on a CPU: built once a machine, then loaded.

`training.compilation` decides whether a network uses them. They need a C++ compiler; without one, or where they cannot
be built, networks compute the same with torch's own operators.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from enas_core.console import log
from enas_core.files.atomic import atomic_path

SOURCE = Path(__file__).parent / "cpp" / "kernels.cpp"
"""What is compiled; it includes the headers beside it, one for each kind of operator and for what they share."""

SMALLEST_ROW = 16
"""Values of a row of a feature map, all channels together, that the operators need: those of a vector."""

FLAGS = ["-O3", "-std=c++20", "-fPIC", "-shared"]


class Kernels(Protocol):
    """The operators. All take and return feature maps [B, C, S, S] that are channels last in memory; `kept` are tensors
    that receive the batch's mean and unbiased variance of each batch norm, or there are none."""

    def sep_conv(self, x: Tensor, weights: list[Tensor], stride: int, kept: list[Tensor]) -> Tensor:
        """Twice ReLU, depthwise and pointwise convolution, and batch norm, whose weights are given in this order."""

    def conv_norm(
        self, maps: list[Tensor], blocks: list[Tensor], weight: Tensor, bias: Tensor, kept: list[Tensor]
    ) -> Tensor:
        """ReLU, 1x1 convolution of all maps behind each other (one block of weights each), batch norm."""

    def halve(
        self, x: Tensor, blocks: list[Tensor], weight: Tensor, bias: Tensor, with_relu: bool, kept: list[Tensor]
    ) -> Tensor:
        """ReLU or not, 1x1 convolutions of every other pixel and of those one down and to the right, batch norm."""

    def stem(self, x: Tensor, conv: Tensor, weight: Tensor, bias: Tensor, kept: list[Tensor]) -> Tensor:
        """3x3 convolution and batch norm of images, which get no gradient."""

    def avg_pool(self, x: Tensor) -> Tensor:
        """Average over 3x3 pixels; those beyond the border are not counted."""

    def max_pool(self, x: Tensor) -> Tensor:
        """The largest of 3x3 pixels."""


@functools.cache
def load_kernels() -> Kernels | None:
    """The operators, built if this machine has not yet; None, after a line in the log, where that is impossible."""
    compiler = shutil.which(os.environ.get("CXX", "c++"))
    if compiler is None:
        log.info("no C++ compiler is here: torch's own operators are used")
        return None
    try:
        torch.ops.load_library(str(_built(compiler)))
    except (OSError, subprocess.CalledProcessError) as error:
        reason = " ".join((getattr(error, "stderr", None) or str(error)).split())
        log.warning("%s: not built, torch's own operators are used: %s", SOURCE.name, reason[:500])
        return None
    kernels: Any = torch.ops.enas
    return kernels


def _built(compiler: str) -> Path:
    """The library for this processor, compiler and version of torch."""
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout
    sources = [path.read_text() for path in [SOURCE, *sorted(SOURCE.parent.glob("*.h"))]]
    facts = [*sources, *FLAGS, version, torch.__version__, platform.machine(), _processor()]
    key = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:20]
    library = _cache() / f"kernels-{key}.so"
    if library.exists():
        return library
    library.parent.mkdir(parents=True, exist_ok=True)
    # The system releases the lock when a process ends, however it ends.
    with library.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not library.exists():
            log.info("building %s for this machine, which takes half a minute once", SOURCE.name)
            with atomic_path(library) as temporary:
                _compile(compiler, temporary)
    return library


def _compile(compiler: str, library: Path) -> None:
    from torch.utils.cpp_extension import include_paths, library_paths

    native = "-mcpu=native" if platform.machine() in ("aarch64", "arm64") else "-march=native"
    openmp = ["-fopenmp"] if torch.backends.openmp.is_available() and platform.system() == "Linux" else []
    command = [compiler, *FLAGS, native, *openmp, *(f"-I{path}" for path in include_paths())]
    command += [str(SOURCE), "-o", str(library)]
    command += [f"-L{path}" for path in library_paths()] + ["-ltorch", "-ltorch_cpu", "-lc10"]
    subprocess.run(command, capture_output=True, text=True, check=True)


def _cache() -> Path:
    """Where libraries are kept: the folder that other extensions of torch use as well."""
    chosen = os.environ.get("TORCH_EXTENSIONS_DIR")
    if chosen is None:
        try:
            base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        except RuntimeError:  # a user without a home folder, as in some containers
            raise OSError("there is no home folder for it; set TORCH_EXTENSIONS_DIR") from None
        chosen = str(base / "torch_extensions")
    return Path(chosen) / "enas"


def _processor() -> str:
    """What tells processors apart for which a compiler makes different code."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return "\n".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
