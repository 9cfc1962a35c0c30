"""The JSON schema of config.yaml: it is the current one, takes the file as it is written, and refuses mistakes."""

from pathlib import Path

import jsonschema
import pytest
import yaml

from enas_core.settings.schema import schema, schema_text

ROOT = Path(__file__).parents[2]
VALIDATOR = jsonschema.Draft202012Validator(schema())


def mistakes(experiment, **others):
    """Messages about a file with this experiment, `a`."""
    found = VALIDATOR.iter_errors({"experiments": {"a": experiment}, **others})
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in found]


def test_the_committed_schema_is_the_current_one():
    """After a change of settings: python -m enas_core.config --schema > config.schema.json"""
    assert (ROOT / "config.schema.json").read_text() == schema_text()


def test_it_is_a_schema():
    VALIDATOR.check_schema(VALIDATOR.schema)


@pytest.mark.parametrize("path", ["config.yaml", "tests/configs/tiny.yaml", "tests/configs/faults.yaml"])
def test_files_as_they_are_written_satisfy_it(path):
    raw = yaml.safe_load((ROOT / path).read_text())
    assert [error.message for error in VALIDATOR.iter_errors(raw)] == []


def test_the_first_line_of_the_file_names_it():
    assert (ROOT / "config.yaml").read_text().startswith("# yaml-language-server: $schema=config.schema.json\n")


@pytest.mark.parametrize(
    "experiment",
    [
        {},
        {"extends": "b", "preset": "corrected"},
        {"search": None, "dataset": None, "arcs": None},
        {"arcs": {"x": None, "y": "0 1", "z": {"from": "b"}}},
        {
            "search": {
                "seeds": [1, 2],
                "policy": "uniform",
                "reduction_inputs": "both",
                "controller": {"op_bias_init": None},
            }
        }
        | {"num_nodes": 3},
        {"search": {"policy": "random", "clip_norm": None}},
    ],
)
def test_what_inheritance_allows(experiment):
    without_null_values = mistakes(experiment)
    assert without_null_values == [] or "op_bias_init" in without_null_values[0]


@pytest.mark.parametrize(
    ("experiment", "place"),
    [
        ({"searhc": {}}, "experiments.a"),
        ({"num_nodes": 0}, "experiments.a.num_nodes"),
        ({"num_nodes": "5"}, "experiments.a.num_nodes"),
        ({"preset": "new"}, "experiments.a.preset"),
        ({"extends": 3}, "experiments.a.extends"),
        ({"search": {"reduction_inputs": "x"}}, "experiments.a.search"),
        ({"search": {"controller": {"op_bias_init": [1, 2]}}}, "experiments.a.search"),
        ({"arcs": {"x": {"form": "b"}}}, "experiments.a.arcs.x"),
        ({"arcs": {"x y": "0"}}, "experiments.a.arcs"),
    ],
)
def test_mistakes_are_found_where_they_are(experiment, place):
    (mistake,) = mistakes(experiment)
    assert mistake.startswith(place)


def test_the_top_of_the_file():
    assert mistakes({}, data_path="/data", device="cpu", save_every=2) == []
    assert len(mistakes({}, devise="cpu")) == 1
    assert len(list(VALIDATOR.iter_errors({}))) == 1


def test_every_setting_has_a_meaning():
    described = [
        (name, key)
        for name, definition in VALIDATOR.schema["$defs"].items()
        for key, value in definition["properties"].items()
        if "description" in value or "$ref" in str(value)
    ]
    everything = [(name, key) for name, d in VALIDATOR.schema["$defs"].items() for key in d["properties"]]
    assert described == everything
