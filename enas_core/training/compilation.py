"""Lower precision, faster code and deterministic algorithms, as far as the settings ask for them and the machine has
them.

A network says in `operators` which code computes it: torch's own operators, those of `spaces/cpp/`, or what
`torch.compile` has made.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from enas_core.console import log
from enas_core.settings.stages import TrainingStage
from enas_core.spaces.kernels import SMALLEST_ROW, load_kernels
from enas_core.spaces.layers import Classifier, Fused, use_kernels
from enas_core.spaces.networks import TORCH, Network, Supernet
from enas_core.training.processes import ALONE, Processes

FUSED, INDUCTOR = "kernels.cpp", "torch.compile"
"""What `operators` of a network may say, beside `TORCH`."""

RECOMPILE_LIMIT = 64  # shapes and modes of one kind of block


def accelerate(
    network: Network | Supernet,
    settings: TrainingStage,
    device: torch.device,
    processes: Processes = ALONE,
) -> None:
    """Make `network`, which is on `device`, compute as `precision`, `compile` and `deterministic` say. What cannot be
    compiled, for want of a compiler or otherwise, runs uncompiled after a line in the log; so does a training of
    several processes, which exchange statistics inside the network."""
    if settings.deterministic and device.type == "cuda":
        repeat_exactly()
    if settings.precision == "bf16":
        lower_precision(network, device)
    if settings.compile == "off" or processes.count > 1:
        return
    if device.type == "cpu" and settings.precision == "fp32":
        fuse(network)
    if device.type == "cuda":
        torch._dynamo.config.suppress_errors = True
        network.operators = INDUCTOR
        if isinstance(network, Supernet):
            compile_blocks(network)
        else:
            compile_whole(network, mode="reduce-overhead")


def repeat_exactly() -> None:
    """For the whole process: of torch's algorithms those that give the same numbers each time, and a warning where
    there is none."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # which cuBLAS reads when it starts
    torch.use_deterministic_algorithms(True, warn_only=True)
    # No tensor here is read before it is written, so none needs to be filled first.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def fuse(network: Network | Supernet) -> None:
    """Use the operators of `kernels.cpp` where they can be had and the network has layers that they know."""
    if network.shape.smallest_row < SMALLEST_ROW or not any(isinstance(module, Fused) for module in network.modules()):
        return
    kernels = load_kernels()
    if kernels is not None:
        use_kernels(network, kernels)
        network.operators = FUSED


def keep_operators(network: Network | Supernet, operators: str) -> None:
    """Compute as the training did that now goes on: its results would not be those of one that was not interrupted,
    if another order of sums took over in the middle."""
    if operators == network.operators:
        return
    if operators == TORCH and network.operators == FUSED:
        use_kernels(network, None)
        network.operators = TORCH
    else:
        log.warning("began with operators of %s, goes on with those of %s", operators, network.operators)


def compile_blocks(supernet: Supernet, **options: Any) -> None:
    """Compile the supernet's blocks one by one (`options` of `torch.compile`). Those of one kind and shape share
    their code, which takes batches of any size, so that no arc compiles anything once all shapes have been seen."""
    torch._dynamo.config.cache_size_limit = RECOMPILE_LIMIT
    torch._dynamo.config.automatic_dynamic_shapes = False
    for module in supernet.modules():
        if isinstance(module, supernet.compiled_blocks):
            module.forward = _any_batch(torch.compile(module.forward, **options))


def _any_batch(forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def call(x: Tensor) -> Tensor:
        torch._dynamo.maybe_mark_dynamic(x, 0)
        return forward(x)

    return call


def compile_whole(network: Network, **options: Any) -> None:
    """Compile a stand-alone network as a whole (`options` of `torch.compile`), once for each size of batch."""
    torch._dynamo.config.cache_size_limit = RECOMPILE_LIMIT
    network.forward = torch.compile(network.forward, dynamic=False, **options)  # type: ignore[method-assign]


def lower_precision(network: Network | Supernet, device: torch.device) -> None:
    """Feature maps and convolutions in bfloat16, logits in the precision of the weights."""
    network.forward = torch.autocast(device.type, torch.bfloat16)(network.forward)  # type: ignore[method-assign]
    for module in network.modules():
        if isinstance(module, Classifier):
            module.forward = torch.autocast(device.type, enabled=False)(module.forward)  # type: ignore[method-assign]
