"""Settings: the one source of names, defaults, bounds and units.

`config.yaml` holds experiments on top of the defaults below. Values are taken, in this order of
precedence, from the experiment itself, from the experiment that it `extends`, from its preset,
and from the defaults, which are those of the original program (preset `original`).

Each stage sees only the settings that it depends on (`stage_settings`), so that editing one
section re-runs only the stages that read it.
"""

from __future__ import annotations

import re
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from enas_core.settings.experiment import Experiment, Transfer


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _explain(where: str, model: type[BaseModel], error: ValidationError) -> str:
    """One line for the first mistake: file, key, value, what is allowed."""
    mistakes = error.errors(include_url=False)
    # an unknown key comes first: misspelt, it may be the one that is missing
    first = min(mistakes, key=lambda mistake: mistake["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in first["loc"] if part not in ("[key]", "[text]", "[transfer]"))
    more = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
    if first["type"] == "extra_forbidden":
        problem = f": unknown key; allowed: {', '.join(_model_at(model, first['loc'][:-1]))}"
    elif first["type"] == "missing":
        problem = ": missing"
    elif first["type"] == "value_error":
        message = str(first["ctx"]["error"])
        problem = f".{message}" if key and re.match(r"[\w.-]+: ", message) else f": {message}"
    else:
        shown = repr(first["input"])
        message = first["msg"].replace("Input should be", "allowed is")
        problem = f": {shown if len(shown) <= 80 else shown[:77] + '...'}: {message}"
    return _one_line((f"{where}: {key}" if key else where) + problem + more)


def _model_at(model: Any, location: tuple[int | str, ...]) -> list[str]:
    """The allowed keys at `location` of `model`."""
    for part in location:
        if isinstance(model, type) and issubclass(model, BaseModel):
            model = model.model_fields[str(part)].annotation if part in model.model_fields else model
        elif part == "[transfer]":
            model = Transfer
        else:
            model = get_args(model)[-1] if get_args(model) else model
    fields = model.model_fields if isinstance(model, type) and issubclass(model, BaseModel) else {}
    extra = ["extends"] if model is Experiment else []
    return [field.alias or name for name, field in fields.items()] + extra
