"""A training that diverges ends with one line, and leaves no value that is not finite."""

from __future__ import annotations

import io
import re
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
import trials
from trials import ForkServer
from workplace import Workplace


@pytest.mark.parametrize(
    ("stage", "section", "what"),
    [
        ("search", {"lr_max": 1e30, "lr_min": 1e30}, r"(loss or gradient|weights)"),
        ("search", {"lr_max": 1e38, "lr_min": 1e38, "l2": 1e3}, "weights"),
        ("augment", {"lr_max": 1e30, "lr_min": 1e30}, r"(loss or gradient|weights)"),
        ("augment", {"l2": 1e38, "batch_size": 200, "num_epochs": 1}, r"(loss or gradient|weights)"),
    ],
)
def test_divergence(
    inputs: Path, server: ForkServer, tmp_path: Path, stage: str, section: dict[str, float], what: str
) -> None:
    shutil.copytree(inputs, tmp_path / "inputs")
    trials.write_settings(tmp_path / "inputs/config", **{stage: trials.EXPERIMENT[stage] | section})
    place = Workplace(stage, tmp_path / "inputs", tmp_path, server)
    for _ in range(2):  # and again, from the state that is kept
        ended = place.run()
        assert ended.code == 1
        assert re.search(
            rf"^error: (search|mine) seed 1 diverged: {what} not finite at epoch 0, step \d+, learning rate [\d.e+]+,"
            r" arc( \d)+; the last good state is kept$",
            ended.output.splitlines()[-1],
        ), ended.output
        assert "Traceback" not in ended.output
        assert not (tmp_path / "out").exists()
        for path in place.state.glob("*.state"):
            _assert_finite(torch.load(io.BytesIO(path.read_bytes().partition(b"\n")[2]), weights_only=True))


def test_divergence_of_the_controller(inputs: Path, server: ForkServer, tmp_path: Path) -> None:
    shutil.copytree(inputs, tmp_path / "inputs")
    # Rewards beyond what single precision holds, on every processor.
    changed = trials.EXPERIMENT["search"]["controller"] | {"entropy_weight": 1e38}
    trials.write_settings(tmp_path / "inputs/config", search={"controller": changed})
    ended = Workplace("search", tmp_path / "inputs", tmp_path, server).run()
    assert ended.code == 1
    last = ended.output.splitlines()[-1]
    assert re.search(
        r"controller's loss, gradient or weights not finite at epoch 0, update \d, learning rate 0\.0035, arcs \d", last
    )
    assert not (tmp_path / "out").exists()


def _assert_finite(value: object) -> None:
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _assert_finite(item)
    if isinstance(value, float | torch.Tensor):
        assert torch.as_tensor(value).isfinite().all()


def test_no_table_has_a_value_that_is_not_finite(references: dict[str, trials.Reference]) -> None:
    for reference in references.values():
        for row in pq.read_table(reference.folder / "out/epochs.parquet").to_pylist():
            empty = {name for name, value in row.items() if value is None}
            assert empty <= {"valid_loss", "valid_accuracy"}  # of augment, which holds out no images here
            _assert_finite(row)
