"""docs/images.md: its script does what it says, and its settings are settings."""

import re
import subprocess
import sys
from pathlib import Path

import yaml

from enas_core.data.folder import SUFFIXES
from enas_core.settings.workflow import load_workflow, parse_workflow

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/images.md").read_text()


def place(folder, *tables):
    """Run the script of the page."""
    (script,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (folder / "place.py").write_text(script)
    command = [sys.executable, "place.py", "unpacked", "placed", *tables]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def written(path, content="x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def test_images_are_placed_by_the_splits(tmp_path):
    """Both forms of the published tables: with the class in the first column, or behind a number."""
    for name, content in (
        ("Images/bar/url.jpg", "a bar"),
        ("Images/art_studio/url.jpg", "a studio"),
        ("bar/2.jpg", "b"),
    ):
        written(tmp_path / "unpacked" / name, content)
    written(tmp_path / "MIT67_train1.csv", ",Unnamed: 0,0,1\n0,bar,url.jpg,\n20,artstudio,url.jpg,\n")
    written(tmp_path / "MIT67_test.csv", ",0,1\nbar,2.jpg,\n")
    done = place(tmp_path, "MIT67_train1.csv", "MIT67_test.csv")
    assert done.returncode == 0, done.stderr
    placed = {str(p.relative_to(tmp_path / "placed")): p.read_text() for p in (tmp_path / "placed").rglob("*.jpg")}
    assert placed == {"train/bar/url.jpg": "a bar", "train/artstudio/url.jpg": "a studio", "test/bar/2.jpg": "b"}


def test_a_missing_image_is_told(tmp_path):
    written(tmp_path / "unpacked/1.jpg")
    written(tmp_path / "flowers102_test.csv", ",Unnamed: 0,0\n0,flower_7,2.jpg\n")
    done = place(tmp_path, "flowers102_test.csv")
    assert done.returncode == 1
    assert done.stderr == "flowers102_test.csv: flower_7/2.jpg: 0 such files below unpacked\n"


def test_the_example_is_valid():
    text = PAGE[PAGE.index("    experiments:\n") :].split("\n\n")[0]
    (experiment,) = parse_workflow(yaml.safe_load(text)).experiments.values()
    assert experiment.dataset.source == "folder"


def test_the_table_of_file_names_is_complete():
    (row,) = [line for line in PAGE.splitlines() if line.startswith("| files |")]
    assert set(re.findall(r"\.[a-z]+", row.split("`")[1])) == SUFFIXES


def test_half_of_the_training_images_are_held_out_as_the_page_says():
    experiments = load_workflow(ROOT / "config.yaml").experiments
    for name, train in re.findall(r"^\| `(\w+)` \| ([\d,]+) / ", PAGE, re.MULTILINE):
        count = int(train.replace(",", ""))
        assert experiments[name].search.trained_images(count) == count // 2
        assert experiments[name].augment.trained_images(count) == count
