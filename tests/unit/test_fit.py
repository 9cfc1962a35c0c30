"""Settings against prepared images: what cannot be trained on is one line, before any training."""

import json

import numpy as np
import pytest

from enas_core import config
from enas_core.settings.stages import stage_settings, to_json
from enas_core.settings.workflow import parse_workflow

MANIFEST = {
    "format": 1,
    "dataset": "cifar10",
    "classes": [str(i) for i in range(10)],
    "image_shape": [32, 32, 3],
    "images": {"train": 1000, "test": 200},
    "mean": [0.5] * 3,
    "std": [0.25] * 3,
    "sha256": {},
}


@pytest.fixture
def check(tmp_path, capsys):
    """Runs the check of search and augment against a manifest; returns exit code, output file, and the error line."""

    def run(manifest, search=None, augment=None, augmentation=None, arrays=None):
        experiment = {
            "dataset": {"name": "cifar10", "source": "torchvision", "augmentation": augmentation or {}},
            "search": {"valid_images": 200, "batch_size": 100, **(search or {})},
            "augment": {"batch_size": 100, **(augment or {})},
        }
        parsed = parse_workflow({"experiments": {"a": experiment}}).experiments["a"]
        for stage in ("search", "augment"):
            (tmp_path / f"{stage}.json").write_text(to_json(stage_settings("a", parsed, stage)))
        (tmp_path / "manifest.json").write_text(json.dumps({**MANIFEST, **manifest}))
        for name, array in (arrays or {}).items():
            np.save(tmp_path / f"{name}.npy", array)
        stages = [str(tmp_path / f"{stage}.json") for stage in ("search", "augment")]
        out = tmp_path / "checked"
        code = config.main(["--check-images", str(tmp_path / "manifest.json"), "--stages", *stages, "--out", str(out)])
        return code, out.read_text() if out.exists() else None, capsys.readouterr().err

    return run


def test_images_that_fit(check):
    assert check({}) == (0, "search: fits\naugment: fits\n", "")


@pytest.mark.parametrize(
    ("manifest", "sections", "expected"),
    [
        ({"dataset": "cifar100"}, {}, "holds 'cifar100', the settings are for 'cifar10'"),
        ({"images": {"train": 200, "test": 1}}, {}, "search.valid_images: 200 is out of range 1..199"),
        ({"images": {"train": 250, "test": 1}}, {}, "search.batch_size: 100 is out of range 2..50"),
        ({"image_shape": [16, 16, 3]}, {}, None),
        # Eight times smaller by the stem, and two halvings: one pixel.
        (
            {"images": {"train": 1001, "test": 1}},
            {"search": {"stem": "strided", "aux_head": False}, "augment": {"aux_head": False}},
            "search.batch_size: 100 leaves one of 801 training images",
        ),
        ({}, {"augmentation": {"cutout": 32}}, None),
        (
            {"image_shape": [32, 32, 1], "mean": [0.5], "std": [0.25]},
            {"augmentation": {"hue": 0.1}},
            "dataset.augmentation.hue: grey images have none; allowed: 0",
        ),
        ({"images": {"train": 1000, "test": 200, "valid": 200}}, {}, None),
        ({"images": {"train": 1000, "test": 200, "valid": 200}}, {"augment": {"valid_images": 200}}, None),
        (
            {"images": {"train": 1000, "test": 200, "valid": 150}},
            {},
            "search.valid_images: 200, and the part valid has 150 images; allowed: 150",
        ),
        (
            {"images": {"train": 1000, "test": 200, "valid": 200}},
            {"augment": {"valid_images": 100}},
            "augment.valid_images: 100, and the part valid has 200 images; allowed: 200 or 0",
        ),
        (
            {"image_shape": [24, 24, 3]},
            {"augmentation": {"cutout": 32}},
            "dataset.augmentation.cutout: 32 is out of range 0..24",
        ),
        # The auxiliary head's map has one pixel there, and batch norm one value.
        ({"image_shape": [24, 24, 3], "images": {"train": 1001, "test": 1}}, {}, "search.batch_size: 100 leaves one"),
        ({"image_shape": [20, 20, 3], "images": {"train": 1001, "test": 1}}, {}, "search.batch_size: 100 leaves one"),
        ({"image_shape": [28, 28, 3], "images": {"train": 1001, "test": 1}}, {}, "search.batch_size: 100 leaves one"),
        (
            {"image_shape": [24, 24, 3], "images": {"train": 1001, "test": 1}},
            {"search": {"valid_images": 201}},
            "augment.batch_size: 100 leaves one of 1001 training images for the last batch",
        ),
        ({"image_shape": [24, 24, 3], "images": {"train": 1002, "test": 1}}, {}, None),
        ({"image_shape": [32, 32, 3], "images": {"train": 1001, "test": 1}}, {}, None),
        (
            {"image_shape": [24, 24, 3], "images": {"train": 1001, "test": 1}},
            {"search": {"aux_head": False}, "augment": {"aux_head": False}},
            None,
        ),
        (
            {"image_shape": [4, 4, 3], "images": {"train": 1001, "test": 1}},
            {"search": {"aux_head": False}, "augment": {"aux_head": False}},
            "search.batch_size: 100 leaves one of 801 training images",
        ),
    ],
)
def test_what_the_settings_count_on(manifest, sections, expected, check):
    code, written, error = check(manifest, **sections)
    if expected is None:
        assert (code, error) == (0, "")
        return
    assert code == 2
    assert written is None
    assert expected in error
    assert len(error.splitlines()) == 1


def arrays(**changes):
    """Those that `MANIFEST` describes, with changes."""
    images = {
        f"{part}_images": np.zeros((count, 32, 32, 3), np.uint8) for part, count in (("train", 1000), ("test", 200))
    }
    labels = {f"{part}_labels": np.zeros(count, np.int64) for part, count in (("train", 1000), ("test", 200))}
    return images | labels | changes


@pytest.mark.parametrize(
    ("manifest", "changes", "expected"),
    [
        ({}, {}, None),
        ({"images": {"train": 1100, "test": 200}}, {}, "manifest.json counts 1100 train images, there are 1000"),
        ({}, {"test_labels": np.zeros(199, np.int64)}, "test_images.npy and test_labels.npy are of different length"),
        ({}, {"train_images": np.zeros((1000, 32, 32, 1), np.uint8)}, "train_images.npy: not an array of prepare_data"),
        ({}, {"test_labels": np.full(200, 10)}, "test_labels.npy: not an array of prepare_data: labels out of range"),
    ],
)
def test_the_arrays_are_those_of_the_manifest(manifest, changes, expected, check):
    code, written, error = check(manifest, arrays=arrays(**changes))
    if expected is None:
        assert (code, error) == (0, "")
        return
    assert (code, written) == (2, None)
    assert expected in error
    assert len(error.splitlines()) == 1


def test_other_stages_are_no_trainings(tmp_path, capsys):
    (tmp_path / "manifest.json").write_text(json.dumps(MANIFEST))
    words = [
        "--check-images",
        tmp_path / "manifest.json",
        "--stages",
        tmp_path / "random_arcs.json",
        "--out",
        tmp_path / "x",
    ]
    assert config.main([str(word) for word in words]) == 2
    assert "allowed: search.json, augment.json" in capsys.readouterr().err
