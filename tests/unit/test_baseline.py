"""`baseline.from`: an experiment takes the trained random networks of another one, when both would train the same."""

import pytest

from enas_core.console import UserError
from enas_core.settings.baseline import NOT_SEEN_BY_RANDOM_NETWORKS
from enas_core.settings.describe import describe
from enas_core.settings.networks import networks_of, trainer_of
from enas_core.settings.stages import stage_settings, to_json
from enas_core.settings.workflow import parse_workflow

ARC = " ".join(["0 4 1 4"] * 10)
SOURCE = {
    "dataset": {"name": "digits", "source": "digits", "split_test_images": 60},
    "search": {"aux_head": False, "batch_size": 32, "valid_images": 60},
    "augment": {"aux_head": False, "seeds": [1, 2]},
    "baseline": {"num_arcs": 3, "seed": 7},
}
TAKES = {"extends": "a", "baseline": {"from": "a"}}


def parse(**experiments):
    return parse_workflow({"experiments": experiments}).experiments


def refusal(**experiments):
    """The one line with which they are refused, without the file's name."""
    with pytest.raises(UserError) as caught:
        parse(**experiments)
    (line,) = str(caught.value).splitlines()
    return line.removeprefix("config.yaml: experiments.")


def test_sampler_seed_and_number_come_from_the_source():
    own = {key: value for key, value in SOURCE.items() if key != "baseline"}
    for entry in (TAKES, own | {"baseline": {"from": "a"}}, own | {"baseline": {"from": "a", "num_arcs": 3}}):
        found = parse(a=SOURCE, b=entry)
        assert (found["b"].baseline.num_arcs, found["b"].baseline.seed) == (3, 7)
        random_arcs = [stage_settings("x", found[name], "random_arcs") for name in "ab"]
        assert random_arcs[0] == random_arcs[1]


def test_the_source_may_stand_further_down():
    found = parse(b={**SOURCE, "baseline": {"from": "a"}}, a=SOURCE)
    assert found["b"].baseline.num_arcs == 3


def test_the_source_trains_random_networks_alone():
    found = parse(a=SOURCE, b=TAKES | {"arcs": {"x": ARC}})
    for name in "ab":
        trainers = {n.name: trainer_of(n, name, found[name]) for n in networks_of(found[name]) if n.role != "named"}
        assert trainers == {"searched-s1": name, "random-00": "a", "random-01": "a", "random-02": "a"}
    (named,) = [network for network in networks_of(found["b"]) if network.role == "named"]
    assert trainer_of(named, "b", found["b"]) == "b"


