"""The data stage as a whole: arrays, manifest, and a command that leaves all files or none."""

import functools
import os
import resource
import subprocess
import sys

import numpy as np
import pytest
from preparing import OUTPUTS, load, run, sha256, stage_settings

from enas_core.prepare_data import main
from enas_core.settings.dataset import CLASSES
from enas_core.settings.stages import to_json


def test_parquet_gives_the_images_and_a_manifest(tmp_path, parquet):
    folder, train, test, labels = parquet
    code, lines, out_dir = run(tmp_path, stage_settings(), "--data-path", folder, "--log-file", tmp_path / "logs/log")
    assert code == 0
    assert sorted(os.listdir(out_dir)) == OUTPUTS
    train_images, train_labels, test_images, test_labels, manifest = load(out_dir)
    np.testing.assert_array_equal(train_images, train)
    np.testing.assert_array_equal(test_images, test)
    np.testing.assert_array_equal(train_labels, labels)
    np.testing.assert_array_equal(test_labels, labels[:10])
    assert train_images.dtype == test_images.dtype == np.uint8
    assert train_labels.dtype == test_labels.dtype == np.int64
    scaled = train / 255
    np.testing.assert_allclose(manifest.pop("mean"), scaled.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(manifest.pop("std"), scaled.std((0, 1, 2)), rtol=1e-12)
    assert manifest == {
        "format": 1,
        "dataset": "cifar10",
        "source": "parquet",
        "classes": CLASSES["cifar10"],
        "image_shape": [32, 32, 3],
        "images": {"train": 20, "test": 10},
        "sha256": {name: sha256(out_dir / name) for name in OUTPUTS[1:]},
        "source_sha256": {name: sha256(folder / name) for name in ("train.parquet", "test.parquet")},
    }
    log = (tmp_path / "logs/log").read_text()
    assert lines == [line.split(" ", 2)[2] for line in log.splitlines()[1:]]
    assert "cifar10 from parquet: 20 training and 10 test images" in log
    assert "mean 0.4" in log


def test_a_second_run_gives_the_same_bytes(tmp_path, parquet):
    contents = []
    for _ in range(2):
        assert run(tmp_path, stage_settings(), "--data-path", parquet[0])[0] == 0
        contents.append([(tmp_path / "out" / name).read_bytes() for name in OUTPUTS])
    assert contents[0] == contents[1]


def test_output_folder_that_cannot_be_made(tmp_path, parquet):
    (tmp_path / "out").write_text("a file")
    code, lines, out_dir = run(tmp_path, stage_settings(), "--data-path", parquet[0])
    assert code == 2
    assert len(lines) == 1
    assert lines[0].startswith(f"error: {out_dir}: ")
    assert out_dir.read_text() == "a file"


def test_full_disk_leaves_the_former_outputs(tmp_path, parquet):
    assert run(tmp_path, stage_settings(), "--data-path", parquet[0])[0] == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    command = [sys.executable, "-m", "enas_core.prepare_data", "--config", "settings.json", "--out-dir", "out"]
    (tmp_path / "settings.json").write_text(to_json(stage_settings(train=15)))
    limit = functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (40_000, 40_000))
    done = subprocess.run(
        [*command, "--data-path", parquet[0]], cwd=tmp_path, preexec_fn=limit, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[1:] == ["error: out: File too large"]
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"experiment": "x"}', '{"experiment": "x", "dataset": {"name": "mnist"}}']
)
def test_bad_settings_file(tmp_path, capsys, text):
    (tmp_path / "bad.json").write_text(text)
    assert main(["--config", str(tmp_path / "bad.json"), "--out-dir", str(tmp_path / "out")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"error: {tmp_path}/bad.json: ")
    assert not (tmp_path / "out").exists()


def test_help_names_every_option(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    text = capsys.readouterr().out
    for option in ("--config", "--data-path", "--download-dir", "--out-dir", "--log-file", "manifest.json"):
        assert option in text
