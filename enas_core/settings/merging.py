"""How raw entries of config.yaml are put on top of each other: `extends`, `baseline.from`, then presets."""

from __future__ import annotations

from typing import Any

from enas_core.console import UserError, shown


def merged(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    """`base` overridden by `top`, section by section. A null section overrides nothing."""
    result = dict(base)
    for key, value in top.items():
        inherited = result.get(key)
        if key == "arcs" and isinstance(inherited, dict):
            result[key] = _merged_arcs(inherited, value)
        elif isinstance(value, dict) and isinstance(inherited, dict):
            result[key] = merged(inherited, value)
        elif value is None and isinstance(inherited, dict):
            continue
        else:
            result[key] = value
    return result


def with_baseline(entries: dict[str, Any], name: str) -> dict[str, Any]:
    """The entry of `name`. Where its `baseline` is taken from another experiment, what it does not say itself of the
    random arcs is what that one says. Mistakes are left as they are, for the checks that follow."""
    entry = entries[name]
    own = entry.get("baseline")
    source = own.get("from") if isinstance(own, dict) else None
    there = entries[source].get("baseline") if isinstance(source, str) and source in entries else None
    if not isinstance(own, dict) or not isinstance(there, dict):
        return entry
    taken = {key: value for key, value in there.items() if key != "from"}
    return entry | {"baseline": taken | own}


def _merged_arcs(inherited: dict[str, Any], own: Any) -> Any:
    """Arcs by name; null removes the arc of that name, or all of them. A null that removes nothing is left as it is,
    and is the mistake that it was."""
    if own is None:
        return {} if inherited else None
    if not isinstance(own, dict):
        return own
    kept = {name: arc for name, arc in inherited.items() if not (name in own and own[name] is None)}
    added = {name: arc for name, arc in own.items() if arc is not None or name not in inherited}
    return kept | added


def inherited(experiments: dict[str, Any], name: str, seen: tuple[str, ...] = ()) -> dict[str, Any]:
    """The raw entry of `name` on top of those that it extends. Raises UserError for an entry that is not a mapping, or
    that extends what is not there or, in the end, itself."""
    raw = experiments[name]
    if not isinstance(raw, dict):
        raise UserError(f"experiments.{name}: {shown(raw)} is not a mapping of settings")
    if "extends" not in raw:
        return raw
    own = {key: value for key, value in raw.items() if key != "extends"}
    parent = raw["extends"]
    if not isinstance(parent, str) or parent not in experiments or parent in (*seen, name):
        others = sorted(str(other) for other in experiments if other not in (*seen, name))
        raise UserError(
            f"experiments.{name}.extends: {shown(parent)} is not another experiment;"
            f" allowed: {', '.join(others) or 'none'}"
        )
    return merged(inherited(experiments, parent, (*seen, name)), own)
