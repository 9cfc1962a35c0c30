"""Precision and compilation: the same losses and gradients in every mode, and nothing compiled for a new arc.

Graphs are captured and differentiated as they are on a GPU (`aot_eager`), but no GPU code is generated."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch._dynamo.utils import counters

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import models

from enas_core.spaces.micro.arc import MicroArc
from enas_core.spaces.micro.sampling import uniform_arc
from enas_core.spaces.micro.supernet import MicroSupernet
from enas_core.spaces.networks import TORCH
from enas_core.spaces.space import NetworkShape
from enas_core.training.compilation import FUSED, accelerate, compile_blocks, compile_whole, keep_operators
from enas_core.training.descent import Descent
from enas_core.training.evaluation import loss_of
from enas_core.training.processes import ALONE

SIZES = (1, 4)  # layers, filters
BOTH_KERNELS = MicroArc.parse("0 0 1 1 0 2 1 3  0 1 1 0 2 4 0 0")
ARCS = [BOTH_KERNELS, *(uniform_arc(seed, num_nodes=2) for seed in range(3))]
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _dynamo_as_it_was():
    config = torch._dynamo.config
    before = config.cache_size_limit, config.automatic_dynamic_shapes, config.suppress_errors
    torch._dynamo.reset()
    counters.clear()
    yield
    config.cache_size_limit, config.automatic_dynamic_shapes, config.suppress_errors = before
    torch._dynamo.reset()


def settings(precision="fp32", compile_setting="auto"):
    return SimpleNamespace(precision=precision, compile=compile_setting, deterministic=False)


def train(network, labels, training, *inputs):
    """Cross-entropy, and the gradients of one step."""
    network.zero_grad()
    cross_entropy, loss = loss_of(network(*inputs), labels, training)
    loss.backward()
    gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    return cross_entropy.detach(), gradients


def test_compiled_operations_compute_the_same_and_no_arc_compiles():
    plain, compiled = models.supernet(2, *SIZES), models.supernet(2, *SIZES)
    compile_blocks(compiled, backend="aot_eager")
    graphs = []
    for arc in ARCS:
        for size in (4, 3):
            images, labels = models.batch(size)
            torch.testing.assert_close(
                train(compiled, labels, models.SEARCH, images, arc), train(plain, labels, models.SEARCH, images, arc)
            )
            scores = [models.child_accuracy(network, arc, images, labels) for network in (compiled, plain)]
            assert scores[0] == scores[1]
            graphs.append(counters["stats"]["unique_graphs"])
    assert graphs[0] > 0
    assert set(graphs) == {graphs[0]}
    assert not counters["graph_break"]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_compiled_network_computes_the_same_in_one_graph(precision):
    images, labels = models.batch(4)
    plain, compiled = models.network(BOTH_KERNELS, *SIZES), models.network(BOTH_KERNELS, *SIZES)
    for network in (plain, compiled):
        accelerate(network, settings(precision, "off"), CPU)
    compile_whole(compiled, backend="aot_eager")
    inputs = images, *models.factors(plain, 4)
    for _ in range(2):
        results = [train(network, labels, models.AUGMENT, *inputs) for network in (compiled, plain)]
        torch.testing.assert_close(*results)
    torch.testing.assert_close(dict(compiled.named_buffers()), dict(plain.named_buffers()))
    assert counters["stats"]["unique_graphs"] == 1
    assert not counters["graph_break"]


@pytest.mark.parametrize("kind", ["supernet", "network"])
def test_bfloat16(kind):
    images, labels = models.batch(16)
    arc = uniform_arc(1)
    if kind == "supernet":
        networks, inputs = [models.supernet(5, *SIZES) for _ in range(2)], (images, arc)
    else:
        networks, inputs = [models.network(arc, *SIZES) for _ in range(2)], (images,)
    seen = []
    for network, precision in zip(networks, ("fp32", "bf16"), strict=True):
        accelerate(network, settings(precision), CPU)
        network.cells[-1].register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
        assert network(*inputs)[0].dtype == torch.float32
    assert seen == [torch.float32, torch.bfloat16]
    exact, rough = (train(network, labels, models.SEARCH, *inputs) for network in networks)
    assert float(rough[0]) == pytest.approx(float(exact[0]), rel=0.02)
    assert float(rough[0]) != float(exact[0])
    assert {gradient.dtype for gradient in rough[1].values()} == {torch.float32}
    assert {buffer.dtype for buffer in networks[1].buffers() if buffer.is_floating_point()} <= {torch.float32}


def test_bfloat16_with_drop_path_keeps_maps_in_bfloat16():
    network = models.network(BOTH_KERNELS, *SIZES)
    accelerate(network, settings("bf16"), CPU)
    seen = []
    network.cells[0].register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    network(models.batch(4)[0], *models.factors(network, 4))
    assert seen == [torch.bfloat16]


@pytest.mark.parametrize(("compile_setting", "operators"), [("auto", FUSED), ("off", TORCH)])
def test_on_a_cpu_the_setting_decides(compile_setting, operators):
    network = models.network(BOTH_KERNELS, *SIZES)
    accelerate(network, settings("fp32", compile_setting), CPU)
    assert network.operators == operators
    network(models.batch(4)[0])
    assert not counters["stats"]


def test_what_is_too_small_or_split_uses_the_operators_of_torch():
    tiny = MicroSupernet(NetworkShape(2, 2, image_size=4, in_channels=1, num_classes=3, aux_head=False), 2, "both")
    accelerate(tiny, settings(), CPU)
    assert tiny.operators == TORCH
    split = models.network(BOTH_KERNELS, *SIZES)
    accelerate(split, settings(), CPU, SimpleNamespace(count=2))
    assert split.operators == TORCH


@pytest.mark.parametrize("began_with", [TORCH, FUSED])
def test_a_training_that_goes_on_keeps_its_operators(began_with):
    """What it computes is the same to the last bit, which other operators would not give."""
    images, labels = models.batch(4)
    before, after = models.network(BOTH_KERNELS, *SIZES), models.network(BOTH_KERNELS, *SIZES)
    accelerate(before, settings(compile_setting="auto" if began_with == FUSED else "off"), CPU)
    accelerate(after, settings(), CPU)
    keep_operators(after, before.operators)
    assert after.operators == began_with
    for one, other in zip(
        train(after, labels, models.AUGMENT, images)[1].values(),
        train(before, labels, models.AUGMENT, images)[1].values(),
        strict=True,
    ):
        assert torch.equal(one, other)


def test_a_state_that_does_not_name_its_operators_goes_on_with_those_of_torch():
    """Versions before 0.1.0 had no others."""
    network = models.network(BOTH_KERNELS, *SIZES)
    descent = Descent("x", network, models.AUGMENT, 4, ALONE)
    state = descent.state_dict()
    assert state.pop("operators") == TORCH
    accelerate(network, settings(), CPU)
    assert network.operators == FUSED
    descent.load_state_dict(state)
    assert network.operators == TORCH


def test_operators_that_are_not_here_are_named(caplog):
    network = models.network(BOTH_KERNELS, *SIZES)
    with caplog.at_level("WARNING"):
        keep_operators(network, FUSED)
    assert network.operators == TORCH
    assert FUSED in caplog.text


@pytest.mark.parametrize("compile_setting", ["auto", "off"])
def test_on_a_gpu_the_setting_decides(monkeypatch, compile_setting):
    calls = []
    monkeypatch.setattr(
        "enas_core.training.compilation.compile_whole", lambda network, **options: calls.append(options)
    )
    monkeypatch.setattr(
        "enas_core.training.compilation.compile_blocks", lambda network, **options: calls.append(options)
    )
    for network in (models.network(BOTH_KERNELS, *SIZES), models.supernet(2, *SIZES)):
        accelerate(network, settings(compile_setting=compile_setting), torch.device("cuda"))
    assert calls == ([{"mode": "reduce-overhead"}, {}] if compile_setting == "auto" else [])


EXACTLY = """
import torch
from enas_core.training.compilation import accelerate
import models

network = models.network(models.uniform_arc(0), 1, 4)
for device in ("cpu", "cuda"):
    accelerate(network, models.stage(compile="off", deterministic=True), torch.device(device))
    print(torch.are_deterministic_algorithms_enabled(), torch.utils.deterministic.fill_uninitialized_memory)
"""


def test_deterministic_algorithms_are_for_gpus():
    """In a process of its own, which they are for as a whole."""
    benchmarks = str(Path(models.__file__).parent)
    here = os.environ | {"PYTHONPATH": benchmarks}
    done = subprocess.run([sys.executable, "-c", EXACTLY], capture_output=True, text=True, env=here)
    assert done.stdout.split() == ["False", "True", "True", "False"], done.stderr
