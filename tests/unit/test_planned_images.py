"""How many images an experiment has: from its settings, or from what has been prepared."""

import json

import pytest

from enas_core.console import UserError
from enas_core.planning.images import images_of
from enas_core.settings.dataset import DatasetFacts
from enas_core.settings.workflow import parse_workflow

MANIFEST = {
    "format": 1,
    "dataset": "mine",
    "classes": ["a", "b", "c"],
    "image_shape": [48, 48, 1],
    "stored_size": 56,
    "images": {"train": 700, "test": 90},
    "mean": [0.5],
    "std": [0.25],
    "sha256": {},
}


def experiment(**dataset):
    return parse_workflow({"experiments": {"x": {"dataset": dataset}}}).experiments["x"]


def test_known_images(tmp_path):
    found = images_of("x", experiment(name="cifar10", source="torchvision", max_test_images=70), tmp_path)
    assert found == DatasetFacts(50_000, 70, 32, 3, 10)


def test_images_of_ones_own_are_known_once_they_are_prepared(tmp_path):
    own = experiment(name="mine", source="folder")
    path = tmp_path / "x/data/manifest.json"
    with pytest.raises(UserError) as caught:
        images_of("x", own, tmp_path)
    assert str(caught.value) == (
        f"x: how many images mine has is known when they are prepared: snakemake --cores 2 {path}"
    )
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(MANIFEST))
    assert images_of("x", own, tmp_path) == DatasetFacts(700, 90, 48, 1, 3)