@pytest.mark.parametrize(
    "changes",
    [
        {"search": {"num_epochs": 3, "seeds": [5], "reduction_inputs": "both"}},
        {"select": {"num_candidates": 3}},
        {"arcs": {"x": ARC}},
        {"ablation": {"seeds": [1]}},
    ],
    ids=["search", "select", "arcs", "ablation"],
)
def test_what_random_networks_do_not_see_may_differ(changes):
    assert parse(a=SOURCE, b=TAKES | changes)["b"].baseline.source == "a"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"num_nodes": 3}, "num_nodes"),
        ({"cpu_threads": 3}, "cpu_threads"),
        ({"precision": "bf16"}, "precision"),
        ({"dataset": {"split_seed": 3}}, "dataset.split_seed"),
        ({"dataset": {"augmentation": {"flip": False}}}, "dataset.augmentation.flip"),
        ({"augment": {"l2": 0.5}}, "augment.l2"),
        ({"augment": {"seeds": [1]}}, "augment.seeds"),
        ({"preset": "corrected"}, "augment.train_aux_head"),
        ({"select": {"limits": {"max_params": 9}}}, "select.limits.max_params"),
        ({"baseline": {"from": "a", "num_arcs": 4}}, "baseline.num_arcs"),
        ({"baseline": {"from": "a", "sampler": "reference"}}, "baseline.sampler"),
        ({"baseline": {"from": "a", "seed": 8}}, "baseline.seed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_mismatch_is_one_line_that_names_the_key(changes, key):
    line = refusal(a=SOURCE, b=TAKES | changes)
    (value,) = [row.value for row in describe(parse(a=SOURCE)["a"]) if row.key == key]
    assert line.startswith(
        f"b.baseline.from: random networks of 'a' are trained with {key} = {value}, those of 'b' with "
    )


@pytest.mark.parametrize(("there", "here"), [(None, {"deviation": 0.1}), ({"deviation": 0.1}, None)])
def test_a_section_that_only_one_of_them_has(there, here):
    a, b = (SOURCE | {"dataset": SOURCE["dataset"] | {"noise": noise}} for noise in (there, here))
    line = refusal(a=a, b=b | {"baseline": {"from": "a"}})
    values = ("1.0", "null") if here is None else ("null", "1.0")
    expected = "random networks of 'a' are trained with dataset.noise.contrast = {}, those of 'b' with {}"
    assert line == f"b.baseline.from: {expected.format(*values)}"


def test_the_same_augment_settings_under_another_preset_agree():
    original = {"train_aux_head": False, "clip_norm": None, "restart_first_step_mean": True}
    original |= {"init_fan_in": "tensorflow", "bn_zero_debias": True}
    found = parse(a=SOURCE, b=TAKES | {"preset": "corrected", "augment": original})
    assert found["b"].search.clip_norm == 5.0


def test_every_section_that_random_networks_see_is_compared():
    stages = ("prepare_data", "random_arcs", "augment")
    for section, changes in CHANGES_OF_SECTIONS.items():
        changed = parse(a=SOURCE, b={"extends": "a", section: changes})
        texts = [[to_json(stage_settings("x", changed[name], stage)) for stage in stages] for name in "ab"]
        baseline = changes if section == "baseline" else {}
        takes = {"extends": "a", section: changes} | {"baseline": baseline | {"from": "a"}}
        if texts[0] != texts[1]:
            assert "random networks of 'a' are trained with" in refusal(a=SOURCE, b=takes), section
        else:
            assert parse(a=SOURCE, b=takes)["b"].baseline.source == "a"
            assert section in NOT_SEEN_BY_RANDOM_NETWORKS


CHANGES_OF_SECTIONS = {
    "num_nodes": 3,
    "cpu_threads": 7,
    "precision": "bf16",
    "compile": "off",
    "deterministic": True,
    "dataset": {"max_train_images": 900},
    "search": {"l2": 0.5},
    "select": {"num_candidates": 3},
    "augment": {"num_epochs": 3},
    "baseline": {"sampler": "reference"},
    "arcs": {"x": ARC},
    "ablation": {"seeds": [1]},
}
"""One change of each key and section that stands at the top of an experiment, but for `preset` and `space`."""


def test_those_are_all_sections():
    assert {*CHANGES_OF_SECTIONS, "preset", "space"} == set(type(parse(a=SOURCE)["a"]).model_fields)


@pytest.mark.parametrize(
    ("experiments", "words"),
    [
        ({"a": SOURCE, "b": TAKES | {"baseline": {"from": "x"}}}, "'x' is not another experiment; allowed: a"),
        ({"b": SOURCE | {"baseline": {"from": "b"}}}, "'b' is not another experiment; allowed: none"),
        ({"a": SOURCE, "b": TAKES, "c": TAKES | {"baseline": {"from": "b"}}}, "'b' trains none itself"),
    ],
)
def test_sources_that_cannot_be(experiments, words):
    name = list(experiments)[-1]
    assert refusal(**experiments).startswith(f"{name}.baseline.from: {words}")


@pytest.mark.parametrize("length", [2, 3])
def test_experiments_that_take_from_each_other(length):
    entries = {f"e{i}": SOURCE | {"baseline": {"from": f"e{(i + 1) % length}"}} for i in range(length)}
    assert refusal(**entries).startswith("e0.baseline.from: 'e1' trains none itself, it takes those of ")


def test_an_experiment_that_extends_such_a_one_may_train_its_own():
    found = parse(a=SOURCE, b=TAKES, c={"extends": "b", "baseline": {"from": None, "num_arcs": 9}})
    assert (found["c"].baseline.source, found["c"].baseline.num_arcs) == (None, 9)


@pytest.mark.parametrize("baseline", [3, None, {"from": 3}, {"from": ["a"]}, {"from": {"a": 1}}, {"form": "a"}])
def test_sections_of_another_form(baseline):
    """None of them is a traceback."""
    for entries in (
        {"a": SOURCE | {"baseline": baseline}, "b": TAKES},
        {"a": SOURCE, "b": TAKES | {"baseline": baseline}},
    ):
        if baseline is None and entries["b"]["baseline"] is None:
            assert parse(**entries)["b"].baseline.source is None
        else:
            refusal(**entries)
