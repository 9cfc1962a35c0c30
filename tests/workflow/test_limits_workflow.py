"""`select.limits` in real runs: no selected and no random network is larger."""

from __future__ import annotations

import yaml
from workspace import TINY, Workspace

from enas_core.files.tables import read_table
from enas_core.settings.workflow import parse_workflow
from enas_core.spaces.limits import ArcLimits
from enas_core.spaces.measure import arc_size

METRICS = "results/tiny/metrics.parquet"


def limit_of_half() -> int:
    """Multiply-accumulates that about half of the random networks keep to."""
    tiny = parse_workflow(yaml.safe_load(TINY.read_text())).experiments["tiny"]
    space, shape = tiny.search_space, tiny.augment.shape(8, 1, 10)
    sizes = sorted(arc_size(space, space.uniform(seed), shape).macs for seed in range(40))
    return sizes[20]


def test_limits_hold_for_all_selected_and_random_networks(copy: Workspace) -> None:
    limit = limit_of_half()
    copy.edit(select__limits={"max_macs": limit}, select__compare=["random"], arcs={})
    ran = copy.make(METRICS, "results/tiny/report/front.svg")
    assert not {"prepare_data", "search"} & set(ran)
    metrics = read_table(copy.results / "tiny/metrics.parquet", "metrics")
    assert sorted(row["role"] for row in metrics) == ["random", "random", "searched", "strategy"]
    assert all(row["macs"] <= limit for row in metrics)

    # Every candidate that could have been selected keeps to it too.
    tiny = parse_workflow(yaml.safe_load(copy.config.read_text())).experiments["tiny"]
    limits = ArcLimits(tiny.search_space, tiny.augment.shape(8, 1, 10), None, limit)
    for folder in ("own", "strategies/random"):
        candidates = read_table(copy.results / f"tiny/search/s1/{folder}/candidates.parquet", "candidates")
        assert len(candidates) == 4
        assert all(limits.allow(tiny.search_space.parse(row["arc"])) for row in candidates)

    # More random arcs leave the first ones, and their networks, alone.
    copy.edit(baseline__num_arcs=3)
    ran = copy.make("-n", METRICS)
    assert sorted(ran) == ["augment", "compare", "random_arc", "random_arcs", "score_arcs"]
