"""config.yaml as plain values, before anything in it is checked.

What Snakemake does with the file, which it reads before any of this project's code, is Snakemake's.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from enas_core.console import UserError
from enas_core.files.reading import read_text
from enas_core.settings.mistakes import one_line

MOST_VALUES = 1_000_000
"""A file of the permitted length cannot hold more without aliases."""


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice in a mapping, of which plain YAML takes the last."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        mapping = super().compose_mapping_node(anchor)
        names = Counter(key.value for key, _ in mapping.value if isinstance(key, yaml.ScalarNode))
        twice = [name for name, count in names.items() if count > 1]
        if twice:
            raise ValueError(f"{twice[0]!r} is there twice in what begins in line {mapping.start_mark.line + 1}")
        return mapping


def read_yaml(path: Path) -> Any:
    """Content of config.yaml, not validated. Raises UserError, one line, when it is not such a file."""
    try:
        text = read_text(path)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text file") from None
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            return None
        values = _count_values(root, {})
        if values <= MOST_VALUES:
            return loader.construct_document(root)
    except RecursionError:
        raise UserError(f"{path}: sections are nested too deeply") from None
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(one_line(f"{path}: not valid YAML: {error}")) from None
    raise UserError(f"{path}: stands for more than {MOST_VALUES} values, by aliases of aliases")


def _count_values(part: yaml.Node, known: dict[int, int | None]) -> int:
    """How many values a part of a YAML file stands for, those behind aliases counted each time. `known`: those of the
    parts that were counted before, None while a part is being counted."""
    if isinstance(part, yaml.ScalarNode):
        return 1
    if id(part) not in known:
        known[id(part)] = None
        children = [child for item in part.value for child in (item if isinstance(item, tuple) else (item,))]
        known[id(part)] = 1 + sum(_count_values(child, known) for child in children)
    count = known[id(part)]
    if count is None:
        raise ValueError(f"what begins in line {part.start_mark.line + 1} contains itself")
    return count
