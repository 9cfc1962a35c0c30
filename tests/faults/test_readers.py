"""Whatever is done to a file, who reads it gives the same value, or one line that names the file, or (formats without a
checksum only) another valid value; never a traceback, and in bounded time and memory."""

from __future__ import annotations

import ast
import io
import os
import resource
import signal
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from readers import READERS, Reader

from enas_core.console import UserError, escaped, log

PACKAGE = Path(__file__).parents[2] / "enas_core"
SECONDS = 60
"""So long a file may take at most, on a busy machine; what is not bounded takes hours."""
BYTES = 3 * 2**30
"""So much memory more than before it may take."""


# --- mutations ----------------------------------------------------------------------------------------------------

WORDS = [b"null", b"NaN", b"-1", b"9" * 30, b"1e999", b"true", b"[" * 300, b"{", b'"', b"\0", b"\x1b[2J", b"\xff\xfe"]
INSERTED = st.binary(min_size=1, max_size=6) | st.sampled_from(WORDS)
CHANGES = st.one_of(
    st.tuples(st.just("flip"), st.integers(0, 2**31), st.integers(1, 255)),
    st.tuples(st.just("cut"), st.integers(0, 2**31), st.integers(1, 40)),
    st.tuples(st.just("end"), st.integers(0, 2**31), st.just(0)),
    st.tuples(st.just("insert"), st.integers(0, 2**31), INSERTED),
    st.tuples(st.just("replace"), st.integers(0, 2**31), INSERTED),
    st.tuples(st.just("repeat"), st.integers(0, 2**31), st.integers(1, 200)),
)


def changed(content: bytes, changes: list[tuple[str, int, Any]]) -> bytes:
    """`content` after some changes; places count from the start and wrap around its end."""
    for kind, where, what in changes:
        at = where % max(1, len(content))
        if kind == "flip" and content:
            content = content[:at] + bytes([content[at] ^ what]) + content[at + 1 :]
        elif kind == "cut":
            content = content[:at] + content[at + what :]
        elif kind == "end":
            content = content[:at]
        elif kind == "insert":
            content = content[:at] + what + content[at:]
        elif kind == "replace":
            content = content[:at] + what + content[at + len(what) :]
        elif kind == "repeat":
            content = content[: at + what] + content[at:]
    return content


# --- the fuzzer ---------------------------------------------------------------------------------------------------


class TooLongError(BaseException):
    """Not an Exception, so that no reader takes it for something that is wrong with a file."""


@contextmanager
def bounds() -> Iterator[None]:
    """Limits of time and memory."""

    def end(*_: object) -> None:
        raise TooLongError

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    handler = signal.signal(signal.SIGALRM, end)
    signal.alarm(SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)


def outcome(reader: Reader, path: Path) -> tuple[str, Any]:
    """The value, or that the file was refused in one line which names it, or its folder."""
    with bounds(), warnings.catch_warnings(action="ignore"), redirect_stderr(io.StringIO()):
        try:
            return "value", reader.read(path)
        except (UserError, OSError) as error:
            line = escaped(" ".join(str(error).split()))
            assert str(path.parent) in line
            assert len(line) < 3000
            return "refused", None


@pytest.fixture(scope="module")
def valid(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, bytes]]:
    """A valid file for each reader, and its content."""
    files = {}
    for number, (name, reader) in enumerate(READERS.items()):
        path = tmp_path_factory.mktemp(f"reader-{number}") / (reader.suffix or "file")
        path.parent.mkdir(exist_ok=True)
        reader.write(path, inputs)
        files[name] = path, path.read_bytes()
    return files


def test_valid_files_are_read(valid: dict[str, tuple[Path, bytes]]) -> None:
    for name, reader in READERS.items():
        kind, value = outcome(reader, valid[name][0])
        assert kind == "value", name
        assert value is not None or name in ("revision of settings",)


