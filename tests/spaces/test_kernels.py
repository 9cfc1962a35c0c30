"""The operators of `kernels.cpp`: they compute what the layers compute, and they are built once, whatever happens."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enas_core.spaces import kernels as kernels_module
from enas_core.spaces.kernels import SMALLEST_ROW, load_kernels
from enas_core.spaces.layers import BatchNorm, PlainStem, use_kernels
from enas_core.spaces.micro.arc import OPS
from enas_core.spaces.micro.operations import AvgPool, FactorizedReduction, MaxPool, ReLUConvBN, SepConv, build_op
from enas_core.spaces.micro.sampling import uniform_arc
from enas_core.spaces.micro.supernet import MicroSupernet
from enas_core.spaces.space import NetworkShape

needs_compiler = pytest.mark.skipif(shutil.which("c++") is None, reason="there is no C++ compiler")


@pytest.fixture
def kernels():
    found = load_kernels()
    assert found is not None
    return found


def threads(count):
    """Set for the rest of a test; `_threads` puts it back."""
    torch.set_num_threads(count)


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def everything(module, x, seed, of_input=True):
    """Output, gradients and batch statistics of a call whose output gets a random gradient."""
    module.zero_grad()
    x = x.detach().clone().requires_grad_(of_input)
    y = module(x)
    y.backward(torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(seed)))
    kept = [t.clone() for norm in module.modules() if isinstance(norm, BatchNorm) for t in norm.kept()]
    gradients = [x.grad] if of_input else []
    return [y.detach(), *gradients, *(p.grad.clone() for p in module.parameters()), *kept]


LAYERS = {
    "sep_conv_3x3": lambda channels, stride, tracking: SepConv(channels, 3, stride, tracking),
    "sep_conv_5x5": lambda channels, stride, tracking: SepConv(channels, 5, stride, tracking),
    "avg_pool": lambda channels, stride, tracking: AvgPool(stride),
    "max_pool": lambda channels, stride, tracking: MaxPool(stride),
    "conv": lambda channels, stride, tracking: ReLUConvBN(channels, channels + 3, tracking),
    "reduction": lambda channels, stride, tracking: FactorizedReduction(channels, 2 * channels, tracking, relu=True),
    "reduction_without_relu": lambda channels, stride, tracking: FactorizedReduction(channels, 6, tracking, relu=False),
}


@needs_compiler
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    layer=st.sampled_from(sorted(LAYERS)),
    channels=st.integers(3, 37),
    size=st.integers(5, 13),
    images=st.integers(2, 5),
    stride=st.sampled_from([1, 2]),
    tracking=st.booleans(),
    channels_last=st.booleans(),
    parts=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_layers_compute_the_same(kernels, layer, channels, size, images, stride, tracking, channels_last, parts, seed):
    """In double precision to its last digits, for odd sizes and channels too."""
    threads(parts)
    torch.manual_seed(seed)
    if -(-size // stride) * channels < SMALLEST_ROW:
        channels = SMALLEST_ROW
    module = LAYERS[layer](channels, stride, tracking).double()
    for p in module.parameters():
        torch.nn.init.normal_(p)
    x = torch.randn(images, channels, size, size, dtype=torch.float64)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    plain = everything(module, x, seed)
    use_kernels(module, kernels)
    for one, other in zip(everything(module, x, seed), plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@needs_compiler
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    channels=st.integers(1, 4),
    filters=st.integers(3, 37),
    size=st.integers(3, 13),
    images=st.integers(2, 5),
    tracking=st.booleans(),
    channels_last=st.booleans(),
    parts=st.integers(1, 3),
)
def test_a_stem_computes_the_same(kernels, channels, filters, size, images, tracking, channels_last, parts):
    threads(parts)
    torch.manual_seed(size)
    module = PlainStem(channels, filters, tracking).double()
    x = torch.randn(images, channels, size, size, dtype=torch.float64)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    plain = everything(module, x, 0, of_input=False)
    use_kernels(module, kernels)
    for one, other in zip(everything(module, x, 0, of_input=False), plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)
    # Who asks for the gradient of the images gets it, from torch's operators.
    assert everything(module, x, 0)[1] is not None


@needs_compiler
@pytest.mark.parametrize("op", range(len(OPS)))
def test_single_precision(kernels, op):
    torch.manual_seed(0)
    module = build_op(op, 20, 1, tracking=False)
    for p in module.parameters():
        torch.nn.init.normal_(p)
    x = torch.randn(16, 20, 16, 16)
    plain = everything(module, x, 0)
    use_kernels(module, kernels)
    for one, other in zip(everything(module, x, 0), plain, strict=True):
        assert float((one - other).abs().max() / other.abs().max()) < 1e-4


@needs_compiler
def test_a_supernet_computes_the_same_and_repeats_itself(kernels):
    shape = NetworkShape(2, 8, image_size=8, in_channels=1, num_classes=10, aux_head=False)
    supernet = MicroSupernet(shape, 3, "both").double()
    for p in supernet.parameters():
        torch.nn.init.normal_(p, generator=torch.Generator().manual_seed(p.numel()))
    images = torch.randn(6, 1, 8, 8, dtype=torch.float64)

    def step(arc):
        supernet.zero_grad()
        logits, _ = supernet(images, arc)
        logits.square().sum().backward()
        return [logits.detach(), *(p.grad.clone() for p in supernet.parameters() if p.grad is not None)]

    for seed in range(4):
        arc = uniform_arc(seed, 3)
        use_kernels(supernet, None)
        plain = step(arc)
        use_kernels(supernet, kernels)
        fused, again = step(arc), step(arc)
        for one, two, other in zip(fused, again, plain, strict=True):
            assert torch.equal(one, two)
            assert float((one - other).abs().max()) <= 1e-9 * float(other.abs().max().clamp(min=1))


@needs_compiler
def test_evaluation_uses_moving_statistics(kernels):
    """Where they are kept, a call in evaluation mode is not one of the operators'."""
    module = SepConv(20, 3, 1, tracking=True).eval()
    x = torch.randn(2, 20, 8, 8)
    plain = module(x)
    use_kernels(module, kernels)
    assert torch.equal(module(x), plain)


