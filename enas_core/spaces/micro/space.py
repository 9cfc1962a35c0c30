"""The micro space as the rest of the project sees it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from enas_core.console import UserError
from enas_core.spaces.micro import drawing
from enas_core.spaces.micro.arc import MicroArc, decisions
from enas_core.spaces.micro.genotype import is_genotype, parse_genotype
from enas_core.spaces.micro.sampling import REFERENCE_NODES, reference_arc
from enas_core.spaces.micro.settings import PRESETS, MicroSettings
from enas_core.spaces.micro.stem import halved, stem_maps
from enas_core.spaces.space import Arc, Decision, NetworkShape, SearchSpace, pooled_by_aux_head

if TYPE_CHECKING:
    from enas_core.spaces.micro.network import MicroNetwork
    from enas_core.spaces.micro.supernet import MicroSupernet


class Micro(SearchSpace):
    """Cells of `num_nodes` nodes, a normal and a reduction one."""

    name = "micro"
    Settings = MicroSettings
    presets = PRESETS
    settings: MicroSettings

    # --- arcs

    @property
    def decisions(self) -> Sequence[Decision]:
        """Index and operation, twice a node: first those of the normal cell."""
        return decisions(self.settings.num_nodes)

    def from_choices(self, choices: Sequence[int]) -> MicroArc:
        """The integers of an arc are its choices."""
        if len(choices) != len(self.decisions):
            raise ValueError(f"an arc is made by {len(self.decisions)} choices, got {len(choices)}")
        return MicroArc.from_integers(choices)

    def choices(self, arc: Arc) -> tuple[int, ...]:
        """The integers of an arc are its choices."""
        assert isinstance(arc, MicroArc)
        return tuple(arc.integers())

    def parse(self, text: str) -> MicroArc:
        """The integers, in the order of `decisions`."""
        return MicroArc.parse(text, self.settings.num_nodes)

    @classmethod
    def of_text(cls, text: str) -> tuple[Micro, MicroArc]:
        """The arc, which may be written as a genotype, says how many nodes it has."""
        arc = parse_genotype(text) if is_genotype(text) else MicroArc.parse(text)
        return cls(MicroSettings(num_nodes=arc.num_nodes)), arc

    @property
    def samplers(self) -> Mapping[str, Callable[[int], Arc]]:
        """`uniform`, and `reference`, the generator of Yang et al. 2020."""
        reference = functools.partial(reference_arc, num_nodes=self.settings.num_nodes)
        return {**super().samplers, "reference": reference}

    def check_sampler(self, name: str) -> None:
        """`reference` makes arcs of one size only."""
        super().check_sampler(name)
        num_nodes = self.settings.num_nodes
        if name == "reference" and num_nodes != REFERENCE_NODES:
            raise UserError(f"'reference' makes arcs of {REFERENCE_NODES} nodes, num_nodes is {num_nodes}")

    def forms(self, arc: Arc) -> Mapping[str, str]:
        """As a genotype of DARTS, and as JSON."""
        assert isinstance(arc, MicroArc)
        return {"genotype": arc.genotype(), "json": arc.to_json()}

    def draw(self, arc: Arc, notes: Sequence[str] = ()) -> str:
        """Both cells."""
        assert isinstance(arc, MicroArc)
        return drawing.draw(arc, notes)

    # --- networks

    def supernet(self, shape: NetworkShape) -> MicroSupernet:
        """See `MicroSupernet`."""
        from enas_core.spaces.micro.supernet import MicroSupernet

        return MicroSupernet(shape, self.settings.num_nodes, self.settings.reduction_inputs)

    def network(self, arc: Arc, shape: NetworkShape, bn_zero_debias: bool = False) -> MicroNetwork:
        """See `MicroNetwork`."""
        from enas_core.spaces.micro.network import MicroNetwork

        assert isinstance(arc, MicroArc)
        return MicroNetwork(arc, shape, bn_zero_debias)

    def smallest_map(self, shape: NetworkShape) -> int:
        """That of the last layers, or what the auxiliary head's pooling makes of it."""
        size = stem_maps(shape)[1].size
        for _ in range(2):
            size = halved(size)
        return pooled_by_aux_head(size) if shape.aux_head else size
