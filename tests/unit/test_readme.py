"""README.md: it is short, and what it shows is what the program says."""

import re
import runpy
from pathlib import Path

import yaml

from enas_core.files.tables import read_table
from enas_core.settings.workflow import parse_workflow

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DIGITS = ROOT / "docs/evidence/digits"


def flat(text):
    """On one line, however it was broken."""
    return " ".join(text.split())


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 150


def test_the_readme_names_what_ci_runs():
    """`.ci/run` is what CI runs, these four."""
    called = re.findall(r"^make (\S+)", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    assert called == ["test", "test-long", "test-browser", "test-cluster"]
    assert all(f"`make {name}`" in flat(README) for name in called)


def test_the_readmes_experiment_is_valid():
    text = README[README.index("    experiments:\n") :].split("\n\n")[0]
    (experiment,) = parse_workflow(yaml.safe_load(text)).experiments.values()
    assert experiment.dataset.source == "folder"


def test_the_readme_shows_what_the_demo_prints():
    """Its sentences are those of the tables in docs/evidence/digits; `...` is where one is cut."""
    said = " ".join(runpy.run_path(str(ROOT / "docs/evidence/evidence.py"))["compared"](DIGITS))
    block = README[README.index("    Results are in results/digits") :].split("\n\n")[0]
    shown = [part for part in flat(block).split("results/digits: ")[1:]]
    shown[-1] = shown[-1].partition(" The answer on")[0]
    assert len(shown) == 2
    assert all(part.strip().removesuffix("...").strip() in said for part in shown)


COMPACT = (ROOT / "docs/evidence/cifar10_compact/README.md").read_text()


def test_the_readmes_figures_of_cifar10_are_those_of_the_page():
    sentence = README[README.index("* CIFAR-10 with small networks") :].split("\n* ")[0]
    figures = ("3 of 3 searches", "+1.90 points, p = 0.042", "tau 0.45", "+1.28 points [-2.31, +4.88]")
    assert [figure for figure in figures if figure not in COMPACT or figure not in flat(sentence)] == []


def test_what_is_said_of_corrections_on_cifar10_is_what_the_page_says():
    said = flat((ROOT / "docs/evidence.md").read_text())
    figures = ("+0.071 [+0.055, +0.088]", "+0.085 [+0.068, +0.101]", "+0.007 [-0.006, +0.019]", "7.2 device-hours")
    assert [figure for figure in figures if figure not in COMPACT or figure not in said] == []


def test_the_readmes_network_is_the_final_one():
    """The search with the best shared accuracy."""
    found = [row for row in read_table(DIGITS / "metrics.parquet", "metrics") if row["role"] == "searched"]
    final = max(found, key=lambda row: row["shared_accuracy"])
    line = f"results/digits/networks/{final['network']}/seed1/model.pt  test accuracy {final['test_accuracy']:.4f}"
    assert line in README
