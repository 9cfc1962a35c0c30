"""`dataset` in config.yaml: which images are used, how they are divided, and how training changes them."""

from __future__ import annotations

import json
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from enas_core.console import UserError
from enas_core.fields import LATER, Count, Float, Probability, Seed, Settings, all_defaults

DatasetName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
"""Free, for a user's own images; those of `DATASETS` are known."""


class DatasetFacts(NamedTuple):
    """What is known of a dataset before it is read, or afterwards: images are `size` x `size` pixels."""

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


ImageSize = Annotated[int, Field(ge=8, le=256)]
Jitter = Annotated[Float, Field(ge=0, le=1), LATER]


class Source(Settings):
    """Which images are used, and how they are divided."""

    name: DatasetName
    """Which images: cifar10, cifar100, digits, or any name for images of your own."""
    source: Literal["torchvision", "parquet", "digits", "folder"]
    """Where they come from: torchvision's original files (downloaded, or found under `data_path`), Parquet files in the
    Hugging Face layout under `data_path`, scikit-learn's built-in digits, or image files in the folders
    `train/CLASS`, `test/CLASS` and `valid/CLASS` under `data_path`."""
    image_size: Annotated[ImageSize | None, LATER] = None
    """Side of the square images that networks see, pixels. The shorter side of each image is resized, antialiased, and
    the middle of the longer one is taken. null: images are taken as they are, and must be square and of one size."""
    resize_to: Annotated[Annotated[int, Field(ge=8, le=512)] | None, LATER] = None
    """The shorter side is resized to so many pixels, `image_size` or more. Of images that are evaluated the middle
    `image_size` x `image_size` is taken; training images keep the middle `resize_to` x `resize_to`, from which
    random crops are cut. null: image_size."""
    colours: Annotated[Literal["rgb", "grey"], LATER] = "rgb"
    """Of images of your own: three channels, or one. Grey images become RGB, or coloured ones grey."""
    label_column: Annotated[str | None, LATER] = None
    """Column with the labels in Parquet files of your own; null: the only one that the files declare to hold classes,
    else `label`."""
    skip_unreadable: Annotated[bool, LATER] = False
    """Whether image files that cannot be read are left out and listed in the log, instead of being refused."""
    max_train_images: Annotated[int, Field(ge=1)] | None = None
    """Use only the first so many training images; null: all."""
    max_test_images: Annotated[int, Field(ge=1)] | None = None
    """Use only the first so many test images; null: all."""
    split_test_images: Count | None = None
    """For a dataset without a test part (digits): so many images, drawn at random, become it."""
    split_test_share: Annotated[Float, Field(gt=0, lt=1), LATER] = 0.2
    """For images of your own without a test part: this share of each class, drawn at random, becomes it."""
    split_seed: Seed = 0
    """Seed of that draw. Images of your own are also put into an order that it decides, and in which the first so many
    and the last so many are a fair share of every class."""
    noise: Noise | None = None
    """Noise that makes the images harder; null: none."""

    @model_validator(mode="after")
    def _check(self) -> Source:
        if (self.name == "digits") != (self.source == "digits") or self._is_unknown_to_torchvision():
            raise UserError(f"source: {self.source!r} does not provide {self.name!r}")
        facts = self.facts
        if facts is None:
            self._check_own()
        else:
            self._check_known(facts)
        return self

    def _is_unknown_to_torchvision(self) -> bool:
        return self.source == "torchvision" and self.name not in DATASETS

    def _check_own(self) -> None:
        """Settings of images about which nothing is known yet."""
        for key in ("split_test_images", "noise"):
            if getattr(self, key) is not None:
                raise UserError(f"{key}: is for {', '.join(DATASETS)} of their own sources; allowed here: null")
        if self.resize_to is not None and self.image_size is None:
            raise UserError("resize_to: needs image_size")
        if self.resize_to is not None and self.image_size is not None and self.resize_to < self.image_size:
            raise UserError(f"resize_to: {self.resize_to} is below image_size = {self.image_size}")
        if self.label_column is not None and self.source != "parquet":
            raise UserError(f"label_column: {self.source!r} has no columns; allowed: null")

    def _check_known(self, facts: DatasetFacts) -> None:
        """Settings of a dataset whose images are what they are."""
        for key in ("image_size", "resize_to", "colours", "label_column", "skip_unreadable", "split_test_share"):
            default = Source.model_fields[key].default
            if getattr(self, key) != default:
                shown = json.dumps(default)
                raise UserError(f"{key}: is for images of your own, {self.name} is as it is; allowed: {shown}")
        if (facts.test_images == 0) != (self.split_test_images is not None):
            need = "needs" if facts.test_images == 0 else "has its own test images and takes no"
            raise UserError(f"split_test_images: {self.name} {need} split_test_images")
        if self.split_test_images and self.split_test_images >= facts.train_images:
            raise UserError(f"split_test_images: {self.split_test_images} is out of range 1..{facts.train_images - 1}")

    @property
    def facts(self) -> DatasetFacts | None:
        """What is known before the images are read; None of images of the user's own."""
        return None if self.source == "folder" else DATASETS.get(self.name)

    @property
    def used(self) -> DatasetFacts | None:
        """The same of the images that these settings leave; None of images of the user's own."""
        facts = self.facts
        if facts is None:
            return None
        train = facts.train_images - (self.split_test_images or 0)
        test = facts.test_images or self.split_test_images or 0
        copies = self.noise.test_copies if self.noise is not None else 1
        return facts._replace(
            train_images=min(train, self.max_train_images or train),
            test_images=min(test, self.max_test_images or test) * copies,
        )


class Augmentation(Settings):
    """Random changes to training images: crop, flip, colours, then the square that is cut out. What lies outside the
    image and what is cut out has the mean colour."""

    crop_padding: Annotated[int, Field(ge=0, le=1024)] = 4
    """Zero padding around the image before a random crop of the original size, pixels; 0: no crop."""
    flip: bool = True
    """Flip left-right with probability 1/2."""
    cutout: Annotated[int, Field(ge=0, le=1024)] = 0
    """Side of the square set to zero around a random centre, pixels; 0: none."""
    random_resized_crop: Annotated[Probability | None, LATER] = None
    """Cut out a rectangle at random and resize it to the image's size: its area is between this share of the image and
    all of it, its width 3/4 to 4/3 of its height. It takes the place of the padded crop. null: none."""
    brightness: Jitter = 0.0
    """Multiply the pixels by a factor of 1 - brightness to 1 + brightness; 0: leave them."""
    contrast: Jitter = 0.0
    """Move the pixels away from the image's mean grey, or towards it, by a factor in such a range; 0: leave them."""
    saturation: Jitter = 0.0
    """Move the pixels away from their own grey, or towards it, by a factor in such a range; 0: leave them."""
    hue: Annotated[Float, Field(ge=0, le=0.5), LATER] = 0.0
    """Turn the hue by up to this share of the colour circle, either way; 0: leave it."""

    @model_validator(mode="after")
    def _check(self) -> Augmentation:
        if self.random_resized_crop is not None and self.crop_padding:
            raise UserError("random_resized_crop: takes the place of the padded crop; allowed with it: crop_padding: 0")
        return self


class Dataset(Source):
    """The images of an experiment and how training changes them."""

    augmentation: Augmentation = all_defaults(Augmentation)
