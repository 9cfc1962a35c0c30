"""What every search space keeps to: the same tests for the one of the project and for a toy space of 100 lines."""

import pickle
import xml.etree.ElementTree as ET
from dataclasses import replace

import chain
import numpy as np
import pytest
import torch

from enas_core import spaces
from enas_core.console import UserError
from enas_core.fields import Section
from enas_core.spaces.exported import export_network
from enas_core.spaces.layers import BatchNorm, initialise
from enas_core.spaces.measure import arc_size, child_size, count_parameters
from enas_core.spaces.saved import load_network, load_supernet, load_untrained, save_network, save_supernet
from enas_core.spaces.space import NetworkShape

SHAPE = NetworkShape(num_layers=1, num_filters=4, image_size=8, in_channels=1, num_classes=3, aux_head=False)
NAMES = [*spaces.SPACES, "chain"]
SEEDS = range(20)
FACTS = {"classes": ["a", "b", "c"], "mean": [0.5], "std": [0.25], "experiment": "tiny", "test_accuracy": 0.5}


@pytest.fixture(params=NAMES)
def space_class(request, monkeypatch):
    """Each space, as the project finds it by its name."""
    monkeypatch.setitem(spaces.SPACES, "chain", f"{chain.__name__}:Chain")
    return spaces.space_class(request.param)


@pytest.fixture
def space(space_class):
    return space_class(space_class.Settings())


@pytest.fixture
def small(space_class):
    """With a small value of its first setting, for networks that are built quickly."""
    return space_class(space_class.Settings(**{first_setting(space_class): 2}))


def first_setting(space_class):
    """A number of something: nodes, links."""
    return next(iter(space_class.Settings.model_fields))


def arcs(space):
    return [space.uniform(seed) for seed in SEEDS]


def images(count=4, shape=SHAPE):
    size = shape.image_size
    return torch.randn(count, shape.in_channels, size, size, generator=torch.Generator().manual_seed(0))


# --- arcs ---------------------------------------------------------------------------------------


def test_it_is_found_by_its_name(space_class):
    assert spaces.space_class(space_class.name) is space_class


def test_unknown_names_are_refused():
    with pytest.raises(UserError, match=r"^space: 'nano'; allowed: micro$"):
        spaces.space_class("nano")


def test_spaces_are_equal_when_their_settings_are(space_class):
    one, other = (space_class(space_class.Settings()) for _ in range(2))
    assert one == other
    assert len({one, other}) == 1
    assert one != space_class(space_class.Settings(**{first_setting(space_class): 1}))


def test_text_and_back(space_class, space):
    for arc in arcs(space):
        assert space.parse(str(arc)) == arc
        assert space.parse(f"  {arc} \n") == arc
        assert str(arc).isascii()
        other_space, again = space_class.of_text(str(arc))
        assert (type(other_space), again, other_space.decisions) == (space_class, arc, space.decisions)


def test_choices_and_back(space):
    for arc in arcs(space):
        choices = space.choices(arc)
        assert space.from_choices(choices) == arc
        assert len(choices) == len(space.decisions)
        assert all(0 <= choice < choices for choice, (_, choices) in zip(choices, space.decisions, strict=True))
    assert len({decision.name for decision in space.decisions}) == len(space.decisions)


def test_every_choice_makes_another_arc_and_none_is_out_of_range(space):
    start = [0] * len(space.decisions)
    found = {space.from_choices(start)}
    for position, (_, choices) in enumerate(space.decisions):
        changed = [[*start[:position], choice, *start[position + 1 :]] for choice in range(-1, choices + 1)]
        found |= {space.from_choices(each) for each in changed[1:-1]}
        for wrong in (changed[0], changed[-1]):
            with pytest.raises(ValueError) as caught:  # noqa: PT011  # but not a UserError, which is for texts
                space.from_choices(wrong)
            assert not isinstance(caught.value, UserError)
    assert len(found) == 1 + sum(choices - 1 for _, choices in space.decisions)
    with pytest.raises(ValueError):  # noqa: PT011
        space.from_choices(start[1:])


@pytest.mark.parametrize("wrong", ["", "x", "-1", "0 0", "9" * 30])
def test_wrong_texts_are_one_line(space_class, space, wrong):
    for parse in (space.parse, space_class.of_text):
        with pytest.raises(UserError) as caught:
            parse(wrong if wrong != "0 0" or parse == space.parse else "x")
        assert len(str(caught.value).splitlines()) == 1


def test_files(space, tmp_path):
    arc, path = space.uniform(0), tmp_path / "arc.txt"
    path.write_text(f"{arc}\n")
    assert space.read(path) == arc
    path.write_text("no arc")
    binary = tmp_path / "binary.txt"
    binary.write_bytes(b"\xff\xfe")
    for wrong in (path, binary, tmp_path / "missing.txt", tmp_path):
        with pytest.raises(UserError, match=rf"^{wrong}: ") as caught:
            space.read(wrong)
        assert len(str(caught.value).splitlines()) == 1


