"""`dataset` in config.yaml: which images are used, how they are divided, and how training changes them."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from enas_core.console import UserError
from enas_core.fields import Count, Float, Seed, Settings, all_defaults

DatasetName = Literal["cifar10", "cifar100", "digits"]


class DatasetFacts(NamedTuple):
    """What is known of a dataset before it is read: images are `size` x `size` pixels."""

    train_images: int
    test_images: int
    size: int
    channels: int
    classes: int


DATASETS = {
    "cifar10": DatasetFacts(50_000, 10_000, 32, 3, 10),
    "cifar100": DatasetFacts(50_000, 10_000, 32, 3, 100),
    "digits": DatasetFacts(1_797, 0, 8, 1, 10),
}


CLASSES: dict[str, list[str]] = {
    name: names.split()
    for name, names in {
        "cifar10": "airplane automobile bird cat deer dog frog horse ship truck",
        "cifar100": """
            apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
            castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
            elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard
            lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear
            pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark
            shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone
            television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm""",
        "digits": "0 1 2 3 4 5 6 7 8 9",
    }.items()
}
"""Class names in the order of the labels."""


class Noise(Settings):
    """Images made harder, once, when they are prepared: a pixel x in 0..1 becomes `contrast * x + brightness` plus a
    normal deviate, cut to 0..1. For datasets on which every network is right, such as the digits."""

    contrast: Annotated[Float, Field(gt=0, le=1)] = 1.0
    """What pixels are multiplied by."""
    brightness: Annotated[Float, Field(ge=-1, le=1)] = 0.0
    """What is added to them."""
    deviation: Annotated[Float, Field(ge=0, le=1)]
    """Standard deviation of the noise."""
    test_copies: Annotated[int, Field(ge=1, le=100)] = 1
    """So many times each test image is there, each time with noise of its own: accuracies are measured more finely."""
    seed: Seed = 0
    """Seed of the noise."""


class Source(Settings):
    """Which images are used, and how they are divided."""

    name: DatasetName
    """Which images."""
    source: Literal["torchvision", "parquet", "digits"]
    """Where they come from: torchvision's original files (downloaded, or found under `data_path`),
    Parquet files in the Hugging Face layout under `data_path`, or scikit-learn's built-in digits."""
    max_train_images: Annotated[int, Field(ge=1)] | None = None
    """Use only the first so many training images; null: all."""
    max_test_images: Annotated[int, Field(ge=1)] | None = None
    """Use only the first so many test images; null: all."""
    split_test_images: Count | None = None
    """For a dataset without a test part (digits): so many images, drawn at random, become it."""
    split_seed: Seed = 0
    """Seed of that draw."""
    noise: Noise | None = None
    """Noise that makes the images harder; null: none."""

    @model_validator(mode="after")
    def _check(self) -> Source:
        facts = DATASETS[self.name]
        if (self.name == "digits") != (self.source == "digits"):
            raise UserError(f"source: {self.source!r} does not provide {self.name!r}")
        if (facts.test_images == 0) != (self.split_test_images is not None):
            need = "needs" if facts.test_images == 0 else "has its own test images and takes no"
            raise UserError(f"split_test_images: {self.name} {need} split_test_images")
        if self.split_test_images and self.split_test_images >= facts.train_images:
            raise UserError(f"split_test_images: {self.split_test_images} is out of range 1..{facts.train_images - 1}")
        return self

    @property
    def num_train(self) -> int:
        """Number of training images."""
        available = DATASETS[self.name].train_images - (self.split_test_images or 0)
        return min(available, self.max_train_images or available)

    @property
    def num_test(self) -> int:
        """Number of test images."""
        available = DATASETS[self.name].test_images or self.split_test_images or 0
        taken = min(available, self.max_test_images or available)
        return taken * (self.noise.test_copies if self.noise is not None else 1)


class Augmentation(Settings):
    """Random changes to training images, on the normalised image (so zero is the mean colour)."""

    crop_padding: Annotated[int, Field(ge=0, le=1024)] = 4
    """Zero padding around the image before a random crop of the original size, pixels; 0: no crop."""
    flip: bool = True
    """Flip left-right with probability 1/2."""
    cutout: Annotated[int, Field(ge=0, le=1024)] = 0
    """Side of the square set to zero around a random centre, pixels; 0: none."""


class Dataset(Source):
    """The images of an experiment and how training changes them."""

    augmentation: Augmentation = all_defaults(Augmentation)
