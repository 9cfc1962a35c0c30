"""export: which file it writes, with which test images it is checked, and the script of docs/export.md."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import venv
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from photographs import KINDS, save, stripes
from PIL import Image

import enas_core
from enas_core import export
from enas_core.data.manifest import read_manifest
from enas_core.data.prepare import prepare
from enas_core.settings.dataset import Source
from enas_core.settings.stages import PrepareDataStage
from enas_core.spaces import exported
from enas_core.spaces.micro.arc import MicroArc
from enas_core.spaces.micro.network import MicroNetwork
from enas_core.spaces.saved import save_network
from enas_core.spaces.space import NetworkShape

PAGE = (Path(__file__).parents[2] / "docs/export.md").read_text()
SIZE, RESIZED, NAMES = 16, 20, ["cat", "dog"]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some of every kind."""
    folder = tmp_path_factory.mktemp("photographs")
    generator = np.random.default_rng(0)
    for part, count in (("train", 4), ("test", len(KINDS))):
        for name in NAMES:
            for i in range(count):
                save(stripes("level", generator), KINDS[i], folder / part / name / f"{i}", jpeg=bool(i % 2))
    return folder


@pytest.fixture
def results(photographs: Path, tmp_path: Path) -> Path:
    """An experiment's folder, with prepared images and a trained network."""
    source = Source(name="pets", source="folder", image_size=SIZE, resize_to=RESIZED)
    prepare(PrepareDataStage(experiment="x", dataset=source), photographs, tmp_path / "data")
    manifest = read_manifest(tmp_path / "data/manifest.json")
    torch.manual_seed(0)
    network = MicroNetwork(MicroArc.from_integers([0, 0, 1, 4] * 2), NetworkShape(1, 4, SIZE, 3, 2, aux_head=True))
    network(torch.randn(4, 3, SIZE, SIZE))
    with torch.no_grad():
        network.fc.weight.mul_(20)
    facts = {"classes": NAMES, "experiment": "x", "test_accuracy": 0.5, "resize_to": RESIZED}
    save_network(tmp_path / "final.pt", network, facts | {"mean": manifest.mean, "std": manifest.std})
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Exit code and the last line of the log."""
    code = export.main([str(word) for word in arguments])
    captured = capsys.readouterr()
    assert captured.out == ""
    return code, captured.err.splitlines()[-1]


@pytest.mark.parametrize(("options", "name"), [([], "final.onnx"), (["--format", "torch"], "final.pt2")])
def test_a_file_beside_the_network(
    results: Path, options: list[str], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, line = run(capsys, results / "final.pt", *options)
    assert code == 0
    said = (
        rf"{results / name}: logits differ from the network's by \d\.\de[-+]\d\d at most, of random and 18 test images"
    )
    assert re.fullmatch(said, line)
    assert (results / name).is_file()


def test_without_prepared_images(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "elsewhere").mkdir()
    (results / "final.pt").rename(tmp_path / "elsewhere/mine.pt")
    code, line = run(capsys, tmp_path / "elsewhere/mine.pt", "--pixels", "float", "--out", tmp_path / "new/net.onnx")
    assert code == 0
    assert line.endswith(" at most, of random images; no test images are there")
    (taken,) = onnxruntime.InferenceSession(tmp_path / "new/net.onnx").get_inputs()
    assert taken.type == "tensor(float)"


def test_test_images_are_compared(
    results: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is wrong for them alone is refused."""
    batches = exported._batches
    images = np.load(results / "data/test_images.npy")
    compared = []

    def remembered(network: object, found: np.ndarray) -> object:
        for batch in batches(network, found):  # type: ignore[arg-type]
            compared.append(batch)
            yield batch

    monkeypatch.setattr(exported, "_batches", remembered)
    assert run(capsys, results / "final.pt")[0] == 0
    assert {len(batch) for batch in compared} == {1, 7, 4}
    random, given = compared[:8], compared[8:]
    assert np.array_equal(np.concatenate(given), np.concatenate([images, images]))
    assert np.concatenate(random).std() > 70


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["none.pt"], "none.pt: No such file or directory"),
        (["data/manifest.json"], "data/manifest.json: not a network file"),
        (["final.pt", "--data", "nowhere"], "nowhere/manifest.json: No such file or directory"),
        (["final.pt", "--data", "other"], "other: --data: holds images of 8 pixels and 1 channels, the network is for"),
        (["final.pt", "--out", "final.pt/net.onnx"], "final.pt: Not a directory"),
    ],
)
def test_mistakes_write_nothing(
    results: Path,
    arguments: list[str],
    line: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(results)
    digits = Source(name="digits", source="digits", split_test_images=597)
    prepare(PrepareDataStage(experiment="x", dataset=digits), None, results / "other")
    before = sorted(results.rglob("*"))
    code, said = run(capsys, *arguments)
    assert code == 2
    assert said.replace(f"{results}/", "").startswith(f"error: {line}")
    assert sorted(results.rglob("*")) == before


# --- the script of the page -----------------------------------------------------------------------


def script() -> str:
    (found,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    return found


def environment(folder: Path, *packages: str) -> Path:
    """The Python of a virtual environment in which these packages are, with what they need, and nothing else."""
    venv.create(folder, with_pip=False, symlinks=True)
    (place,) = folder.glob("lib/python*/site-packages")
    waiting, seen = list(packages), set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        package = importlib.metadata.distribution(name)
        for file in {Path(file.parts[0]) for file in package.files or () if file.parts[0] != ".."}:
            if not (place / file).exists():
                (place / file).symlink_to(Path(str(package.locate_file(file))))
        needed = [word for word in package.requires or () if "extra ==" not in word]
        waiting += [re.match(r"[\w.-]+", word)[0] for word in needed]  # type: ignore[index]
    return folder / "bin/python"


def test_the_script_needs_ten_lines_and_no_torch(results: Path, photographs: Path, tmp_path: Path) -> None:
    """As it stands, in a virtual environment of its own: what it says is what the network says."""
    export.main([str(results / "final.pt")])
    (tmp_path / "classify.py").write_text(script())
    python = environment(tmp_path / "environment", "onnxruntime", "numpy", "pillow")
    refused = subprocess.run([python, "-c", "import torch"], capture_output=True, text=True)
    assert "No module named 'torch'" in refused.stderr

    network = enas_core.load(results / "final.pt")
    for file in sorted(photographs.glob("test/cat/*")):
        done = subprocess.run(
            [python, "classify.py", "final.onnx", str(file)], cwd=results, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        answer, logits = done.stdout.strip().split(" ", 1)
        with torch.no_grad():
            expected = network(network.preprocess(file))[0]
        if Image.open(file).mode.startswith("I"):
            continue  # 16 bits: the page says that they are not for the script
        assert json.loads(logits) == pytest.approx(expected.tolist(), abs=1e-4)
        assert answer == next(iter(network.predict(file)))


def test_the_script_is_ten_lines() -> None:
    assert len([line for line in script().splitlines() if line and not line.startswith("#")]) == 10


def test_the_page_names_what_the_metadata_holds(results: Path) -> None:
    (row,) = [line for line in PAGE.splitlines() if line.startswith("| metadata |")]
    named = set(re.findall(r"`(\w+)`", row)) - {"metadata"}
    assert named <= set(exported.metadata(enas_core.load(results / "final.pt"), "uint8"))
