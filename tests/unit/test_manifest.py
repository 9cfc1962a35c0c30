"""The manifest of prepared images, as everybody reads it who needs no images."""

import json

import pytest

from enas_core.console import UserError
from enas_core.data.manifest import read_manifest

CONTENT = {
    "format": 1,
    "dataset": "cifar10",
    "classes": ["cat", "dog"],
    "image_shape": [4, 4, 3],
    "images": {"train": 6, "test": 2},
    "mean": [0.5, 0.25, 0.125],
    "std": [0.5, 0.25, 0.125],
    "sha256": {"train_images.npy": "0" * 64},
}


def manifest(folder, **changes):
    path = folder / "manifest.json"
    path.write_text(json.dumps({**CONTENT, **changes}))
    return read_manifest(path)


def test_what_it_says(tmp_path):
    found = manifest(tmp_path, another_versions_key=1)
    assert (found.image_size, found.in_channels, found.num_classes) == (4, 3, 2)
    assert (found.images.train, found.images.test) == (6, 2)


def test_the_fingerprint_is_that_of_the_arrays(tmp_path):
    first = manifest(tmp_path).fingerprint
    assert manifest(tmp_path, mean=[0.0, 0.0, 0.0], classes=["a", "b"]).fingerprint == first
    assert manifest(tmp_path, sha256={"train_images.npy": "1" * 64}).fingerprint != first


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"format": 2}, "format: "),
        ({"classes": ["cat"]}, "classes: "),
        ({"image_shape": [4, 5, 3]}, "image_shape: 4x5 is not square"),
        ({"mean": [0.5]}, "mean, std: need one value for each of 3 channels"),
        ({"images": {"train": 6}}, "images.test: Field required"),
        ({"images": {"train": 0, "test": 2}}, "images.train: "),
        ({"images": {"train": 6, "test": 2, "valid": 7}}, "images.valid: 7 of 6 training images"),
        ({"std": [0.5, 0.25, 0.0]}, "std.2: Input should be greater than 0"),
    ],
)
def test_a_wrong_one_is_one_line(changes, expected, tmp_path):
    with pytest.raises(UserError, match=rf"^{tmp_path}/manifest.json: not a manifest of this version's") as caught:
        manifest(tmp_path, **changes)
    assert f"prepare_data: {expected}" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_missing_one_and_one_that_is_no_json(tmp_path):
    with pytest.raises(UserError, match=rf"^{tmp_path}/manifest.json: No such file or directory; run prepare_data$"):
        read_manifest(tmp_path / "manifest.json")
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(UserError, match=r"not a manifest of this version's prepare_data: Invalid JSON"):
        read_manifest(tmp_path / "manifest.json")
