"""Each stage sees only the settings that it depends on, and a setting that came later leaves its text alone."""

import json

import pytest
from settings_files import ARC, cifar, digits, parse

from enas_core.fields import LATER, Settings
from enas_core.settings.stages import (
    STAGES,
    PrepareDataStage,
    SearchStage,
    fingerprint,
    read_stage,
    stage_settings,
    to_json,
)

CHANGES = {
    "num_nodes": (dict(num_nodes=3), {"random_arcs", "search", "select_arc", "strategies", "augment"}),
    "cpu_threads": (dict(cpu_threads=7), {"search", "select_arc", "strategies", "augment"}),
    "precision": (dict(precision="bf16"), {"search", "select_arc", "strategies", "augment"}),
    "compile": (dict(compile="off"), {"search", "select_arc", "strategies", "augment"}),
    "dataset": (dict(dataset__split_seed=3), {"prepare_data"}),
    "augmentation": (dict(dataset__augmentation={"flip": False}), {"search", "select_arc", "strategies", "augment"}),
    "search": (dict(search__l2=0.5), {"search", "select_arc", "strategies"}),
    "controller": (dict(search__controller={"hidden_size": 5}), {"search", "select_arc", "strategies"}),
    "select": (dict(select={"num_candidates": 3}), {"select_arc", "strategies"}),
    "strategy": (dict(select={"strategy": "random"}), {"select_arc"}),
    "evolution of others": (dict(select={"evolution": {"population": 3}}), {"strategies"}),
    "further strategies": (dict(select={"compare": ["random", "evolution"]}), set()),
    "limits": (dict(select={"limits": {"max_macs": 10**6}}), {"random_arcs", "select_arc", "strategies"}),
    "augment": (dict(augment__l2=0.5), {"augment"}),
    "sampler": (dict(baseline={"sampler": "reference"}), {"random_arcs"}),
    "number of random arcs": (dict(baseline={"num_arcs": 3}), set()),
    "search seeds": (dict(search__seeds=[1, 2]), set()),
    "augment seeds": (dict(augment__seeds=[1, 2]), set()),
    "named arcs": (dict(arcs={"x": ARC}), set()),
}


@pytest.mark.parametrize(("changes", "stages"), CHANGES.values(), ids=CHANGES)
def test_a_stage_sees_what_it_depends_on(changes, stages):
    before, after = (parse(a=digits(**change))["a"] for change in ({}, changes))
    assert before != after
    texts = {
        stage: [to_json(stage_settings("a", experiment, stage)) for experiment in (before, after)] for stage in STAGES
    }
    assert {stage for stage, (one, other) in texts.items() if one != other} == stages


@pytest.mark.parametrize("stage", STAGES)
def test_settings_of_a_stage_survive_their_file(stage, tmp_path):
    settings = stage_settings("a", parse(a=cifar(preset="corrected"))["a"], stage)
    path = tmp_path / f"{stage}.json"
    path.write_text(to_json(settings))
    assert read_stage(path, STAGES[stage]) == settings
    assert path.read_text() == to_json(read_stage(path, STAGES[stage]))


def test_equal_settings_give_equal_text():
    one = digits(search__l2="1e-4", num_nodes=5)
    other = dict(reversed(digits(search__l2=0.0001).items()))
    texts = [to_json(stage_settings("a", parse(a=raw)["a"], "search")) for raw in (one, other)]
    assert texts[0] == texts[1]
    assert json.loads(texts[0])
    assert fingerprint(stage_settings("a", parse(a=one)["a"], "search")) != fingerprint(
        stage_settings("a", parse(a=digits(search__l2=0.5))["a"], "search")
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "Invalid JSON"),
        (b"\xff\xfe", "not a text file"),
        (b"[]", "allowed is"),
        (b"{}", "experiment: missing"),
        (b'{"experiment": "a", "dataset": {"name": "digits", "source": "digits", "x": 1}}', "dataset.x: unknown key"),
    ],
)
def test_a_wrong_settings_file_is_one_line(content, expected, tmp_path):
    path = tmp_path / "prepare_data.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=expected) as caught:
        read_stage(path, PrepareDataStage)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value).splitlines()) == 1
    assert ": : " not in str(caught.value)


def test_a_missing_settings_file_is_one_line(tmp_path):
    with pytest.raises(ValueError, match=r"search\.json: No such file or directory$"):
        read_stage(tmp_path / "search.json", SearchStage)


# --- settings that came later -------------------------------------------------------------------


def later_fields(model, prefix=""):
    """Dotted keys of the settings of a stage that are marked as having come later."""
    for name, field in model.model_fields.items():
        if LATER in field.metadata:
            yield f"{prefix}{name}"
        elif isinstance(field.annotation, type) and issubclass(field.annotation, Settings):
            yield from later_fields(field.annotation, f"{prefix}{name}.")


def keys_of(values, prefix=""):
    """Dotted keys of a dictionary of dictionaries."""
    for name, value in values.items():
        yield f"{prefix}{name}"
        if isinstance(value, dict):
            yield from keys_of(value, f"{prefix}{name}.")


@pytest.mark.parametrize("stage", ["prepare_data", "search", "select_arc", "augment"])
def test_what_came_later_does_not_change_the_text_at_its_default(stage):
    later = set(later_fields(STAGES[stage]))
    assert later
    text = to_json(stage_settings("a", parse(a=digits())["a"], stage))
    assert not later & set(keys_of(json.loads(text)))
    assert STAGES[stage].model_validate_json(text) == stage_settings("a", parse(a=digits())["a"], stage)


def test_what_came_later_is_in_the_text_where_it_is_set():
    changed = digits(search__stem="strided", dataset__augmentation={"brightness": 0.5})
    found = [json.loads(to_json(stage_settings("a", parse(a=x)["a"], "search"))) for x in (digits(), changed)]
    assert found[1]["search"].pop("stem") == "strided"
    assert found[1]["augmentation"].pop("brightness") == 0.5
    assert found[0] == found[1]
