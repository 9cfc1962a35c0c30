"""Settings: every kind of mistake is one clear line, arbitrary content as well."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from settings_files import ARC, cifar, digits, message_of, own

from enas_core.console import UserError
from enas_core.settings.workflow import parse_workflow

MISTAKES = {
    "unknown key": (digits(searhc={}), "a.searhc: unknown key; allowed: preset, num_nodes, "),
    "unknown key in a section": (digits(search__batch=8), "a.search.batch: unknown key; allowed: num_epochs, "),
    "unknown key below": (digits(search__controller={"x": 1}), "a.search.controller.x: unknown key; allowed: hidden"),
    "text for a number": (digits(num_nodes="5"), "a.num_nodes: '5': allowed is a valid integer"),
    "truth for a number": (digits(num_nodes=True), "a.num_nodes: True: allowed is a valid integer"),
    "below its bound": (digits(num_nodes=0), "a.num_nodes: 0: allowed is greater than or equal to 1"),
    "above its bound": (digits(num_nodes=17), "a.num_nodes: 17: allowed is less than or equal to 16"),
    "odd filters": (digits(augment__num_filters=5), "a.augment.num_filters: 5: allowed is a multiple of 2"),
    "not finite": (digits(augment__l2=float("nan")), "a.augment.l2: nan: allowed is a finite number"),
    "not a choice": (digits(preset="new"), "a.preset: 'new': allowed is 'original' or 'corrected'"),
    "not a section": (digits(search=3), "a.search: 3: allowed is a valid dictionary"),
    "an empty list": (digits(search__seeds=[]), "a.search.seeds: []: Tuple should have at least 1 item"),
    "an item twice": (digits(search__seeds=[1, 2, 1]), "a.search.seeds: 1 is there twice"),
    "an item of a list": (digits(search__seeds=[1, -1]), "a.search.seeds.1: -1: allowed is greater than or equal to 0"),
    "a list of another length": (
        digits(search__controller={"op_bias_init": [1, 2]}),
        "a.search.controller.op_bias_init: [1, 2]: Tuple should have at least 5 items",
    ),
    "not settings": (5, "a: 5 is not a mapping of settings"),
    "no dataset": ({}, "a.dataset: missing"),
    "unknown dataset": (
        digits(dataset__name="imagenet"),
        "a.dataset.source: 'digits' does not provide 'imagenet'",
    ),
    "wrong source": (digits(dataset__source="parquet"), "a.dataset.source: 'parquet' does not provide 'digits'"),
    "no test part": (digits(dataset__split_test_images=None), "a.dataset.split_test_images: digits needs "),
    "two test parts": (
        cifar(dataset={"name": "cifar10", "source": "parquet", "split_test_images": 5}),
        "a.dataset.split_test_images: cifar10 has its own test images",
    ),
    "too many test images": (
        digits(dataset__split_test_images=1797),
        "a.dataset.split_test_images: 1797 is out of range 1..1796",
    ),
    "cutout": (digits(dataset__augmentation={"cutout": 9}), "a.dataset.augmentation.cutout: 9 is out of range 0..8"),
    "nothing to train on": (
        digits(search__valid_images=1737),
        "a.search.valid_images: 1737 is out of range 1..1736 (1737 training images)",
    ),
    "large search batch": (digits(search__batch_size=1678), "a.search.batch_size: 1678 is out of range 2..1677"),
    "large augment batch": (digits(augment__batch_size=1738), "a.augment.batch_size: 1738 is out of range 2..1737"),
    "a batch of one, search": (
        digits(search__aux_head=True, search__batch_size=4),
        "a.search.batch_size: 4 leaves one",
    ),
    "a batch of one, augment": (
        digits(augment__aux_head=True, augment__batch_size=8),
        "a.augment.batch_size: 8 leaves",
    ),
    "unknown stem": (digits(search__stem="wide"), "a.search.stem: 'wide': allowed is 'plain' or 'strided'"),
    "own images, noise": (
        own(dataset__noise={"deviation": 0.1}),
        "a.dataset.noise: is for cifar10, cifar100, digits of their own sources; allowed here: null",
    ),
    "own images, split": (own(dataset__split_test_images=3), "a.dataset.split_test_images: is for cifar10, "),
    "own images, size": (own(dataset__image_size=4), "a.dataset.image_size: 4: allowed is greater than or equal to 8"),
    "own images, large": (
        own(dataset__image_size=257),
        "a.dataset.image_size: 257: allowed is less than or equal to 256",
    ),
    "own images, resize": (own(dataset__resize_to=32), "a.dataset.resize_to: needs image_size"),
    "own images, smaller": (
        own(dataset__resize_to=32, dataset__image_size=40),
        "a.dataset.resize_to: 32 is below image_size = 40",
    ),
    "own images, columns": (own(dataset__label_column="x"), "a.dataset.label_column: 'folder' has no columns"),
    "own images, source": (
        own(dataset__source="torchvision"),
        "a.dataset.source: 'torchvision' does not provide 'mine'",
    ),
    "own images, name": (own(dataset__name="my/own"), "a.dataset.name: 'my/own': String should match pattern"),
    "size of known images": (
        cifar(dataset={"name": "cifar10", "source": "parquet", "image_size": 32}),
        "a.dataset.image_size: is for images of your own, cifar10 is as it is; allowed: null",
    ),
    "skipping of known images": (
        digits(dataset__skip_unreadable=True),
        "a.dataset.skip_unreadable: is for images of your own, digits is as it is; allowed: false",
    ),
    "two kinds of crop": (
        own(dataset__augmentation={"random_resized_crop": 0.1}),
        "a.dataset.augmentation.random_resized_crop: takes the place of the padded crop; allowed with it: crop",
    ),
    "hue of grey images": (digits(dataset__augmentation={"hue": 0.1}), "a.dataset.augmentation.hue: grey images have"),
    "learning rates": (digits(search__lr_max=1e-5), "a.search.lr_min: 0.0005 is above lr_max = 1e-05"),
    "sampler": (
        digits(num_nodes=4, baseline={"sampler": "reference"}),
        "a.baseline.sampler: 'reference' makes arcs of 5 nodes, num_nodes is 4",
    ),
    "length of an arc": (digits(num_nodes=4, arcs={"x": ARC}), "a.arcs.x: an arc of 4 nodes has 32 integers, got 40"),
    "position in an arc": (
        digits(arcs={"x": "0 4 2 4" + ARC[7:]}),
        "a.arcs.x: normal cell, node 0, index_2: 2 is out of range 0..1",
    ),
    "an arc in capitals": (digits(arcs={"X": "0"}), "a.arcs.X: an arc of 5 nodes has 40 integers, got 1"),
    "an arc of another type": (digits(arcs={"x": 3}), "a.arcs.x: 3: allowed is an arc in quotes or {from: EXPERIMENT}"),
    "an arc that is nothing": (digits(arcs={"x": None}), "a.arcs.x: None: allowed is an arc in quotes or {from: "),
    "arcs of another type": (digits(arcs=[ARC]), "a.arcs: "),
    "name of an arc": (digits(arcs={"x y": ARC}), "a.arcs.x y: 'x y': String should match pattern"),
    "name of a found network": (digits(arcs={"searched-s1": ARC}), "a.arcs.searched-s1: names like searched-s1"),
    "name of a random network": (digits(arcs={"random-07": ARC}), "a.arcs.random-07: names like searched-s1"),
    "misspelt transfer": (digits(arcs={"x": {"form": "b"}}), "a.arcs.x.form: unknown key; allowed: from"),
    "transfer of a number": (digits(arcs={"x": {"from": 3}}), "a.arcs.x.from: 3: allowed is a valid string"),
    "transfer from nowhere": (
        digits(arcs={"x": {"from": "c"}}),
        "a.arcs.x.from: 'c' is not another experiment; allowed: b",
    ),
    "transfer from itself": (digits(arcs={"x": {"from": "a"}}), "a.arcs.x.from: 'a' is not another experiment"),
    "transfer of other nodes": (
        digits(num_nodes=4, arcs={"x": {"from": "b"}}),
        "a.arcs.x.from: arcs of 'b' have another num_nodes than 'a'",
    ),
    "extends nowhere": (digits(extends="c"), "a.extends: 'c' is not another experiment; allowed: b"),
    "extends itself": (digits(extends="a"), "a.extends: 'a' is not another experiment; allowed: b"),
    "extends a number": (digits(extends=[3]), "a.extends: [3] is not another experiment; allowed: b"),
}


@pytest.mark.parametrize(("experiment", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_an_experiment_is_one_line(experiment, expected):
    message = message_of({"experiments": {"a": experiment, "b": digits()}})
    assert message.startswith(f"experiments.{expected}"), message


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (None, "experiments: missing or not a mapping"),
        ([], "experiments: missing or not a mapping"),
        ({"experiments": [1]}, "experiments: missing or not a mapping"),
        ({"experiments": {}}, "experiments: {}: Dictionary should have at least 1 item"),
        (
            {"experiments": {"a": digits()}, "x": 1},
            "x: unknown key; allowed: experiments, data_path, device, save_every",
        ),
        ({"experiments": {"a": digits()}, "device": "tpu"}, "device: 'tpu': allowed is 'auto', 'cpu' or 'cuda'"),
        ({"experiments": {"a": digits()}, "save_every": 0}, "save_every: 0: allowed is greater than 0"),
        ({"experiments": {"a": digits()}, 1: 2}, "1: "),
        ({"experiments": {"a": digits()}, "data_path": ""}, "data_path: empty, or with line breaks"),
        ({"experiments": {"a": digits()}, "data_path": "a\nb"}, "data_path: empty, or with line breaks"),
        (
            {"experiments": {"a": digits(search={"num_layers": 10**6})}},
            "experiments.a.search.num_layers: 1000000: allowed is less than or equal to 1000",
        ),
        ({"experiments": {"a": digits(arcs={"best-random": ARC})}}, "experiments.a.arcs.best-random: names like"),
        ({"experiments": {"a b": digits()}}, "experiments.a b: 'a b': String should match pattern"),
        ({"experiments": {1: digits()}}, "experiments: 1: a name is a text that begins with a letter"),
        ({"experiments": {"a\nb": digits()}}, "experiments.a b: "),
        ({"experiments": {"a\nb": 3}}, "experiments.a b: 3 is not a mapping of settings"),
        (
            {"experiments": {"a": digits(extends="a")}},
            "experiments.a.extends: 'a' is not another experiment; allowed: none",
        ),
        ({"experiments": {"a": {"x": 1}, "b": {"y": 1}}}, "experiments.a.x: unknown key; "),
    ],
)
def test_a_mistake_in_the_file_is_one_line(raw, expected):
    message = message_of(raw)
    assert message.startswith(expected), message


def test_more_mistakes_are_counted():
    message = message_of({"experiments": {"a": digits(num_nodes=0, cpu_threads=0)}})
    assert message.endswith(" (and 1 more)")


def test_a_long_value_is_cut():
    message = message_of({"experiments": {"a": digits(preset="x" * 10_000)}})
    assert len(message) < 200


def test_what_is_inherited_is_told_once():
    raw = {
        "experiments": {
            "a": {"dataset": {"name": "cifar10", "source": "torchvision"}, "search": {"epochs": 1}},
            "b": {"extends": "a", "search": {"num_layers": 0}},
            "c": {"extends": "b"},
        }
    }
    with pytest.raises(UserError) as caught:
        parse_workflow(raw)
    assert [line.split(": ")[1] for line in caught.value.lines] == [
        "experiments.a.search.epochs",
        "experiments.b.search.num_layers",
    ]


# --- arbitrary content --------------------------------------------------------------------------

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=3) | st.dates()
)
KEYS = st.sampled_from(["dataset", "search", "augment", "arcs", "extends", "preset", "baseline", "select"]) | SCALARS
GARBAGE = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=12
)


def refusal(raw):
    """What is wrong with `raw`, if anything."""
    try:
        parse_workflow(raw)
    except ValueError as error:
        return error
    return None


def assert_taken_or_refused_in_one_line(raw):
    error = refusal(raw)
    assert error is None or type(error) is UserError
    assert error is None or len(str(error).splitlines()) == 1
    assert error is None or str(error).startswith("config.yaml: ")


@given(GARBAGE)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_arbitrary_content_is_refused_in_one_line(raw):
    assert refusal(raw) is not None
    assert_taken_or_refused_in_one_line(raw)


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]) | SCALARS, GARBAGE, max_size=3))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_arbitrary_experiments_are_refused_in_one_line(experiments):
    assert_taken_or_refused_in_one_line({"experiments": experiments})


PLACES = [
    ("num_nodes",),
    ("dataset",),
    ("dataset", "max_train_images"),
    ("dataset", "augmentation"),
    ("search", "seeds"),
    ("search", "l2"),
    ("search", "controller"),
    ("search", "controller", "op_bias_init"),
    ("augment", "clip_norm"),
    ("select",),
    ("arcs",),
    ("arcs", "x"),
    ("extends",),
    ("preset",),
]


@given(st.sampled_from(PLACES), GARBAGE)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_an_arbitrary_value_is_taken_or_refused_in_one_line(place, value):
    assert_taken_or_refused_in_one_line({"experiments": {"a": digits(**{"__".join(place): value}), "b": digits()}})
