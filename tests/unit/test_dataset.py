"""What is known of each dataset before its images are there."""

import pytest

from enas_core.settings.dataset import CLASSES, DATASETS, Source


def test_class_names():
    for name, facts in DATASETS.items():
        assert len(set(CLASSES[name])) == len(CLASSES[name]) == facts.classes
        assert CLASSES[name] == sorted(CLASSES[name])


@pytest.mark.parametrize(
    ("source", "number"),
    [
        ({"name": "cifar10", "source": "parquet"}, 10_000),
        ({"name": "cifar10", "source": "parquet", "max_test_images": 7}, 7),
        ({"name": "digits", "source": "digits", "split_test_images": 60}, 60),
    ],
)
def test_number_of_test_images(source, number):
    assert Source(**source).used.test_images == number