def test_arcs_are_values(space):
    arc, again = (space.uniform(0) for _ in range(2))
    assert (arc == again, hash(arc) == hash(again), str(arc) == str(again)) == (True, True, True)
    assert pickle.loads(pickle.dumps(arc)) == arc
    assert len({*arcs(space), *arcs(space)}) == len({str(arc) for arc in arcs(space)})


def test_samplers_give_the_same_arc_for_the_same_seed(space):
    assert "uniform" in space.samplers
    for name, draw in space.samplers.items():
        drawn = space.baseline(name, seed=3, count=4)
        assert drawn == [draw(seed) for seed in (3, 4, 5, 6)]
        assert space.baseline(name, seed=3, count=6)[:4] == drawn
        assert all(space.parse(str(arc)) == arc for arc in drawn)


def test_uniform_takes_every_choice(space):
    seen = [set() for _ in space.decisions]
    for seed in range(200):
        for values, choice in zip(seen, space.choices(space.uniform(seed)), strict=True):
            values.add(choice)
    assert [len(values) for values in seen] == [choices for _, choices in space.decisions]


def test_pictures_are_deterministic(space):
    for arc in arcs(space)[:3]:
        picture = space.draw(arc)
        assert picture == space.draw(space.parse(str(arc)))
        assert ET.fromstring(picture).tag.endswith("svg")
    assert space.draw(space.uniform(0)) != space.draw(space.uniform(1))


def test_forms_are_text(space):
    assert all(isinstance(text, str) and text for text in space.forms(space.uniform(0)).values())


# --- settings -----------------------------------------------------------------------------------


def test_presets_say_settings_where_they_stand(space_class):
    """Each preset, put into the fields by their sections, is valid."""
    assert set(space_class.presets) == {"original", "corrected"}
    sections = {}
    for name, field in space_class.Settings.model_fields.items():
        sections[name] = next((item.name.split(".") for item in field.metadata if isinstance(item, Section)), [])
        assert field.description, name
    for preset in space_class.presets.values():
        found = {}
        for name, section in sections.items():
            values = preset
            for key in section:
                values = values.get(key, {})
            if name in values:
                found[name] = values[name]
        space_class.Settings(**found)
        assert len(found) == number_of_values(preset)


def number_of_values(preset):
    return sum(number_of_values(value) if isinstance(value, dict) else 1 for value in preset.values())


# --- networks -----------------------------------------------------------------------------------


def built(space, kind, arc, shape=SHAPE):
    """An initialised network, and what its calls need besides the images."""
    network = space.network(arc, shape) if kind == "network" else space.supernet(shape)
    initialise(network, "exact", torch.Generator().manual_seed(0))
    return network, () if kind == "network" else (arc,)


@pytest.mark.parametrize("kind", ["network", "supernet"])
def test_calls_in_both_modes(small, kind):
    for seed in range(3):
        network, arc = built(small, kind, small.uniform(seed))
        assert (network.space, network.shape) == (small.name, SHAPE)
        drop_path = torch.ones(4, network.depth, network.paths)
        dropout = torch.ones(4, network.num_features)
        logits, aux_logits = network(images(), *arc)
        assert (logits.shape, aux_logits) == ((4, 3), None)
        assert torch.equal(network(images(), *arc, drop_path, dropout)[0], logits)
        assert not torch.equal(network(images(), *arc, drop_path, 2 * dropout)[0], logits)
        logits.sum().backward()
        network.eval()
        assert network(images(), *arc).shape == (4, 3)
        assert network.fc.weight.grad is not None


@pytest.mark.parametrize("kind", ["network", "supernet"])
def test_a_dropped_path_matters_somewhere(small, kind):
    network, arc = built(small, kind, small.uniform(0))
    ones = torch.ones(4, network.depth, network.paths)
    logits, _ = network(images(), *arc, ones)
    changed = 0
    for layer in range(network.depth):
        for path in range(network.paths):
            factors = ones.clone()
            factors[:, layer, path] = 0
            changed += not torch.equal(network(images(), *arc, factors)[0], logits)
    assert changed > 0


def test_a_child_does_not_depend_on_others(small):
    supernet, _ = built(small, "supernet", None)
    first = [supernet(images(), arc)[0] for arc in arcs(small)[:3]]
    again = [supernet(images(), arc)[0] for arc in reversed(arcs(small)[:3])]
    assert all(map(torch.equal, first, reversed(again)))


def test_moving_statistics_move_in_training_only(small):
    network, _ = built(small, "network", small.uniform(0))
    norms = [module for module in network.modules() if isinstance(module, BatchNorm) and module.tracking]
    assert norms
    network(images())
    moved = [norm.running_mean.clone() for norm in norms]
    assert network.num_updates == 1
    assert all(mean.any() for mean in moved)
    network.eval()(images())
    assert network.num_updates == 1
    assert all(map(torch.equal, moved, (norm.running_mean for norm in norms)))


