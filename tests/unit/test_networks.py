"""Both networks in every shape that a user can ask for. Their numbers are the parity tests' matter."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from some_networks import FACTS, arc_of_op, filled, images_of, network_of, seeded, supernet_of
from torch.utils.flop_counter import FlopCounterMode

from enas_core.spaces.layers import StridedStem
from enas_core.spaces.measure import count_macs, count_parameters
from enas_core.spaces.micro.arc import OPS, MicroArc, loose_ids
from enas_core.spaces.micro.cell import reduction_layers
from enas_core.spaces.micro.network import MicroNetwork
from enas_core.spaces.micro.sampling import uniform_arc
from enas_core.spaces.micro.supernet import MicroSupernet
from enas_core.spaces.saved import load_network, save_network
from enas_core.spaces.space import NetworkShape

SIZES = [8, 9, 11, 13, 17]


# --- shapes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_layers", range(1, 8))
def test_two_layers_reduce(num_layers):
    first, second = reduction_layers(num_layers)
    assert 0 <= first < second < num_layers + 2
    assert reduction_layers(6) == (2, 5)
    assert reduction_layers(15) == (5, 11)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("op", range(len(OPS)), ids=OPS)
def test_every_operation_at_every_image_size(size, op):
    arc = arc_of_op(op)
    images = images_of(2, size, 3)
    logits, aux = network_of(arc, image_size=size, in_channels=3, num_layers=3)(images)
    assert logits.shape == (2, 3)
    assert logits.isfinite().all()
    assert aux is None
    logits, _ = supernet_of(2, image_size=size, in_channels=3, num_layers=3)(images, arc)
    assert logits.shape == (2, 3)
    assert logits.isfinite().all()


@pytest.mark.parametrize("size", [20, 21, 27, 32, 40])
def test_the_auxiliary_head_at_every_size_that_it_allows(size):
    arc, images = uniform_arc(0, 2), images_of(2, size)
    for network in (
        network_of(arc, image_size=size, aux_head=True),
        supernet_of(2, image_size=size, aux_head=True),
    ):
        arguments = () if isinstance(network, MicroNetwork) else (arc,)
        logits, aux = network(images, *arguments)
        assert aux.shape == logits.shape == (2, 3)
        network.eval()
        assert network(images, *arguments).shape == (2, 3)


@pytest.mark.parametrize("size", [1, 2, 8, 15, 19, 32, 65])
@pytest.mark.parametrize("stem", ["plain", "strided"])
def test_the_auxiliary_head_fits_any_size(size, stem):
    arc, images = uniform_arc(0, 2), images_of(2, size)
    shape = {"image_size": size, "aux_head": True, "stem": stem}
    for network, arguments in ((network_of(arc, **shape), ()), (supernet_of(2, **shape), (arc,))):
        logits, aux = network(images, *arguments)
        assert aux.shape == logits.shape == (2, 3)
        assert aux.isfinite().all()


@pytest.mark.parametrize("size", [8, 33, 63, 64, 65, 71])
@pytest.mark.parametrize("num_layers", range(1, 7))
@pytest.mark.parametrize("reduction_inputs", ["previous", "both"])
def test_a_strided_stem_makes_maps_eight_times_smaller(size, num_layers, reduction_inputs):
    shape = {"image_size": size, "num_layers": num_layers, "stem": "strided"}
    seen = []
    for arc in (uniform_arc(num_layers, 2), arc_of_op(0)):
        images = images_of(2, size)
        network, supernet = network_of(arc, **shape), supernet_of(2, reduction_inputs, **shape)
        for cells in (network.cells, supernet.cells):
            cells[0].register_forward_pre_hook(lambda _, inputs: seen.append([x.shape[2] for x in inputs[:2]]))
        assert network(images)[0].shape == supernet(images, arc)[0].shape == (2, 3)
        assert network(images)[0].isfinite().all()
    assert seen[0] == [-(-size // 4), -(-size // 8)]


def test_a_strided_stem_is_three_convolutions_with_batch_norm():
    stem = filled(StridedStem(3, 4, tracking=False))
    images = images_of(2, 9, 3)
    older, newer = stem(images)
    x = images
    for i, size in enumerate((5, 3, 2)):
        # At a stride of 2 "SAME" pads an odd side on both ends, and an even one behind it.
        x = torch.nn.functional.pad(x, (1, 1, 1, 1) if x.shape[2] % 2 else (0, 1, 0, 1))
        x = torch.nn.functional.conv2d(x, stem.convs[i].weight, stride=2)
        x = torch.nn.functional.batch_norm(x, None, None, stem.norms[i].weight, stem.norms[i].bias, True)
        assert x.shape[2] == size
        if i == 1:
            torch.testing.assert_close(older, x)
        if i == 2:
            torch.testing.assert_close(newer, x)
        x = x.relu()
    assert [tuple(conv.weight.shape) for conv in stem.convs] == [(2, 3, 3, 3), (4, 2, 3, 3), (4, 4, 3, 3)]


def test_the_stem_is_kept_in_a_network_s_file(tmp_path):
    network = network_of(uniform_arc(3, 2), image_size=40, stem="strided")
    network(images_of(4, 40))
    save_network(tmp_path / "model.pt", network, FACTS)
    loaded = load_network(tmp_path / "model.pt")
    assert loaded.shape.stem == "strided"
    assert torch.equal(loaded(images_of(3, 40)), network.eval()(images_of(3, 40)))


@pytest.mark.parametrize("num_nodes", range(1, 8))
@pytest.mark.parametrize("reduction_inputs", ["previous", "both"])
def test_any_number_of_nodes(num_nodes, reduction_inputs):
    supernet = supernet_of(num_nodes, reduction_inputs=reduction_inputs)
    for seed in range(3):
        arc, images = uniform_arc(seed, num_nodes), images_of()
        network = network_of(arc)
        logits, _ = network(images)
        assert logits.shape == (4, 3)
        assert network.num_features == 16 * len(loose_ids(arc.normal))
        logits, _ = supernet(images, arc)
        assert logits.shape == (4, 3)
        logits.sum().backward()


@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 5), st.integers(5, 17))
@settings(max_examples=10, deadline=None, derandomize=True)
def test_any_arc_in_any_network(seed, num_nodes, num_layers, size):
    arc, images = uniform_arc(seed, num_nodes), images_of(2, size)
    logits, _ = network_of(arc, num_layers=num_layers, image_size=size)(images)
    assert logits.isfinite().all()
    logits, _ = supernet_of(num_nodes, num_layers=num_layers, image_size=size)(images, arc)
    assert logits.isfinite().all()


# --- the supernet: a child is its path ----------------------------------------------------------


def used_parameters(supernet, arc):
    """Parameters that the child's logits depend on."""
    supernet.zero_grad(set_to_none=True)
    supernet(images_of(), arc)[0].pow(2).sum().backward()
    return {name for name, p in supernet.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("reduction_inputs", ["previous", "both"])
@pytest.mark.parametrize("seed", range(4))
def test_weights_off_the_path_have_no_effect(seed, reduction_inputs):
    supernet, arc, images = supernet_of(3, reduction_inputs=reduction_inputs), uniform_arc(seed, 3), images_of()
    used = used_parameters(supernet, arc)
    before, _ = supernet(images, arc)
    with torch.no_grad():
        for name, p in supernet.named_parameters():
            if name not in used:
                p.fill_(float("nan"))
    after, _ = supernet(images, arc)
    assert torch.equal(before, after)
    assert len(used) < len(list(supernet.parameters())) / 2


@pytest.mark.parametrize("seed", range(4))
def test_the_path_is_counted_and_is_what_the_arc_says(seed):
    supernet, arc = supernet_of(3), uniform_arc(seed, 3)
    used = used_parameters(supernet, arc)
    sizes = {name: p.numel() for name, p in supernet.named_parameters()}
    assert supernet.path_parameters(arc) == sum(sizes[name] for name in used)
    for layer in range(3):
        cell = arc.reduction if layer in supernet.reductions else arc.normal
        expected = {
            f"{i}.{slot}.{op}.{index}"
            for i, n in enumerate(cell)
            for slot, (index, op) in enumerate(((n.index_1, n.op_1), (n.index_2, n.op_2)))
            if OPS[op].startswith("sep_conv")
        }
        start = f"cells.{layer}.ops."
        assert {
            ".".join(name.removeprefix(start).split(".")[:4]) for name in used if name.startswith(start)
        } == expected


def test_every_weight_on_the_path_has_an_effect():
    supernet, arc = supernet_of(2), arc_of_op(1)
    used = used_parameters(supernet, arc)
    grads = {name: p.grad.abs().max() for name, p in supernet.named_parameters() if name in used}
    assert all(grad > 0 for grad in grads.values())


def test_a_child_does_not_depend_on_the_children_before_it():
    supernet, images, arcs = supernet_of(3), images_of(), [uniform_arc(seed, 3) for seed in range(3)]
    first = [supernet(images, arc)[0] for arc in arcs]
    again = [supernet(images, arc)[0] for arc in reversed(arcs)]
    assert all(map(torch.equal, first, reversed(again)))


@pytest.mark.parametrize(("reduction_inputs", "source"), [("previous", 2), ("both", 1)])
def test_older_input_of_a_reduction_layer(reduction_inputs, source):
    supernet = supernet_of(1, num_layers=3, reduction_inputs=reduction_inputs)
    assert supernet.reductions == (1, 3)
    inputs, outputs = {}, {}

    def record(cell, given, output):
        layer = list(supernet.cells).index(cell)
        inputs[layer], outputs[layer] = given, output

    for cell in supernet.cells:
        cell.register_forward_hook(record)
    supernet(images_of(), uniform_arc(0, 1))
    older, newer, *_ = inputs[3]
    assert torch.equal(older, outputs[source])
    assert torch.equal(newer, supernet.reduce["3"](outputs[2]))


# --- what is dropped ----------------------------------------------------------------------------

PATHS = list(itertools.product(range(3), range(2), range(2)))


def is_dropped_when_asked(network, arguments, arc, layer, node, slot):
    """Whether a factor of 0 for one operation changes the logits. Factors of 1 everywhere do not."""
    images = images_of()
    ones = torch.ones(4, 3, 4)
    assert torch.equal(network(images, *arguments, ones)[0], network(images, *arguments)[0])
    ones[:, layer, 2 * node + slot] = 0
    return not torch.equal(network(images, *arguments, ones)[0], network(images, *arguments)[0])


@pytest.mark.parametrize("op", range(len(OPS)), ids=OPS)
@pytest.mark.parametrize("kind", ["network", "supernet"])
def test_drop_path_acts_on_all_but_identity(kind, op):
    arc = arc_of_op(op)
    network, arguments = (network_of(arc), ()) if kind == "network" else (supernet_of(2), (arc,))
    for path in PATHS:
        assert is_dropped_when_asked(network, arguments, arc, *path) == (OPS[op] != "identity")


def test_drop_path_multiplies_each_image_by_its_factor():
    arc = MicroArc.from_integers([0, 2, 1, 4] * 2)
    older, newer = images_of(3, 8, 12), images_of(3, 8, 12, seed=2)
    cell = network_of(arc, num_layers=3).cells[0]
    drop = torch.tensor([0.0, 1.0, 2.5])[:, None].expand(3, 2)
    states = [cell.calibrate_older(older), cell.base(cell.calibrate_newer(newer))]
    pooled = F.avg_pool2d(states[0], 3, 1, 1, count_include_pad=False)
    assert len(cell.loose) == 1
    expected = pooled * torch.tensor([0.0, 1.0, 2.5])[:, None, None, None] + states[1]
    torch.testing.assert_close(cell(older, newer, drop), expected)


@pytest.mark.parametrize("kind", ["network", "supernet"])
def test_dropout_multiplies_the_features(kind):
    arc, images = uniform_arc(0, 2), images_of()
    network, arguments = (network_of(arc), ()) if kind == "network" else (supernet_of(2), (arc,))
    features = []
    network.fc.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    plain, _ = network(images, *arguments)
    factor = torch.rand(4, network.num_features, generator=seeded(5))
    dropped, _ = network(images, *arguments, dropout=factor)
    torch.testing.assert_close(features[1], features[0] * factor)
    torch.testing.assert_close(dropped, features[0] * factor @ network.fc.weight.T)
    assert not torch.equal(plain, dropped)


# --- evaluation mode ----------------------------------------------------------------------------


@pytest.mark.parametrize("zero_debias", [False, True])
def test_evaluation_is_per_image_and_training_is_not(zero_debias):
    network, images = network_of(uniform_arc(0, 2), bn_zero_debias=zero_debias), images_of(6)
    for seed in range(3):
        network(images_of(6, seed=seed))
    assert network.num_updates == 3
    assert not torch.allclose(network(images)[0][:2], network(images[:2])[0], atol=1e-4)
    network.eval()
    torch.testing.assert_close(network(images)[:2], network(images[:2]))
    assert network.num_updates == 5


def test_the_first_zero_debiased_average_is_the_batchs_own():
    network = network_of(uniform_arc(0, 2), bn_zero_debias=True)
    maps = []
    network.stem[0].register_forward_hook(lambda _, __, output: maps.append(output.detach()))
    network(images_of(6))
    norm = network.stem[1]
    torch.testing.assert_close(norm.running_mean, maps[0].mean((0, 2, 3)))
    torch.testing.assert_close(norm.running_var, maps[0].var((0, 2, 3), unbiased=True))


# --- counts -------------------------------------------------------------------------------------


def test_counts_of_one_convolution():
    module = torch.nn.Conv2d(3, 8, 3, padding=1, bias=False, device="meta")
    assert count_parameters(module) == 3 * 8 * 9
    assert count_macs(module, 3, 10) == 3 * 8 * 9 * 100
    assert count_parameters(None) == 0


@pytest.mark.parametrize("seed", range(4))
def test_counts_are_those_of_torch(seed):
    shape, arc = NetworkShape(3, 6, 16, 3, 10, aux_head=False), uniform_arc(seed)
    images = torch.zeros(2, 3, 16, 16)
    for module, *arguments in ((MicroNetwork(arc, shape),), (MicroSupernet(shape, 5, "both"), arc)):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            module.eval()(images, *arguments)
        assert count_macs(module, 3, 16, *arguments) == counter.get_total_flops() // 4  # two images, two FLOPs each


def test_what_cannot_be_counted_is_not_taken_for_nothing():
    class Product(torch.nn.Linear):
        def forward(self, x):
            return x @ self.weight

    with pytest.raises(NotImplementedError, match="matmul"):
        count_macs(Product(8, 8), 3, 8)


def test_counts_need_no_memory_and_leave_the_mode():
    with torch.device("meta"):
        network = MicroNetwork(uniform_arc(0), NetworkShape(15, 36, 32, 3, 10, aux_head=True))
    assert count_macs(network, 3, 32) > 10**8
    assert network.training