@pytest.mark.parametrize("name", READERS)
def test_a_changed_file(
    name: str, valid: dict[str, tuple[Path, bytes]], mutations: int, counts: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, (path, content) = READERS[name], valid[name]
    monkeypatch.setattr(log, "disabled", True)
    _, as_it_was = outcome(reader, path)

    @settings(
        max_examples=-(-mutations // len(READERS)),
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(CHANGES, min_size=1, max_size=3))
    def fuzz(changes: list[tuple[str, int, Any]]) -> None:
        path.write_bytes(changed(content, changes))
        kind, value = outcome(reader, path)
        same = kind == "value" and value == as_it_was
        counts["mutations: " + ("read as it was" if same else "refused" if kind == "refused" else "another value")] += 1
        if reader.checksum and kind == "value":
            assert same or value is None

    try:
        fuzz()
    finally:
        path.write_bytes(content)


SPECIAL = {
    "a pipe": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a folder": lambda path: path.mkdir(),
    "an empty file": lambda path: path.write_bytes(b""),
    "a file of 50 MB": lambda path: path.write_bytes(b"0 " * 25_000_000),
}


@pytest.mark.parametrize("what", SPECIAL)
@pytest.mark.parametrize("name", READERS)
def test_what_is_no_such_file(
    name: str, what: str, valid: dict[str, tuple[Path, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, (path, content) = READERS[name], valid[name]
    monkeypatch.setattr(log, "disabled", True)
    path.unlink()
    SPECIAL[what](path)
    try:
        kind, value = outcome(reader, path)
        assert kind == "refused" or value is None or name == "copied network"
    finally:
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        path.write_bytes(content)


# --- readers that are missing -------------------------------------------------------------------------------------

OPENS = {"read_bytes", "read_text", "load_plain", "require_regular", "ParquetFile", "read_schema", "read_metadata"}
"""What a function calls that reads a file itself, whatever it is a method of."""
OPENS_BY = {"np.load", "torch.load", "Image.open"}

NO_READERS = {
    "files.reading.read_text": "what readers are made from",
    "files.inputs._digest": "the content does not matter",
    "data.sources.read_source": "original CIFAR files are known by their checksums, Parquet files are read as own ones",
    "files.tables._source_digest": "this project's own code",
    "data.digits.read_digits": "a library's own file",
    "spaces.kernels._built": "this project's own code",
    "spaces.kernels._processor": "the system's own file",
    "training.device.peak_memory": "the system's own file",
    "monitor.stages._Files._setting": "None of whatever it cannot read",
    "data.parquet._parquet_rows": "is given what was read",
    "data.parquet._decoded": "is given what was read",
    "training.selection.run_selection": "the shared weights, whose content is read as another supernet's",
    "monitor.stages._chance_of": "None of whatever it cannot read",
    "monitor.stages._Files._benchmark": "None of whatever it cannot read",
    "pages.finished.Finished.figure": "a picture, which is put into a page as it is",
}
"""Functions that read a file and are no readers of what others may have written, and why."""


def opens_a_file(function: ast.FunctionDef) -> bool:
    """Whether a function calls what opens a file to read it."""
    calls = [ast.unparse(item.func) for item in ast.walk(function) if isinstance(item, ast.Call)]
    return any(call in OPENS_BY or call.rpartition(".")[2] in OPENS for call in calls)


def functions_of(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    """All functions and methods, with the name of their class and a dot."""
    for item in tree.body:
        if isinstance(item, ast.FunctionDef):
            yield "", item
        elif isinstance(item, ast.ClassDef):
            yield from ((f"{item.name}.", inner) for inner in item.body if isinstance(inner, ast.FunctionDef))


def test_every_reader_is_registered() -> None:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        for owner, function in functions_of(ast.parse(path.read_text())):
            if opens_a_file(function):
                found.add(f"{module}.{owner}{function.name}")
    registered = {function for reader in READERS.values() for function in reader.functions}
    assert found - registered - set(NO_READERS) == set()
    assert (registered | set(NO_READERS)) - found == set()
