"""Words of the micro space stay in its own rooms, so that a second space is a folder, not a change in fifteen modules.

Names, comments, docstrings and messages are searched alike.
"""

import io
import re
import tokenize
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "enas_core"
MAY_SPEAK_MICRO = ("spaces/", "policies/controller.py", "policies/reinforce.py", "from_flags.py")
"""The space itself, the policy whose decisions are those of its arcs, and what reads the original's flags."""

WORDS = {"cell", "cells", "node", "nodes", "ops", "reduction", "reductions"}
PHRASES = ("40 integers", "sep_conv", "separable convolution")

OTHER_MEANINGS = {
    'reduction="sum"': "torch's name for how a loss is taken over a batch",
    "--nproc-per-node": "torchrun's name for a machine",
    "nodename": "the operating system's name for a machine",
    "yaml.Node": "a part of a YAML document",
    "get_single_node": "PyYAML's method that makes all of them",
    "MappingNode": "a part of a YAML document",
    "ScalarNode": "a part of a YAML document",
    "compose_mapping_node": "PyYAML's method that makes one",
    "ImageOps": "a module of Pillow",
}
"""What contains one of the words and means something else."""

SEARCHED = {tokenize.NAME, tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", None)}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if not str(path.relative_to(PACKAGE)).startswith(MAY_SPEAK_MICRO))


def words(text):
    """`num_nodes` and `NodeCount` have two words each."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", text)]


def offences(text):
    """Words and phrases of the micro space in a Python source text, each with its line: `3: nodes`."""
    for harmless in OTHER_MEANINGS:
        text = text.replace(harmless, "something_else")
    found = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in SEARCHED:
            continue
        for i, line in enumerate(token.string.splitlines(), token.start[0]):
            found += [f"{i}: {word}" for word in words(line) if word in WORDS]
            found += [f"{i}: {phrase}" for phrase in PHRASES if phrase in line.lower()]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_micro_concept_is_named_elsewhere(path):
    assert offences(path.read_text()) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("num_nodes = 5\n", ["1: nodes"]),
        ("def f(cell): pass\n", ["1: cell"]),
        ("class CellShape: pass\n", ["1: cell"]),
        ("x = arc.OPS[0]\n", ["1: ops"]),
        ("x = 1\n# Each node of the arc.\n", ["2: node"]),
        ('"""One.\n\nThe reduction cell.\n"""\n', ["3: reduction", "3: cell"]),
        ('"""The 40 integers of an arc."""\n', ["1: 40 integers"]),
        ('x = f"{y} of sep_conv_3x3"\n', ["1: sep_conv"]),
        ('message = "too many cells"\n', ["1: cells"]),
    ],
)
def test_a_planted_word_is_found(text, expected):
    assert offences(text) == expected


@pytest.mark.parametrize(
    "text", ['F.cross_entropy(x, y, reduction="sum")\n', "os.uname().nodename\n", "cancelled = options + anode\n"]
)
def test_other_meanings_are_not(text):
    assert offences(text) == []


@pytest.mark.parametrize("harmless", OTHER_MEANINGS)
def test_every_other_meaning_is_still_needed(harmless):
    assert any(harmless in path.read_text() for path in FILES)


def test_the_search_sees_the_files():
    assert len(FILES) > 50
    assert offences((PACKAGE / "spaces/micro/arc.py").read_text())
