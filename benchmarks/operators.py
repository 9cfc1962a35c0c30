"""Each operator of `kernels.cpp` by itself, forward and backward, against what this machine can do at best.

Arithmetic: a multiplication and an addition for each weight that a value meets, against torch's product of two large
matrices. Memory: the feature maps that a pass reads and writes, against copying such a map. A pass cannot take less
than the longer of both times, its bound. Best with `--threads 1`: threads share out the images, no more."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import NamedTuple

import torch
from harness import Row, finish, parser, seconds
from torch import Tensor, nn

from enas_core.spaces.kernels import load_kernels
from enas_core.spaces.layers import PlainStem, use_kernels
from enas_core.spaces.micro.operations import AvgPool, FactorizedReduction, MaxPool, ReLUConvBN, SepConv
from enas_core.training.device import pick_device

SIZES = {
    "digits": [(32, 8, 8)],
    "small": [(40, 8, 32), (40, 16, 16), (40, 32, 8)],
    "full search": [(160, 20, 32), (160, 40, 16), (160, 80, 8)],
    "full augment": [(144, 36, 32), (144, 72, 16), (144, 144, 8)],
}
"""Images, channels and pixels a side of the maps, by the network that has them."""


class Operator(NamedTuple):
    """An operator, and what its two passes do for each value of a map, forward and backward."""

    build: Callable[[int], nn.Module]
    """Of so many channels."""
    products: Callable[[int], tuple[float, float]]
    """Multiplications (each with an addition), of so many channels."""
    maps: tuple[float, float]
    """Maps that are read or written: one of half the values counts as a half."""


def sep_conv(kernel: int) -> Operator:
    """The backward pass has the depthwise convolution again, and for both convolutions two gradients."""
    taps = kernel * kernel
    return Operator(
        lambda channels: SepConv(channels, kernel, 1, tracking=False),
        lambda channels: (2 * (taps + channels), 2 * (3 * taps + 2 * channels)),
        (6, 10),
    )


OPERATORS = {
    "sep_conv 3x3": sep_conv(3),
    "sep_conv 5x5": sep_conv(5),
    "conv_norm": Operator(lambda c: ReLUConvBN(c, c, tracking=False), lambda c: (c, 2 * c), (4, 6)),
    "halve": Operator(
        lambda c: FactorizedReduction(c, 2 * c, tracking=False, relu=True), lambda c: (c / 2, c), (2.5, 4)
    ),
    "stem": Operator(lambda c: PlainStem(3, 3 * c, tracking=False), lambda c: (81, 81), (9, 12)),
    "avg_pool": Operator(lambda c: AvgPool(1), lambda c: (9, 9), (2, 2)),
    "max_pool": Operator(lambda c: MaxPool(1), lambda c: (9, 9), (2, 3)),
}


def best(work: Callable[[], object], rounds: int) -> float:
    """Seconds of the fastest of `rounds` calls: what other programs take from it only makes a call slower."""
    return min(seconds(work) for _ in range(rounds))


def peak(rounds: int) -> float:
    """Multiplications a second, each with an addition, of a product of large matrices."""
    a = torch.randn(1024, 1024)
    return 1024**3 / best(lambda: a @ a, rounds)


def bandwidth(x: Tensor, rounds: int) -> float:
    """Bytes a second that copying such a map reads and writes."""
    to = torch.empty_like(x)
    return 2 * x.nbytes / best(lambda: to.copy_(x), 2 * rounds)


def passes(module: nn.Module, x: Tensor, rounds: int) -> tuple[float, float]:
    """Seconds of the forward and of the backward pass."""
    inputs = [t for t in (x, *module.parameters()) if t.requires_grad]
    dy = torch.randn_like(module(x))
    forward, backward = [], []
    for _ in range(rounds):
        y: list[Tensor] = []
        forward.append(seconds(lambda y=y: y.append(module(x))))  # type: ignore[misc]
        backward.append(seconds(lambda y=y: torch.autograd.grad(y, inputs, dy)))  # type: ignore[misc]
    return min(forward), min(backward)


def measure(name: str, images: int, channels: int, side: int, multiplications: float, rounds: int) -> list[Row]:
    """One row a pass of one operator, at a machine's `multiplications` a second."""
    operator = OPERATORS[name]
    module = operator.build(channels)
    use_kernels(module, load_kernels())
    x = torch.randn(images, channels, side, side).contiguous(memory_format=torch.channels_last)
    bytes_a_second = bandwidth(x, rounds)
    given = torch.randn(images, 3, side, side) if name == "stem" else x.requires_grad_()
    table: list[Row] = []
    for k, elapsed in enumerate(passes(module, given, rounds)):
        products, moved = operator.products(channels)[k] * x.numel(), operator.maps[k] * x.nbytes
        arithmetic, memory = products / multiplications, moved / bytes_a_second
        table.append(
            {
                "operator": name,
                "images": images,
                "channels": channels,
                "side": side,
                "pass": ("forward", "backward")[k],
                "ms": 1e3 * elapsed,
                "gflops": 2e-9 * products / elapsed,
                "gbytes_per_s": 1e-9 * moved / elapsed,
                "bound_ms": 1e3 * max(arithmetic, memory),
                "bound_by": "arithmetic" if arithmetic > memory else "memory",
                "reached": max(arithmetic, memory) / elapsed,
            }
        )
    return table


def main() -> None:
    options_parser = parser(__doc__, rounds=20)
    options_parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES), help="networks (all)")
    options = options_parser.parse_args()
    if load_kernels() is None:
        raise SystemExit("the operators cannot be built here")
    pick_device("cpu", options.threads)
    rounds = 5 if options.quick else options.rounds
    multiplications = peak(rounds)
    print(
        f"peak: {2e-9 * multiplications:.0f} GFLOP/s; copying 64 MB: {1e-9 * bandwidth(torch.zeros(2**24), 5):.0f} GB/s"
    )
    table: list[Row] = []
    for size in options.sizes:
        for images, channels, side in SIZES[size]:
            for name in OPERATORS:
                if name == "stem" and (images, channels, side) != SIZES[size][0]:
                    continue  # it comes before the first layer only
                rows = measure(name, images, channels, side, multiplications, rounds)
                table += [{"size": size} | row for row in rows]
    finish(table, statistics.median(row["reached"] for row in table), "operators", options)


if __name__ == "__main__":
    main()
