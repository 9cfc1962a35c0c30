"""Arcs of trained networks: as a picture, and what there is to say of them."""

from __future__ import annotations

from enas_core.analysis.results import Row
from enas_core.pages.numbers import percent, shown
from enas_core.spaces import space_class


def about_network(row: Row) -> str:
    """A training in one line: the network's name, accuracies and size."""
    facts = [f"test accuracy {percent(row['test_accuracy'])}"]
    if row["shared_accuracy"] is not None:
        facts.append(f"shared accuracy {percent(row['shared_accuracy'])}")
    if row["params"] is not None:
        facts.append(f"{shown(row['params'])} parameters")
    return f"{row['network']}: {', '.join(facts)}"


def draw_arc(row: Row, with_notes: bool = False) -> str:
    """SVG of a training's arc; `with_notes`: it says itself what it shows."""
    space, arc = space_class(row["space"]).of_text(row["arc"])
    return space.draw(arc, [about_network(row), f"arc {arc}"] if with_notes else [])
