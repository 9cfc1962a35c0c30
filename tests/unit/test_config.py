"""Command `config`: settings with their meanings, and every mistake of a file as a line."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from settings_files import ROOT, digits, parse

from enas_core import config
from enas_core.settings.workflow import load_workflow, read_yaml

LEVELS = [b"a%d: &a%d [%s]" % (i, i, b", ".join([b"*a%d" % (i - 1)] * 9)) for i in range(1, 40)]
BOMB = b"\n".join([b"a0: &a0 [1]", *LEVELS, b"%s: {a: {dataset: *a39, search: {seeds: *a39}}}"])
"""A few lines that stand for 9 ** 40 values."""


def test_prints_every_setting_with_a_meaning(capsys):
    assert config.main(["--configfile", str(ROOT / "config.yaml"), "--experiment", "cifar100", "--all"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "# cifar100"
    printed = dict(line.split(" = ", 1) for line in lines[1:] if line)
    experiment = load_workflow(ROOT / "config.yaml").experiments["cifar100"]
    flat = {}

    def flatten(values, prefix):
        for key, value in values.items():
            if isinstance(value, dict) and key != "arcs":
                flatten(value, f"{prefix}{key}.")
            else:
                flat[prefix + key] = value

    flatten(json.loads(experiment.model_dump_json(by_alias=True)), "")
    assert set(printed) == set(flat)
    for key, text in printed.items():
        value, _, meaning = text.partition("  # ")
        assert len(meaning.split()) > 1, key
        if key != "arcs":
            assert json.loads(value) == flat[key]
    assert json.loads(printed["arcs"].partition("  # ")[0]) == {
        **{name: arc for name, arc in flat["arcs"].items() if isinstance(arc, str)},
        "transfer": "cifar10",
    }


def shown(capsys, experiment, *options, **experiments):
    """What the command prints of one of some experiments."""
    path = Path("config.yaml")
    path.write_text(yaml.safe_dump({"experiments": experiments}))
    assert config.main([experiment, "--configfile", str(path), *options]) == 0
    return capsys.readouterr().out


def test_prints_what_differs_from_the_defaults(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    a = digits(search__l2=0.5, search__clip_norm=None, search__num_epochs=150, preset="corrected")
    lines = shown(capsys, "a", a=a).splitlines()
    assert lines[0] == "# a"
    assert {
        'dataset.name = "digits"',
        'preset = "corrected"  # default "original"',
        "search.l2 = 0.5  # default 0.0001",
        "augment.clip_norm = 5.0  # by the preset, default null",
        "search.clip_norm = null  # the preset's is 5.0, default null",
    } <= set(lines)
    assert not [line for line in lines if line.startswith("search.num_epochs")]


@pytest.mark.parametrize("options", [[], ["--all"]])
def test_its_json_is_the_same_experiment(options, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    a = digits(search__clip_norm=None, preset="corrected")
    b = {"extends": "a", "preset": "original", "arcs": {"found": {"from": "a"}}}
    for name in ("a", "b"):
        (found,) = json.loads(shown(capsys, name, "--json", *options, a=a, b=b))["experiments"].values()
        assert parse(**{"a": a, "b": b, name: found})[name] == parse(a=a, b=b)[name]


def test_all_mistakes_of_a_file_are_a_line_each(capsys, tmp_path):
    path = tmp_path / "config.yaml"
    a = digits(arcs={"x": "0 1 2", "y": "1 2"}, num_nodes=3, baseline__sampler="reference", search__valid_images=9000)
    b, c = digits(num_nodes=0, cpu_threads=0), digits(search__l3=1)
    path.write_text(yaml.safe_dump({"experiments": {"a": a, "b": b, "c": c}}))
    assert config.main(["--configfile", str(path)]) == 2
    captured = capsys.readouterr()
    keys = "c.search.l3", "a.search.valid_images", "a.baseline.sampler", "a.arcs.x", "a.arcs.y", "b.num_nodes"
    lines = captured.err.splitlines()
    assert captured.out == ""
    assert [line.split(": ")[2] for line in lines] == [f"experiments.{key}" for key in (*keys, "b.cpu_threads")]


def test_mistakes_between_experiments_are_a_line_each(capsys, tmp_path):
    path = tmp_path / "config.yaml"
    a, b = digits(arcs={"x": {"from": "c"}}), digits(baseline={"from": "c"}, ablation={"settings": ["none"]})
    path.write_text(yaml.safe_dump({"experiments": {"a": a, "b": b}}))
    assert config.main(["--configfile", str(path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_entries_that_extend_nothing_are_a_line_each(capsys, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("experiments: {a: {extends: x}, b: 3, c: {extends: a}}")
    assert config.main(["--configfile", str(path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[2] for line in lines] == ["experiments.a.extends", "experiments.b"]


def test_prints_all_experiments(capsys):
    assert config.main(["--configfile", str(ROOT / "config.yaml")]) == 0
    names = [line[2:] for line in capsys.readouterr().out.splitlines() if line.startswith("# ")]
    assert names == list(load_workflow(ROOT / "config.yaml").experiments)


def test_ends_quietly_when_its_reader_has_seen_enough():
    command = [sys.executable, "-m", "enas_core.config", "--configfile", str(ROOT / "config.yaml")]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, timeout=60)
    os.close(writer)
    assert done.returncode == -signal.SIGPIPE
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"experiments: {a: {num_nodes: 0, dataset: {name: x, source: folder}}}", "experiments.a.num_nodes: 0"),
        (b"a: [", "not valid YAML: "),
        (b"a: 2020-13-45", "not valid YAML: "),
        (b"\xff\xfe\x00", "not a text file"),
        (b"", "experiments: missing"),
        (b"[" * 5000, "sections are nested too deeply"),
        (b"experiments: {a: {search: {l2: 1}, search: {}}}", "not valid YAML: 'search' is there twice in "),
        (
            b"experiments: {a: {search: &s {s: *s}}, b: {extends: a, search: &t {s: *t}}}",
            "not valid YAML: what begins in line 1 contains itself",
        ),
        (BOMB % b"x", "stands for more than 1000000 values"),
        (BOMB % b"experiments", "stands for more than 1000000 values"),
        (b"x: " + b"9" * 2**20, "has 1048579 bytes; at most 1048576 are read"),
        (b"experiments: {null: {}}", "experiments: None: a name is a text that begins with a letter"),
        (b"experiments: {yes: {}}", "experiments: True: a name is a text that begins with a letter"),
        (b"experiments: {report: {}}", "experiments.report: the name is taken by the workflow"),
    ],
)
def test_a_wrong_file_is_one_line(content, expected, tmp_path, capsys):
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    assert config.main(["--configfile", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"error: {path}: {expected}"), captured.err
    assert len(captured.err.splitlines()) == 1


def test_a_key_may_override_a_merged_one(tmp_path):
    (tmp_path / "a.yaml").write_text("a: &a {x: 1, y: 1}\nb: &b {<<: *a, x: 2}\nc: {<<: *b, y: 2}\n")
    assert read_yaml(tmp_path / "a.yaml")["c"] == {"x": 2, "y": 2}


def test_a_missing_file_and_an_unknown_experiment(tmp_path, capsys):
    assert config.main(["--configfile", str(tmp_path / "x.yaml")]) == 2
    assert capsys.readouterr().err == f"error: {tmp_path}/x.yaml: No such file or directory\n"
    assert config.main(["--configfile", str(ROOT / "tests/configs/tiny.yaml"), "--experiment", "x"]) == 2
    assert capsys.readouterr().err.endswith("experiments: 'x' is not there; allowed: tiny, tiny_transfer\n")
