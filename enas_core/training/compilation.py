"""Lower precision and compiled code, as far as the settings ask for them and the machine has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from enas_core.settings.stages import TrainingStage
from enas_core.spaces.layers import Classifier
from enas_core.spaces.networks import Network, Supernet
from enas_core.training.processes import ALONE, Processes

RECOMPILE_LIMIT = 64  # shapes and modes of one kind of block


def accelerate(
    network: Network | Supernet,
    settings: TrainingStage,
    device: torch.device,
    processes: Processes = ALONE,
) -> None:
    """Make `network`, which is on `device`, compute as `precision` and `compile` say. What cannot be compiled, for
    want of a compiler or otherwise, runs uncompiled after a warning; so does a training of several processes, which
    exchange statistics inside the network."""
    if settings.precision == "bf16":
        lower_precision(network, device)
    if settings.compile == "auto" and device.type == "cuda" and processes.count == 1:
        torch._dynamo.config.suppress_errors = True
        if isinstance(network, Supernet):
            compile_blocks(network)
        else:
            compile_whole(network, mode="reduce-overhead")


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
