"""`select` in config.yaml: choice of one arc after the search."""

from __future__ import annotations

from enas_core.fields import Count, Settings


class Select(Settings):
    """Choice of one arc after the search."""

    num_candidates: Count = 100
    """Distinct arcs that the search's policy proposes and that are scored on the validation images."""
