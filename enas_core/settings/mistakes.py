"""How the mistakes that pydantic has found become one line each: file, key, value, what is allowed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from enas_core.console import UserError, shown
from enas_core.settings.arcs import TAGS, Transfer
from enas_core.settings.experiment import Experiment

MOST_CHARACTERS = 1000
"""A longer line is cut."""
NOT_IN_KEYS = {"[key]", *TAGS}
"""What pydantic puts into the place of a mistake for reasons of its own."""

Mistake = Mapping[str, Any]
"""One entry of `ValidationError.errors()`."""


def one_line(text: str) -> str:
    """`text` without line breaks and runs of spaces, cut where it is very long."""
    line = " ".join(text.split())
    return line if len(line) <= MOST_CHARACTERS else f"{line[: MOST_CHARACTERS - 3]}..."


def explain(where: str, keys: Any, error: ValidationError) -> list[str]:
    """One line for each mistake in a file called `where`.

    `keys` says which keys there are: a model, or a mapping of names to such."""
    lines = []
    # Unknown keys come first: misspelt, one may be the one that is missing.
    for mistake in sorted(error.errors(include_url=False), key=lambda found: found["type"] != "extra_forbidden"):
        key = ".".join(str(part) for part in mistake["loc"] if part not in NOT_IN_KEYS)
        place = f"{where}: {key}" if key else where
        lines += [one_line(place + problem) for problem in _problems(keys, mistake, key)]
    return lines


def first_mistake(error: ValidationError) -> str:
    """Key and problem of the first mistake, for a caller that adds where it is."""
    first = error.errors(include_url=False)[0]
    key = ".".join(map(str, first["loc"]))
    return f"{key}: {message_of(first)}"


def message_of(mistake: Mistake) -> str:
    """What is allowed, in the words of this project."""
    return str(mistake["msg"]).replace("Input should be", "allowed is")


def _problems(keys: Any, mistake: Mistake, key: str) -> list[str]:
    """What is wrong at `key`. A check of a whole section may find several things."""
    match mistake["type"]:
        case "extra_forbidden":
            return [f": unknown key; allowed: {', '.join(_allowed_keys(keys, mistake['loc'][:-1]))}"]
        case "missing":
            return [": missing"]
        case "value_error":
            error = mistake["ctx"]["error"]
            messages = error.lines if isinstance(error, UserError) else [str(error)]
            # A check of a whole section says itself which key below the section it is about.
            return [f".{line}" if key and re.match(r"[\w.-]+: ", line) else f": {line}" for line in messages]
        case _:
            return [f": {shown(mistake['input'])}: {message_of(mistake)}"]


def _allowed_keys(keys: Any, place: Sequence[int | str]) -> list[str]:
    """The keys that are allowed at a place below `keys`."""
    for part in place:
        if isinstance(keys, Mapping):
            keys = keys[part]
        elif _is_model(keys):
            keys = keys.model_fields[str(part)].annotation if part in keys.model_fields else keys
        elif part == "[transfer]":
            keys = Transfer
        else:
            keys = get_args(keys)[-1] if get_args(keys) else keys
    if isinstance(keys, Mapping):
        return list(keys)
    if not _is_model(keys):
        return []
    extra = ["extends"] if issubclass(keys, Experiment) else []
    return [field.alias or name for name, field in keys.model_fields.items()] + extra


def _is_model(keys: Any) -> bool:
    return isinstance(keys, type) and issubclass(keys, BaseModel)
