"""Batch norm over the parts that several processes have of a batch, by torchrun: `norms.py OUT`.

Writes the output, the gradients and the statistics of every case to OUT/norm-{rank}.pt."""

import sys
from pathlib import Path

import torch

from enas_core.spaces.layers import BatchNorm
from enas_core.training.processes import join

CASES = [(torch.float64, 7, False), (torch.float64, 8, True), (torch.float64, 1, True), (torch.bfloat16, 8, True)]
"""Type of the maps, images in the whole batch (1: all processes but one have none), moving statistics or not."""


def inputs(case):
    """The whole batch, its gradient, and a layer with weights."""
    dtype, images, tracking = case
    generator = torch.Generator().manual_seed(images)
    x, grad = (torch.randn(images, 3, 4, 4, generator=generator).to(dtype) * 5 + 100 for _ in range(2))
    layer = BatchNorm(3, tracking)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1.0, -2.0, 0.5]))
        layer.bias.copy_(torch.tensor([0.0, 1.0, 3.0]))
    return x, grad, layer.to(torch.float64 if dtype == torch.float64 else torch.float32)


def outputs(layer, x, grad):
    """What the layer makes of a part of the batch and of its gradient."""
    x = x.clone().requires_grad_()
    y = layer(x)
    y.backward(grad)
    statistics = [layer.batch_mean, layer.batch_var] if layer.tracking else []
    return [y.detach(), x.grad, layer.weight.grad, layer.bias.grad, *statistics]


def main():
    torch.set_num_threads(1)
    with join(torch.device("cpu")) as processes:
        results = []
        for case in CASES:
            x, grad, layer = inputs(case)
            layer.reduce_over(processes)
            part = slice(*processes.part(0, len(x)))
            results.append(outputs(layer, x[part], grad[part]))
        torch.save(results, Path(sys.argv[1]) / f"norm-{processes.rank}.pt")


if __name__ == "__main__":
    main()
