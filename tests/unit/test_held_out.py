"""Which images a training uses: held-out ones are evaluated and never trained on, whatever interrupts it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from enas_core.analysis.results import read_training
from enas_core.console import UserError
from enas_core.data.fit import require_fit
from enas_core.data.manifest import Counts, Manifest
from enas_core.data.prepared import Dataset, Split, divided
from enas_core.files.inputs import Inputs
from enas_core.files.tables import read_table
from enas_core.settings.networks import random_network
from enas_core.settings.stages import AugmentStage, SearchStage, stage_settings
from enas_core.settings.workflow import parse_workflow
from enas_core.training.checkpoint import Watch
from enas_core.training.evaluation import evaluate_network
from enas_core.training.network import NetworkTraining
from enas_core.training.processes import ALONE
from enas_core.training.run import Run, run_augment
from enas_core.training.supernet import SupernetTraining

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")
TRAIN, TEST = 100, 20
ARC = "0 0 1 3 1 4 2 1 0 2 1 0 1 1 0 4"
COUNT = {"num_epochs": 3, "batch_size": 16, "num_layers": 1, "num_filters": 4, "aux_head": False}


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Networks of this size are many times slower with two threads on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def settings(stage: str, **changes: Any) -> Any:
    """Of a stage on 100 images; `changes` are of its section."""
    section = "augment" if stage == "augment" else "search"
    raw: dict[str, Any] = {
        "num_nodes": 2,
        "cpu_threads": 1,
        "dataset": {
            "name": "digits",
            "source": "digits",
            "split_test_images": TEST,
            "max_train_images": TRAIN,
            "augmentation": {"crop_padding": 1, "cutout": 2},
        },
        "search": COUNT | {"valid_images": 30, "controller": {"updates_per_epoch": 2, "arcs_per_update": 2}},
        "augment": COUNT | {"lr_t_0": 2},
    }
    raw[section] = raw[section] | changes
    return stage_settings("a", parse_workflow({"experiments": {"a": raw}}).experiments["a"], stage)


def manifest(train: int = TRAIN) -> Manifest:
    return Manifest(
        format=1,
        dataset="digits",
        classes=[str(i) for i in range(10)],
        image_shape=(8, 8, 1),
        images=Counts(train=train, test=TEST),
        mean=[0.5],
        std=[0.5],
        sha256={},
    )


def images(count: int, seed: int) -> Split:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(256, (count, 8, 8, 1), dtype=torch.uint8, generator=generator)
    return Split(pixels, torch.randint(10, (count,), generator=generator), torch.ones(1) / 128, torch.tensor([-1.0]))


def dataset(count: int = TRAIN) -> Dataset:
    """The first so many of 100 random training images, and test images."""
    return Dataset(images(TRAIN, 0).part(0, count), images(TEST, 1), manifest(count))


def poisoned(start: int, stop: int) -> Dataset:
    """The same, but images start..stop-1 are other ones of other classes."""
    data, others = dataset(), images(TRAIN, 2)
    data.train.images[start:stop] = others.images[start:stop]
    data.train.labels[start:stop] = (data.train.labels[start:stop] + 1) % 10
    return data


class Unwatched:
    def step(self) -> None: ...

    def save(self) -> None: ...


def augment(data: Dataset, **changes: Any) -> NetworkTraining:
    stage: AugmentStage = settings("augment", **changes)
    return NetworkTraining(stage, data, stage.search_space.parse(ARC), "mine", 1, CPU)


def trained(data: Dataset, watch: Watch | None = None, **changes: Any) -> NetworkTraining:
    training = augment(data, **changes)
    training.train(watch or Unwatched())
    return training


def rows(training: NetworkTraining, *without: str) -> list[dict[str, Any]]:
    """The rows of a training without what differs anyway."""
    left_out = {"seconds", "images_per_second", *without}
    return [{name: value for name, value in row.items() if name not in left_out} for row in training.epochs.rows]


def assert_same_weights(one: torch.nn.Module, other: torch.nn.Module) -> None:
    expected = other.state_dict()
    assert list(one.state_dict()) == list(expected)
    for name, value in one.state_dict().items():
        assert torch.equal(value, expected[name]), name


# --- which images ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "train", "held_out"),
    [
        ({}, range(100), range(100, 100)),
        ({"valid_images": 30}, range(70), range(70, 100)),
        ({"max_train_images": 40}, range(40), range(100, 100)),
        ({"valid_images": 30, "max_train_images": 40}, range(40), range(70, 100)),
    ],
)
def test_parts_of_the_training_images(changes: dict[str, int], train: range, held_out: range) -> None:
    numbers = torch.arange(TRAIN)
    split = Split(numbers, numbers, torch.ones(1), torch.ones(1))
    parts = divided(split, settings("augment", **changes).augment)
    assert [part.labels.tolist() for part in parts] == [list(train), list(held_out)]


def test_held_out_images_are_never_trained_on() -> None:
    one, other = (trained(data, valid_images=30) for data in (dataset(), poisoned(70, TRAIN)))
    assert_same_weights(one.network, other.network)
    judged = ("valid_loss", "valid_accuracy")
    assert rows(one, *judged) == rows(other, *judged)
    assert [row["valid_loss"] for row in one.epochs.rows] != [row["valid_loss"] for row in other.epochs.rows]


def test_the_check_sees_what_is_trained_on() -> None:
    one, other = (trained(data, valid_images=30) for data in (dataset(), poisoned(69, 70)))
    assert not torch.equal(one.descent.sgd.values, other.descent.sgd.values)


def test_images_between_the_first_and_the_held_out_ones_are_not_used() -> None:
    changes = {"valid_images": 30, "max_train_images": 40}
    one, other = (trained(data, **changes) for data in (dataset(), poisoned(40, 70)))
    assert_same_weights(one.network, other.network)
    assert rows(one) == rows(other)


def test_a_search_uses_the_first_and_the_last_images() -> None:
    stage: SearchStage = settings("search", max_train_images=40)
    searches = [SupernetTraining(stage, data, 1, CPU) for data in (dataset(), poisoned(40, 70))]
    for search in searches:
        search.train(Unwatched())
    one, other = searches
    assert_same_weights(one.supernet, other.supernet)
    assert one.descent.images == 40
    assert len(one.valid_split) == 30


# --- what holding out changes ---------------------------------------------------------------------


def test_to_evaluate_them_changes_nothing() -> None:
    """The same as a training on a dataset that never had them."""
    held_out = trained(dataset(), valid_images=30)
    alone = trained(dataset(70))
    assert_same_weights(held_out.network, alone.network)
    judged = ("valid_loss", "valid_accuracy")
    assert rows(held_out, *judged) == rows(alone, *judged)


def test_without_them_the_columns_are_empty() -> None:
    training = trained(dataset())
    assert {(row["valid_loss"], row["valid_accuracy"]) for row in training.epochs.rows} == {(None, None)}
    assert training.descent.images == TRAIN


def test_every_epoch_says_how_they_are_recognised() -> None:
    training = trained(dataset(), valid_images=30)
    assert len(training.epochs.rows) == 3
    assert len({row["valid_loss"] for row in training.epochs.rows}) == 3
    held_out = dataset().train.part(70, TRAIN)
    loss, accuracy, _ = evaluate_network(training.network, held_out, 16, lambda: None)
    last = training.epochs.rows[-1]
    assert (last["valid_loss"], last["valid_accuracy"]) == (loss, accuracy)
    assert accuracy == round(30 * accuracy) / 30


class StopHereError(Exception):
    """Ends a training."""


class InterruptedAt:
    """Saves the state at call number `call` of a training, as a saver would, and ends it."""

    def __init__(self, call: int) -> None:
        self.left = call
        self.training: NetworkTraining | None = None
        self.state: dict[str, Any] | None = None

    def step(self) -> None:
        self.left -= 1
        if self.left == 0:
            assert self.training is not None
            self.state = self.training.state_dict()
            raise StopHereError

    def save(self) -> None:
        self.step()


def test_a_resumed_training_is_the_same() -> None:
    expected = trained(dataset(), valid_images=30)
    # An epoch is 5 steps, 2 test batches, 2 held-out batches, and its end.
    for call in (3, 6, 8, 9, 10, 14, 28, 29):
        watch = InterruptedAt(call)
        watch.training = augment(dataset(), valid_images=30)
        with pytest.raises(StopHereError):
            watch.training.train(watch)
        resumed = augment(dataset(), valid_images=30)
        assert watch.state is not None
        resumed.load_state_dict(watch.state)
        resumed.train(Unwatched())
        assert_same_weights(resumed.network, expected.network)
        assert rows(resumed) == rows(expected)


# --- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "changes", "message"),
    [
        ("augment", {"valid_images": 100}, "augment.valid_images: 100 is out of range 0..99 (100 training images)"),
        ("augment", {"valid_images": 90}, "augment.batch_size: 16 is out of range 2..10 (10 training images)"),
        ("augment", {"max_train_images": 15}, "augment.batch_size: 16 is out of range 2..15 (15 training images)"),
        (
            "augment",
            {"valid_images": 30, "max_train_images": 71},
            "augment.max_train_images: 71 is out of range 1..70 (100 training images, 30 held out)",
        ),
        (
            "search",
            {"max_train_images": 71},
            "search.max_train_images: 71 is out of range 1..70 (100 training images, 30 held out)",
        ),
    ],
)
def test_settings_that_no_images_fit(stage: str, changes: dict[str, int], message: str) -> None:
    with pytest.raises(UserError) as caught:
        settings(stage, **changes)
    assert str(caught.value) == f"config.yaml: experiments.a.{message}"


def test_images_that_the_settings_do_not_fit(tmp_path: Path) -> None:
    """What the images say once they are there: fewer than the settings count on."""
    stage = settings("augment", valid_images=30, max_train_images=70)
    require_fit(stage, manifest(), tmp_path)
    with pytest.raises(UserError, match=r"augment\.max_train_images: 70 is out of range 1\.\.60"):
        require_fit(stage, manifest(90), tmp_path)
    with pytest.raises(UserError, match=r"augment\.valid_images: 30 is out of range 0\.\.29"):
        require_fit(stage, manifest(30), tmp_path)


# --- files ----------------------------------------------------------------------------------------


def write_prepared(folder: Path, data: Dataset) -> None:
    """The files that prepare_data would have written of `data`."""
    sums = {}
    for part in ("train", "test"):
        for what in ("images", "labels"):
            path = folder / f"{part}_{what}.npy"
            np.save(path, getattr(getattr(data, part), what).numpy())
            sums[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    text = data.manifest.model_copy(update={"sha256": sums}).model_dump_json()
    (folder / "manifest.json").write_text(text)


def test_the_last_epochs_accuracy_is_in_the_metrics(tmp_path: Path) -> None:
    write_prepared(tmp_path, dataset())
    stage = settings("augment", valid_images=30)
    out = tmp_path / "out"
    run = Run(tmp_path, out, tmp_path / "state", 5.0, False, Inputs(tmp_path / "manifest.json"), CPU, ALONE)
    run_augment(stage, stage.search_space.parse(ARC), random_network(0), 1, run)
    epochs = read_table(out / "epochs.parquet", "augment_epochs")
    assert len({row["valid_loss"] for row in epochs}) == 3
    assert all(0 <= row["valid_accuracy"] <= 1 for row in epochs)
    assert read_training(out, {})["valid_accuracy"] == epochs[-1]["valid_accuracy"]
    assert torch.load(out / "model.pt", weights_only=True)["valid_accuracy"] == epochs[-1]["valid_accuracy"]


# --- the answers to the test images -----------------------------------------------------------------


def test_the_answers_of_the_last_epoch_are_kept() -> None:
    training = trained(dataset())
    last = training.epochs.rows[-1]
    assert training.confusion is not None
    assert training.confusion.sum(1).tolist() == torch.bincount(dataset().test.labels, minlength=10).tolist()
    assert int(training.confusion.trace()) / TEST == pytest.approx(last["test_accuracy"])
    recalls = [float(row[k] / row.sum()) for k, row in enumerate(training.confusion) if row.sum()]
    assert last["test_balanced_accuracy"] == pytest.approx(sum(recalls) / len(recalls))


def test_the_answers_are_part_of_the_state() -> None:
    training, other = trained(dataset()), augment(dataset())
    state = training.state_dict()
    other.load_state_dict(state)
    assert other.confusion is not None
    assert torch.equal(other.confusion, training.confusion)
    del state["confusion"]  # an earlier version
    other.load_state_dict(state)
    assert other.confusion is None
