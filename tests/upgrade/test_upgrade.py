"""Files of earlier versions: settings have the same text, tables and networks are read, interrupted trainings end as
they would have."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from earlier import ARCHIVES, unpack

import enas_core
from enas_core import augment, search, select_arc
from enas_core.data.prepared import load_prepared
from enas_core.files.schemas import BY_MACHINE, LATER_COLUMNS
from enas_core.files.tables import read_provenance, read_table, table_identity
from enas_core.settings.stages import STAGES, read_stage, stage_settings, to_json
from enas_core.settings.workflow import load_workflow

KINDS = {
    "random_arcs.parquet": "random_arcs",
    "metrics.parquet": "metrics",
    "comparison.parquet": "comparison",
    "search/s*/epochs.parquet": "search_epochs",
    "search/s*/own/candidates.parquet": "candidates",
    "search/s*/candidates.parquet": "candidates",
    "search/s*/signal.parquet": "signal",
    "networks/*/seed*/epochs.parquet": "augment_epochs",
}

CLOSE = {"rel": 1e-3, "abs": 0.02}
"""Another processor rounds differently, after which an image or two may be answered otherwise."""


@pytest.fixture(scope="module", params=ARCHIVES, ids=lambda path: path.name.removesuffix(".tar.xz"))
def earlier(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unpacked archive; not to be changed."""
    folder = tmp_path_factory.mktemp("earlier")
    unpack(request.param, folder)
    return folder


def close(found: Any, expected: Any) -> bool:
    """Equal, or nearly so where it is a number that was computed."""
    return found == (pytest.approx(expected, **CLOSE) if isinstance(expected, float) else expected)


def assert_close(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Tables of equal length whose values are close, but for timing and what an earlier version did not know."""
    aside = {*BY_MACHINE, *(name for names in LATER_COLUMNS.values() for name in names)}
    assert len(found) == len(expected)
    for row, other in zip(found, expected, strict=True):
        different = [name for name in other if name not in aside and not close(row[name], other[name])]
        assert different == []


def test_there_is_something_to_test() -> None:
    assert ARCHIVES


def test_settings_have_the_text_that_they_had(earlier: Path) -> None:
    """What came later is `LATER`, with a default that means what was before, and nothing has gone or got another
    default. Otherwise everything would be trained again; if it must be, that is a `Change` in `revisions.py`."""
    for name, experiment in load_workflow(earlier / "toy.yaml").experiments.items():
        for path in sorted((earlier / "settings" / name).glob("*.json")):
            written = path.read_text()
            settings = stage_settings(name, experiment, path.stem)
            of_then = settings.model_copy(update={"revision": json.loads(written).get("revision", 1)})
            assert to_json(of_then) == written, path


def test_stages_read_their_settings(earlier: Path) -> None:
    for path in sorted((earlier / "results/toy/config").glob("*.json")):
        assert to_json(read_stage(path, STAGES[path.stem])) == path.read_text()


def test_tables_are_read(earlier: Path) -> None:
    results = earlier / "results/toy"
    paths = {path: kind for pattern, kind in KINDS.items() for path in results.glob(pattern)}
    assert set(paths) == set(results.rglob("*.parquet"))
    for path, kind in paths.items():
        assert read_table(path, kind)
        assert read_provenance(path)["enas_version"]


def test_images_are_read(earlier: Path) -> None:
    data = load_prepared(earlier / "results/toy/data", torch.device("cpu"))
    assert (len(data.train), len(data.test)) == (200, 60)


def test_the_final_network_answers_as_it_did(earlier: Path) -> None:
    network = enas_core.load(earlier / "results/toy/final.pt")
    answers = network(torch.linspace(-2, 2, 4 * 64).reshape(4, 1, 8, 8))
    expected = torch.tensor(json.loads((earlier / "answers.json").read_text()))
    assert torch.allclose(answers, expected, rtol=1e-4, atol=1e-4)


def test_a_supernet_scores_arcs_as_it_did(earlier: Path, tmp_path: Path) -> None:
    results = earlier / "results/toy"
    options = ["--config", results / "config/select_arc.json", "--data", results / "data", "--device", "cpu"]
    options += ["--supernet", results / "search/s1/supernet.pt", "--seed", 1, "--out-dir", tmp_path]
    assert select_arc.main([*map(str, options)]) == 0
    found, expected = (
        read_table(folder / "candidates.parquet", "candidates") for folder in (tmp_path, results / "search/s1/own")
    )
    for row in (*found, *expected):
        del row["selected"]  # of two arcs that are equally good, rounding may choose
        del row["on_front"]  # which that version did not say
    assert_close(found, expected)


STAGES_RUN = {
    "search": (search, "search/s1", "supernet.pt", "search_epochs", []),
    "augment": (
        augment,
        "networks/random-00/seed1",
        "model.pt",
        "augment_epochs",
        ["--arc-file", "results/toy/arcs/random-00.txt", "--network", "random-00", "--role", "random"],
    ),
}


@pytest.mark.parametrize("stage", STAGES_RUN)
def test_an_interrupted_training_ends_as_it_would_have(
    stage: str, earlier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command, output, weights, kind, own = STAGES_RUN[stage]
    monkeypatch.chdir(earlier)
    shutil.copytree(earlier / "interrupted" / stage, tmp_path / "state")
    options = ["--config", f"results/toy/config/{stage}.json", "--data", "results/toy/data", "--seed", 1, *own]
    options += ["--out-dir", tmp_path / "out", "--state-dir", tmp_path / "state", "--device", "cpu"]
    assert command.main([*map(str, options), "--log-file", str(tmp_path / "log")]) == 0

    log = (tmp_path / "log").read_text()
    assert "current.state: used, of a run that was interrupted" in log
    assert "epoch 1/3" not in log
    done, expected = tmp_path / "out", earlier / "results/toy" / output
    assert table_identity(done / "epochs.parquet") == table_identity(expected / "epochs.parquet")
    assert_close(*(read_table(folder / "epochs.parquet", kind) for folder in (done, expected)))
    found, then = (tensors(torch.load(folder / weights, weights_only=True)) for folder in (done, expected))
    assert found.keys() >= then.keys()
    assert [name for name, value in then.items() if not torch.allclose(found[name], value, 1e-2, 1e-3)] == []


def tensors(content: Any, name: str = "") -> dict[str, torch.Tensor]:
    """All tensors of a file by name, as decimals."""
    if isinstance(content, torch.Tensor):
        return {name: content.double()}
    if not isinstance(content, dict):
        return {}
    return {k: value for key in content for k, value in tensors(content[key], f"{name}.{key}").items()}
