"""Files of any content in the place of one that a stage reads: one line, or the results of a valid file."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from desk import WITH_DATA, WITH_SETTINGS, Desk, fill, put_array
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enas_core import predict
from enas_core.data.arrays import ARRAYS

EXAMPLES = settings(
    max_examples=70, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def shared(inputs: Path, references: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A desk for many examples, each of which replaces one file of it."""
    return fill(tmp_path_factory.mktemp("shared"), inputs, references)


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """Settings may ask for many."""
    yield
    torch.set_num_threads(1)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
EDITS = st.lists(st.tuples(st.integers(0, 2**31), st.integers(1, 255)), min_size=1, max_size=4)


def places(value: Any) -> list[tuple[dict[str, Any], str]]:
    """Every key of nested mappings, with the mapping that it is in."""
    inner = [places(item) for item in value.values() if isinstance(item, dict)]
    return [(value, key) for key in value] + [place for found in inner for place in found]


def edited(content: bytes, edits: list[tuple[int, int]], keep: float) -> bytes:
    """`content` with some bytes changed and its end cut off."""
    changed = bytearray(content)
    for where, change in edits:
        changed[where % len(changed)] ^= change
    return bytes(changed[: max(1, round(len(changed) * keep))])


KEEP = st.sampled_from([1.0, 1.0, 0.9, 0.5, 0.01])


@EXAMPLES
@given(st.sampled_from(WITH_DATA), st.integers(0, 2**31), st.sampled_from(["set", "delete", "add"]), JSON)
def test_arbitrary_settings(shared: Desk, stage: str, where: int, change: str, value: Any) -> None:
    """Without data, so that good settings are refused, too, in one line."""
    content = json.loads((shared.folder / f"config/{stage}.json").read_text())
    found = places(content)
    mapping, key = found[where % len(found)]
    if change == "set":
        mapping[key] = value
    elif change == "delete":
        del mapping[key]
    else:
        mapping[f"{key}_"] = value
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stage.json"
        path.write_text(json.dumps(content))
        shared.refuse(stage, config=path, data=Path(folder) / "missing")


@EXAMPLES
@given(st.sampled_from(WITH_SETTINGS[1:]), EDITS, KEEP)
def test_damaged_settings(shared: Desk, stage: str, edits: list[tuple[int, int]], keep: float) -> None:
    content = edited((shared.folder / f"config/{stage}.json").read_bytes(), edits, keep)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stage.json"
        path.write_bytes(content)
        if stage != "random_arcs":
            return shared.refuse(stage, config=path, data=Path(folder) / "missing")
        code, lines = shared.run(stage, config=path, out=Path(folder) / "out.parquet")
        assert (code, len(lines)) in ((0, 1), (2, 1)), lines


@EXAMPLES
@given(
    st.binary(max_size=60)
    | st.text(max_size=60).map(str.encode)
    | st.lists(st.integers(-1, 6), max_size=26).map(lambda values: " ".join(map(str, values)).encode())
)
def test_arbitrary_arcs(shared: Desk, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "arc.txt"
        path.write_bytes(content)
        shared.refuse("augment", arc_file=path, data=Path(folder) / "missing")


@EXAMPLES
@given(st.sampled_from(["manifest.json", *(f"{name}.npy" for name in ARRAYS)]), EDITS, KEEP)
def test_damaged_data(shared: Desk, name: str, edits: list[tuple[int, int]], keep: float) -> None:
    """Also with the checksum of the damaged file; without a supernet, so that good data are refused, too."""
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder))
        shutil.copytree(shared.folder / "data", desk.folder / "data")
        path = desk.folder / "data" / name
        content = edited(path.read_bytes(), edits, keep)
        path.write_bytes(content)
        options = {"config": shared.folder / "config/select_arc.json", "random_arcs": None}
        desk.refuse("select_arc", **options)
        if name != "manifest.json":
            put_array(desk, path.stem, content)
            desk.refuse("select_arc", **options)


@EXAMPLES
@given(st.sampled_from(["candidates.parquet", "model/epochs.parquet"]), EDITS, KEEP)
def test_damaged_tables(shared: Desk, name: str, edits: list[tuple[int, int]], keep: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder))
        shutil.copy(shared.folder / "candidates.parquet", desk.folder)
        shutil.copytree(shared.folder / "model", desk.folder / "model")
        path = desk.folder / name
        path.write_bytes(edited(path.read_bytes(), edits, keep))
        code, lines = desk.run("final")
        assert code in (0, 2), lines
        assert len([line for line in lines if "has the best selected arc" not in line]) == 1, lines
        assert (desk.folder / "out/final.pt").exists() == (code == 0)


@EXAMPLES
@given(EDITS, KEEP)
def test_damaged_networks(shared: Desk, edits: list[tuple[int, int]], keep: float) -> None:
    """Without an image, so that a network whose damage shows in no way is refused, too."""
    content = (shared.folder / "model/model.pt").read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pt"
        path.write_bytes(edited(content, edits, keep))
        stderr = io.StringIO()
        with contextlib.redirect_stderr(stderr):
            assert predict.main([str(path), str(Path(folder) / "image.png"), "--device", "cpu"]) == 2
        (line,) = stderr.getvalue().splitlines()
        assert line.startswith(f"error: {folder}/")