@needs_compiler
def test_a_nan_is_never_pooled_away(kernels):
    x = torch.randn(1, 16, 5, 5)
    x[0, 3, 2, 2] = torch.nan
    for module in (MaxPool(1), AvgPool(1)):
        plain = module(x)
        use_kernels(module, kernels)
        assert torch.equal(module(x).isnan(), plain.isnan())


@needs_compiler
def test_maps_that_are_too_small_or_not_square_are_refused(kernels):
    with pytest.raises(RuntimeError, match="too small"):
        kernels.max_pool(torch.zeros(1, 1, 3, 3))
    with pytest.raises(RuntimeError, match="square"):
        kernels.max_pool(torch.zeros(1, 16, 3, 4))


# --- how they are built


def load(tmp_path, **environment):
    """A process with a cache of its own that asks for the operators."""
    program = (
        "import logging; logging.basicConfig(level=logging.INFO);"
        "from enas_core.spaces.kernels import load_kernels; print(load_kernels() is not None)"
    )
    variables = {"TORCH_EXTENSIONS_DIR": str(tmp_path / "cache"), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=root,
        env=variables | environment,
    )


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def quick(tmp_path):
    """A compiler that does not optimise."""
    return script(tmp_path / "quick", 'test "$1" = --version && exec c++ --version\nexec c++ "$@" -O0')


def answer(process):
    """Whether it got them, and its log."""
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out.strip() == "True", err


@needs_compiler
def test_two_processes_build_once_and_others_find_it(tmp_path):
    processes = [load(tmp_path, CXX=quick(tmp_path)) for _ in range(2)]
    answers = [answer(process) for process in processes]
    assert [found for found, _ in answers] == [True, True]
    assert sum("building" in log for _, log in answers) == 1
    assert len(list((tmp_path / "cache").rglob("*.so"))) == 1
    found, log = answer(load(tmp_path, CXX=quick(tmp_path)))
    assert found
    assert "building" not in log


def test_without_a_compiler_nothing_is_built(tmp_path):
    found, log = answer(load(tmp_path, PATH=str(tmp_path)))
    assert not found
    assert "no C++ compiler" in log


def test_a_compiler_that_fails_is_reported(tmp_path):
    broken = script(tmp_path / "broken", 'test "$1" = --version && exit 0\necho cannot compile this >&2\nexit 1')
    found, log = answer(load(tmp_path, CXX=broken))
    assert not found
    assert "cannot compile this" in log
    assert not list((tmp_path / "cache").rglob("*.so"))


@needs_compiler
def test_a_user_without_a_home_folder_is_told_what_to_set(monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    for name in ("TORCH_EXTENSIONS_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    warnings = []
    monkeypatch.setattr(kernels_module.log, "warning", lambda text, *values: warnings.append(text % values))
    assert kernels_module.load_kernels.__wrapped__() is None
    assert len(warnings) == 1
    assert "set TORCH_EXTENSIONS_DIR" in warnings[0]


@needs_compiler
def test_a_killed_build_does_not_block_the_next(tmp_path):
    """The compiler hangs; once its process is killed, another one builds."""
    hanging = tmp_path / "hanging"
    hanging.write_text(
        f'#!/bin/sh\ntest "$1" = --version && exec c++ --version\ntouch {tmp_path}/started\nexec sleep 60\n'
    )
    hanging.chmod(0o755)
    first = load(tmp_path, CXX=str(hanging))
    while not (tmp_path / "started").exists():
        assert first.poll() is None
    first.kill()
    first.communicate()
    found, _ = answer(load(tmp_path, CXX=quick(tmp_path)))
    assert found
