"""JSON schema of config.yaml as it is written, for editors: `config.schema.json`, named in the file's first line.

In the file, an experiment may leave out whatever it inherits or has a default for, and may set an inherited section or
arc to null. Made from the models, so that it cannot say anything else; `python -m enas_core.config --schema` prints it.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from enas_core.settings.experiment import experiment_model
from enas_core.settings.workflow import Workflow
from enas_core.spaces import SPACES

DIALECT = "https://json-schema.org/draft/2020-12/schema"
EXTENDS = {
    "type": "string",
    "description": "Name of another experiment, whose settings are taken where this one sets nothing.",
}


NULL = {"type": "null"}


def schema() -> dict[str, Any]:
    """The schema as a Python object."""
    models: list[type[BaseModel]] = [experiment_model(space) for space in SPACES]
    everything: list[type[BaseModel]] = [Workflow, *models]
    references, shared = models_json_schema([(model, "validation") for model in everything])
    definitions = shared["$defs"]
    for definition in definitions.values():
        _allow_what_inheritance_allows(definition)

    experiments = [references[model, "validation"] for model in models]
    for reference in experiments:
        definition = _definition(reference, definitions)
        definition["properties"] = {"extends": EXTENDS, **definition["properties"]}
    workflow = _definition(references[Workflow, "validation"], definitions)
    workflow["required"] = ["experiments"]
    one_of = experiments[0] if len(experiments) == 1 else {"anyOf": experiments}
    _name_values(workflow["properties"]["experiments"], one_of)
    return {"$schema": DIALECT, "title": "config.yaml", **workflow, "$defs": _used(workflow, definitions)}


def _definition(reference: dict[str, str], definitions: dict[str, Any]) -> dict[str, Any]:
    return definitions[reference["$ref"].rpartition("/")[2]]


def _allow_what_inheritance_allows(definition: dict[str, Any]) -> None:
    """Nothing is required, since it may be inherited. A section may be null, which inherits it as it is; so may `arcs`
    and each of its entries, which removes what is inherited."""
    properties = definition.get("properties", {})
    if "from" in definition.get("required", ()):
        return
    definition.pop("required", None)
    for name, value in properties.items():
        if name == "arcs":
            (arc,) = value["patternProperties"].values()
            _name_values(value, {"anyOf": [*arc["oneOf"], NULL]})
            value["type"] = ["object", "null"]
        elif "$ref" in value:
            properties[name] = {"anyOf": [{"$ref": value["$ref"]}, NULL]}


def _name_values(mapping: dict[str, Any], value: dict[str, Any]) -> None:
    """Let a mapping from names have `value` behind each name, and nothing behind what is not a name."""
    (pattern,) = mapping["patternProperties"]
    mapping["patternProperties"] = {pattern: value}
    mapping["additionalProperties"] = False


def _used(start: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Those definitions that `start` refers to, directly or not."""
    found: dict[str, Any] = {}
    waiting = [start]
    while waiting:
        text = json.dumps(waiting.pop())
        for name, definition in definitions.items():
            if name not in found and f'"#/$defs/{name}"' in text:
                found[name] = definition
                waiting.append(definition)
    return dict(sorted(found.items()))


def schema_text() -> str:
    """The content of `config.schema.json`."""
    return json.dumps(schema(), indent=1) + "\n"
