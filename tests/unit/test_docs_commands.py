"""Commands in README.md and docs/: they exist, know their options, and cheap ones are run."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
import yaml

from enas_core import __main__ as enas

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "config/README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands(program):
    """Words of all command lines that begin with `program`, in blocks of code and within lines, without comments."""
    found = set()
    for page in PAGES:
        text = page.read_text()
        lines = re.findall(rf"^ {{4}}({program}\b.*)$", text, re.MULTILINE)
        lines += [" ".join(line.split()) for line in re.findall(rf"`({program}\b[^`]*)`", text)]
        for line in lines:
            words = shlex.split(line.split("&&")[0], comments=True)
            found.add(tuple(word for word in words if word != "..."))
    return sorted(found)


def options(words):
    """Those of a command line itself, and not what follows `--`."""
    own = words[: words.index("--")] if "--" in words else words
    return [word.partition("=")[0] for word in own if re.match(r"--[a-z]", word)]


ENAS = [words[1:] for words in commands("enas")]
ENAS += [(words[2].partition(".")[2], *words[3:]) for words in commands("python -m enas_core") if "." in words[2]]


def test_there_are_commands():
    assert len(ENAS) > 10
    assert len(commands("snakemake")) > 10


@pytest.mark.parametrize("words", ENAS, ids=" ".join)
def test_a_command_knows_its_options(words, capsys):
    name = [words[0].replace("_", "-")] if words and not words[0].startswith("--") else []
    with pytest.raises(SystemExit, match="0"):
        enas.main([*name, "--help"])
    known = {*re.findall(r"--[a-z-]+", capsys.readouterr().out), "--help"}
    assert set(options(words)) <= known


def test_options_of_snakemake_are_known():
    from snakemake.cli import get_argument_parser

    known = set(get_argument_parser()._option_string_actions)
    assert {option for words in commands("snakemake") for option in options(words)} <= known


def test_targets_are_of_experiments_that_there_are():
    there = {*yaml.safe_load((ROOT / "config.yaml").read_text())["experiments"], "pets", "mine", "report.html"}
    named = {re.match(r"results/([^/]+)", word) for words in [*commands("snakemake"), *ENAS] for word in words}
    assert {match.group(1) for match in named if match} <= there


CHEAP = [words for words in ENAS if {*words} & {"show-arc", "random-arcs", "config"} and len(words) > 1]
CHEAP = [words for words in CHEAP if ">" not in words]  # a file that the shell would write


@pytest.mark.parametrize("words", CHEAP, ids=" ".join)
def test_cheap_ones_run(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "config.yaml", tmp_path)
    assert enas.main(words) == 0
    assert capsys.readouterr().out
