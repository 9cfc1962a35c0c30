"""The network of the original's size, of which a file is made once: an untrained one, whose logits are large, and one
whose batch norms have seen images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from enas_core.spaces.exported import export_network
from enas_core.spaces.layers import initialise
from enas_core.spaces.micro.network import MicroNetwork
from enas_core.spaces.micro.sampling import uniform_arc
from enas_core.spaces.space import NetworkShape

CLASSES = [f"class {i}" for i in range(10)]


@pytest.mark.parametrize("batches", [0, 30])
def test_seventeen_layers_of_36_filters(batches: int, tmp_path: Path) -> None:
    network = MicroNetwork(uniform_arc(0, 5), NetworkShape(15, 36, 32, 3, len(CLASSES), aux_head=False))
    generator = torch.Generator().manual_seed(0)
    initialise(network, "exact", generator)
    with torch.no_grad():
        for _ in range(batches):
            network(torch.randn(16, 3, 32, 32, generator=generator))
    network.eval()
    network.classes, network.mean, network.std, network.resize_to = CLASSES, [0.5] * 3, [0.25] * 3, 32
    network.experiment, network.dataset, network.test_accuracy, network.provenance = "x", "cifar10", 0.1, {}

    images = np.random.default_rng(1).integers(0, 256, (7, 32, 32, 3), np.uint8)
    with torch.no_grad():
        largest = float(network(network.normalised(torch.from_numpy(images))).abs().max())
    difference = export_network(network, tmp_path / "net.onnx", "onnx", "uint8", images)
    assert largest > 1
    assert difference < 1e-4 * largest
    assert (tmp_path / "net.onnx").is_file()