def test_compiled_blocks_are_there(small):
    supernet = small.supernet(replace(SHAPE, num_layers=3))
    for kind in supernet.compiled_blocks:
        assert any(isinstance(module, kind) for module in supernet.modules())


# --- sizes --------------------------------------------------------------------------------------


def test_sizes_are_those_of_the_networks(small):
    for arc in arcs(small)[:3]:
        size = arc_size(small, arc, SHAPE)
        network = small.network(arc, SHAPE)
        assert (size.params, size.aux_params) == (count_parameters(network), 0)
        assert size.macs > 0
        wider = arc_size(small, arc, replace(SHAPE, num_filters=8))
        assert (wider.params > size.params, wider.macs > size.macs) == (True, True)


def test_sizes_of_children(small):
    """What a child uses is what gets a gradient."""
    supernet = small.supernet(SHAPE)
    with torch.device("meta"):
        measured = small.supernet(SHAPE)
    for arc in arcs(small)[:3]:
        supernet.zero_grad(set_to_none=True)
        supernet(images(), arc)[0].square().sum().backward()
        size = child_size(measured, arc)
        assert size.params == sum(p.numel() for p in supernet.parameters() if p.grad is not None)
        assert 0 < size.params <= count_parameters(supernet)
        assert size.macs > 0


# --- which images -------------------------------------------------------------------------------


def test_the_smallest_images_are_enough_and_smaller_ones_are_refused(small):
    for shape in (SHAPE, replace(SHAPE, aux_head=True)):
        smallest = replace(shape, image_size=small.smallest_image(shape))
        fewest = small.smallest_batch(smallest)
        for kind in ("network", "supernet"):
            network, arc = built(small, kind, small.uniform(0), smallest)
            network(images(fewest, smallest), *arc)
        small.check_images(smallest, images=100, batch_size=fewest + 1 if 100 % (fewest + 1) >= fewest else fewest)
        if smallest.image_size > 1:
            with pytest.raises(UserError, match=rf"^aux_head: true needs images of at least {smallest.image_size}x"):
                small.check_images(replace(smallest, image_size=smallest.image_size - 1), images=100, batch_size=10)


@pytest.mark.parametrize("aux_head", [False, True])
@pytest.mark.parametrize("stem", ["plain", "strided"])
def test_a_last_batch_of_one_image_is_refused_where_it_fails(small, aux_head, stem):
    for size in (1, 4, 5, 20, 28, 29, 33, 65):
        shape = replace(SHAPE, image_size=size, aux_head=aux_head, stem=stem)
        if size < small.smallest_image(shape):
            continue
        for kind in ("network", "supernet"):
            network, arc = built(small, kind, small.uniform(0), shape)
            if small.smallest_batch(shape) > 1:
                with pytest.raises(ValueError, match="more than 1 value"):
                    network(images(1, shape), *arc)
                with pytest.raises(UserError, match=r"^batch_size: 10 leaves one of 101 training images"):
                    small.check_images(shape, images=101, batch_size=10)
            else:
                network(images(1, shape), *arc)
                small.check_images(shape, images=101, batch_size=10)
            small.check_images(shape, images=102, batch_size=10)


# --- files --------------------------------------------------------------------------------------


def test_networks_come_back_from_their_file(small, tmp_path):
    network, _ = built(small, "network", small.uniform(0))
    network(images())
    path = tmp_path / "model.pt"
    save_network(path, network, FACTS)
    loaded = load_network(path)
    assert (type(loaded), loaded.arc, loaded.shape) == (type(network), network.arc, SHAPE)
    assert torch.equal(loaded(images()), network.eval()(images()))
    assert torch.load(path, weights_only=True)["space"] == small.name
    assert next(load_untrained(path).parameters()).is_meta


def test_networks_are_written_for_other_runtimes(small, tmp_path):
    network, _ = built(small, "network", small.uniform(0))
    network(images())
    save_network(tmp_path / "model.pt", network, FACTS)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)
    assert export_network(load_network(tmp_path / "model.pt"), tmp_path / "model.pt2", "torch", "uint8", pixels) < 1e-4
    assert (tmp_path / "model.pt2").is_file()


def test_supernets_come_back_from_their_file(small, tmp_path):
    arc, path = small.uniform(0), tmp_path / "supernet.pt"
    supernet, _ = built(small, "supernet", arc)
    save_supernet(path, supernet, {"weight": torch.ones(2)})
    other = small.supernet(SHAPE)
    assert load_supernet(path, other)["weight"].tolist() == [1, 1]
    assert torch.equal(other(images(), arc)[0], supernet(images(), arc)[0])
