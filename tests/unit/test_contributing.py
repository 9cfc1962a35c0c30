"""CONTRIBUTING.md fits on a page, and each example, done as it says in a copy of the project, works."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()
DIGITS = {
    "dataset": {"name": "digits", "source": "digits", "split_test_images": 60},
    "search": {"valid_images": 60, "aux_head": False},
    "augment": {"aux_head": False},
}
COPIED = ("enas_core", "tests/policies", "tests/spaces", "tests/upgrade", "tests/conftest.py", "pyproject.toml")


def changed(text, diff):
    """`text` after a diff without line numbers, in which what is new stands below what it replaces or follows."""
    for old, new in re.findall(r"((?:^[ -].*\n)+)((?:^\+.*\n)+)", diff, re.MULTILINE):
        before = "".join(line[1:] for line in old.splitlines(keepends=True))
        assert text.count(before) == 1, f"{text.count(before)} times there:\n{before}"
        kept = [line[1:] for line in old.splitlines(keepends=True) if line[0] == " "]
        text = text.replace(before, "".join([*kept, *(line[1:] for line in new.splitlines(keepends=True))]))
    return text


def do(title, folder):
    """What the example that begins with a title says, in a copy of the project: a file is called as its link says, and
    the rest is a diff."""
    example = PAGE[PAGE.index(f"**{title}**") :].split("\n**")[0]
    for name, source in re.findall(r"\[`(enas_core/.*?)`\]\((.*?)\)", example):
        shutil.copy(ROOT / source, folder / name)
    (text,) = re.findall(r"^```diff\n(.*?)^```$", example, re.MULTILINE | re.DOTALL)
    _, *parts = re.split(r"^\+\+\+ (.*)\n", text, flags=re.MULTILINE)
    for name, diff in zip(parts[::2], parts[1::2], strict=True):
        (folder / name).write_text(changed((folder / name).read_text(), diff))


def test_it_is_one_page():
    assert len(PAGE.splitlines()) <= 90


@pytest.fixture
def copy(tmp_path):
    """The parts of the project that the examples need."""
    for name in COPIED:
        source, target = ROOT / name, tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.xz"))
        else:
            shutil.copy(source, target)
    return tmp_path


def run(folder, *words):
    """Python with these arguments in the copy; it must succeed. Returns what it printed."""
    environment = os.environ | {"PYTHONPATH": str(folder)}
    done = subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


READ = """
from enas_core.settings.stages import stage_settings, to_json
from enas_core.settings.workflow import parse_workflow
from enas_core.training.schedule import learning_rate

x = parse_workflow({"experiments": {"x": %r}}).experiments["x"]
"""


def test_a_setting(copy):
    do("A setting", copy)
    experiment = DIGITS | {"augment": {"aux_head": False, "warmup_epochs": 3, "lr_max": 0.4, "lr_t_0": 10}}
    rates = "print([learning_rate(x.augment, epoch, 1) for epoch in range(4)])"
    rising = json.loads(run(copy, "-c", READ % experiment + rates))
    assert rising == sorted(rising)
    assert rising[0] == pytest.approx(0.1)
    run(copy, "-m", "pytest", "-q", "tests/upgrade/test_later.py")


def test_a_policy(copy):
    do("A policy", copy)
    printed = run(copy, "-m", "pytest", "-q", "tests/policies", "-k", "climb or registry")
    assert re.search(r"\b1\d passed", printed)


def test_a_space(copy):
    (copy / "tests/spaces/chain.py").unlink()
    do("A space", copy)
    experiment = DIGITS | {"space": "chain", "chain_length": 4}
    assert run(copy, "-c", READ % experiment + "print(x.search_space.uniform(0))").split() == ["2", "1", "1", "0"]


def test_a_source(copy):
    do("A source of images", copy)
    experiment = DIGITS | {"dataset": {"name": "stripes", "source": "stripes"}}
    stage = "print(to_json(stage_settings('x', x, 'prepare_data')))"
    (copy / "prepare_data.json").write_text(run(copy, "-c", READ % experiment + stage))
    run(copy, "-m", "enas_core.prepare_data", "--config", "prepare_data.json", "--out-dir", "data")
    manifest = json.loads((copy / "data/manifest.json").read_text())
    assert manifest["classes"] == ["across", "along"]
    assert manifest["images"] == {"train": 400, "test": 100}


def test_a_change_that_does_not_fit_is_not_made():
    with pytest.raises(AssertionError, match="0 times there"):
        changed("a\n", " b\n+c\n")
    assert changed("a\nb\n", "-a\n+x\n b\n+y\n") == "x\nb\ny\n"
