"""Settings that came after version 0.1.0 are recorded in `later.json`: their version, and the default they keep."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic_core import to_jsonable_python

from enas_core.fields import LATER, Settings
from enas_core.settings.stages import STAGES
from enas_core.spaces import SPACES, space_class

RECORD = Path(__file__).with_name("later.json")


def models_in(annotation: Any) -> Iterator[type[Settings]]:
    """The models of settings that an annotation names, and those that their fields name."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        yield annotation
        for field in annotation.model_fields.values():
            yield from models_in(field.annotation)
    for part in get_args(annotation):
        yield from models_in(part)


def owner(model: type[Settings], name: str) -> str:
    """The name of the model from which `model` has a field with this default."""
    default = model.model_fields[name].default
    bases = [base for base in model.__mro__ if issubclass(base, Settings) and name in base.model_fields]
    return [base.__name__ for base in bases if base.model_fields[name].default == default][-1]


def later_settings() -> dict[str, Any]:
    """The default of each setting that is marked."""
    tops = [*STAGES.values(), *(space_class(name).Settings for name in SPACES)]
    return {
        f"{owner(model, name)}.{name}": to_jsonable_python(field.default)
        for top in tops
        for model in models_in(top)
        for name, field in model.model_fields.items()
        if LATER in field.metadata
    }


def test_their_defaults_are_those_that_are_recorded() -> None:
    """A new one is added to `later.json` under the version in which it appears. A line there is never changed: settings
    without the key have meant this value since then."""
    versions = json.loads(RECORD.read_text())
    assert later_settings() == {name: default for added in versions.values() for name, default in added.items()}


def test_they_are_found() -> None:
    assert later_settings()["Stage.revision"] == 1
