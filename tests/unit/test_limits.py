"""Limits on the size of networks: which arcs keep to them, and the random arcs that are drawn within them."""

import itertools

import pytest

from enas_core import random_arcs
from enas_core.console import UserError
from enas_core.data.prepare import prepare
from enas_core.files.tables import read_table
from enas_core.settings.stages import stage_settings, to_json
from enas_core.settings.workflow import parse_workflow
from enas_core.spaces.limits import MAX_REFUSED, ArcLimits
from enas_core.spaces.measure import arc_size
from enas_core.spaces.micro.settings import MicroSettings
from enas_core.spaces.micro.space import Micro
from enas_core.spaces.space import NetworkShape

SPACE = Micro(MicroSettings(num_nodes=2))
SHAPE = NetworkShape(num_layers=1, num_filters=4, image_size=8, in_channels=1, num_classes=10, aux_head=False)
ARCS = [SPACE.uniform(seed) for seed in range(20)]
SIZES = [arc_size(SPACE, arc, SHAPE) for arc in ARCS]
MIDDLE = sorted(size.macs for size in SIZES)[9]


def test_arcs_of_smaller_networks_are_allowed():
    limits = ArcLimits(SPACE, SHAPE, max_params=None, max_macs=MIDDLE)
    allowed = [limits.allow(arc) for arc in ARCS]
    assert allowed == [size.macs <= MIDDLE for size in SIZES]
    assert 0 < sum(allowed) < 20
    assert {arc: limits.sizes[arc] for arc in ARCS} == dict(zip(ARCS, SIZES, strict=True))


def test_both_limits_hold():
    params = sorted(size.params for size in SIZES)[9]
    limits = ArcLimits(SPACE, SHAPE, params, MIDDLE)
    assert [limits.allow(arc) for arc in ARCS] == [s.params <= params and s.macs <= MIDDLE for s in SIZES]


def test_the_first_ones_come_in_their_order():
    limits = ArcLimits(SPACE, SHAPE, None, MIDDLE)
    kept = [arc for arc, size in zip(ARCS, SIZES, strict=True) if size.macs <= MIDDLE]
    assert limits.first(len(kept), ARCS) == kept
    assert limits.first(2, ARCS) == kept[:2]


def test_too_few_are_one_line_with_the_smallest_and_the_median_cost():
    limits = ArcLimits(SPACE, SHAPE, None, 1)
    with pytest.raises(UserError) as caught:
        limits.first(2, itertools.cycle(ARCS))
    macs = sorted(size.macs for size in SIZES)
    costs = f"max_macs is 1, the smallest has {macs[0]} macs and the median {macs[9]}"
    assert str(caught.value) == f"select.limits: 0 of 20 arcs are small enough: {costs}; 2 random arcs are wanted"


def test_it_is_given_up_after_so_many_in_a_row():
    limits = ArcLimits(SPACE, SHAPE, None, MIDDLE)
    by_size = sorted(ARCS, key=lambda arc: arc_size(SPACE, arc, SHAPE).macs)
    small, large = by_size[0], by_size[-1]
    assert limits.first(2, [*[large] * (MAX_REFUSED - 1), small] * 2) == [small, small]
    with pytest.raises(UserError):
        limits.first(2, [small, *[large] * MAX_REFUSED, small])


# --- the stage ----------------------------------------------------------------------------------

EXPERIMENT = {
    "num_nodes": 2,
    "dataset": {"name": "digits", "source": "digits", "split_test_images": 60, "max_train_images": 200},
    "search": {"batch_size": 32, "num_layers": 1, "num_filters": 4, "aux_head": False, "valid_images": 60},
    "augment": {"batch_size": 32, "num_layers": 1, "num_filters": 4, "aux_head": False},
}


def settings_of(**limits):
    raw = EXPERIMENT | {"select": {"limits": limits}}
    experiment = parse_workflow({"experiments": {"a": raw}}).experiments["a"]
    return {stage: stage_settings("a", experiment, stage) for stage in ("prepare_data", "random_arcs", "select_arc")}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    prepare(settings_of()["prepare_data"], None, folder)
    return folder / "manifest.json"


def run(folder, settings, *options):
    (folder / "random_arcs.json").write_text(to_json(settings["random_arcs"]))
    return random_arcs.main(["--config", str(folder / "random_arcs.json"), *map(str, options)])


def table(folder, settings, count, manifest):
    out = folder / f"{count}.parquet"
    assert run(folder, settings, "--manifest", manifest, "--count", count, "--out", out) == 0
    return [row["arc"] for row in read_table(out, "random_arcs")]


def test_random_arcs_keep_to_the_limit_and_more_leave_the_first_ones_alone(tmp_path, manifest):
    settings = settings_of(max_macs=MIDDLE)
    arcs = table(tmp_path, settings, 12, manifest)
    assert arcs == [str(SPACE.uniform(seed)) for seed in range(100) if within(SPACE.uniform(seed))][:12]
    assert table(tmp_path, settings, 5, manifest) == arcs[:5]
    out = tmp_path / "arc.txt"
    assert run(tmp_path, settings, "--manifest", manifest, "--index", 7, "--arc-out", out) == 0
    assert out.read_text() == f"{arcs[7]}\n"


def within(arc):
    return arc_size(SPACE, arc, SHAPE).macs <= MIDDLE


def test_a_limit_that_leaves_all_changes_nothing(tmp_path, manifest):
    assert table(tmp_path, settings_of(max_params=10**9), 6, manifest) == [str(arc) for arc in ARCS[:6]]


def test_the_limit_needs_to_know_the_images(tmp_path, capsys):
    assert run(tmp_path, settings_of(max_macs=5), "--count", 1, "--out", tmp_path / "x.parquet") == 2
    assert "error: --manifest is needed: the settings limit the size" in capsys.readouterr().err


def test_without_limits_the_stages_settings_are_what_they_were():
    for stage, settings in settings_of().items():
        assert "size_limit" not in to_json(settings), stage
    written = settings_of(max_macs=5)["select_arc"].size_limit
    assert written.model_dump() == {
        "max_params": None,
        "max_macs": 5,
        "num_layers": 1,
        "num_filters": 4,
        "stem": "plain",
    }
