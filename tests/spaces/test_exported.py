"""Files for other runtimes: every operation, both stems, odd sizes; what they say; what fails leaves no file."""

import copy
import importlib.util
import itertools
import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from enas_core.console import RunError, UserError
from enas_core.spaces import exported
from enas_core.spaces.exported import NEEDED, export_network
from enas_core.spaces.layers import Fused, initialise
from enas_core.spaces.micro.arc import OPS, MicroArc
from enas_core.spaces.micro.network import MicroNetwork
from enas_core.spaces.space import NetworkShape

PAIRS = itertools.zip_longest(range(0, len(OPS), 2), range(1, len(OPS), 2), fillvalue=0)
EVERY_OP = MicroArc.from_integers([value for first, second in PAIRS for value in (0, first, 1, second)] * 2)
"""Every operation, of an input of a cell, in both kinds of cell: with stride 1 and 2."""

SMALL = MicroArc.from_integers([0, 4, 1, 4] * 2)

CLASSES = ["cat", "dog", "Käse"]


def trained(size=16, stem="plain", channels=3, arc=EVERY_OP, margin=0, layers=1):
    """A network with moving statistics, as `load_network` gives it."""
    shape = NetworkShape(layers, 4, size, channels, len(CLASSES), aux_head=False, stem=stem)
    network = MicroNetwork(arc, shape)
    generator = torch.Generator().manual_seed(0)
    initialise(network, "exact", generator)
    network(torch.randn(4, channels, size, size, generator=generator))
    network.classes, network.mean, network.std = CLASSES, [0.4, 0.5, 0.6][:channels], [0.2, 0.3, 0.25][:channels]
    network.resize_to, network.experiment, network.dataset = size + margin, "tiny", "pets"
    network.test_accuracy, network.provenance = 0.5, {"config_fingerprint": "abc"}
    return network.eval()


def some_images(network, count=9):
    form = network.form
    return np.random.default_rng(1).integers(0, 256, (count, form.size, form.size, form.channels), np.uint8)


def expected(network, images):
    """Logits, by way of what the files must not share: one normalisation after the other, in double precision."""
    pixels = (images / 255 - np.array(network.mean)) / np.array(network.std)
    with torch.no_grad():
        return network.double()(torch.from_numpy(pixels).permute(0, 3, 1, 2)).numpy()


def session_of(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options)


def of_onnx(path, images):
    return session_of(path).run(["logits"], {"images": images})[0]


def test_an_untrained_network_of_many_layers(tmp_path):
    """Its batch norms have seen nothing yet, so its logits are large, and what is rounded off with them."""
    network = trained(17, layers=2)
    for name, buffer in network.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.fill_(name.endswith("var"))
    images = some_images(network)
    largest = np.abs(expected(copy.deepcopy(network), images)).max()
    assert largest > 2
    assert export_network(network, tmp_path / "net.onnx", "onnx", "uint8", images) <= 1e-4 * largest


# Maps of 16, 8, 4 and 17, 9, 5 pixels; behind the strided stem (maps 4 times smaller and 8 times smaller) of an eighth.
@pytest.mark.parametrize(("stem", "size"), [("plain", 16), ("plain", 17), ("strided", 64), ("strided", 75)])
def test_every_operation_at_both_strides(stem, size, tmp_path):
    network = trained(size, stem)
    images = some_images(network)
    difference = export_network(network, tmp_path / "net.onnx", "onnx", "uint8", images)
    assert difference < 1e-4
    wanted = expected(network, images)
    assert wanted.std() > 0.1
    for count in (1, 2, 7, 9):
        assert np.abs(of_onnx(tmp_path / "net.onnx", images[:count]) - wanted[:count]).max() < 1e-4
    assert list(tmp_path.iterdir()) == [tmp_path / "net.onnx"]


def test_a_file_of_numbers_from_0_to_1_and_what_it_says_of_itself(tmp_path):
    network = trained(arc=SMALL, margin=4)
    images = some_images(network)
    export_network(network, tmp_path / "net.onnx", "onnx", "float", images)
    found = of_onnx(tmp_path / "net.onnx", images.astype(np.float32) / 255)
    assert np.abs(found - expected(network, images)).max() < 1e-4

    session = session_of(tmp_path / "net.onnx")
    facts = session.get_modelmeta().custom_metadata_map
    assert json.loads(facts["classes"]) == CLASSES
    assert (facts["image_size"], facts["resize_to"], facts["mode"]) == ("16", "20", "RGB")
    assert (json.loads(facts["mean"]), json.loads(facts["std"])) == (network.mean, network.std)
    assert (facts["arc"], facts["space"], facts["experiment"]) == (str(SMALL), "micro", "tiny")
    for name in ("enas_version", "torch_version", "git_commit", "onnx_version", "onnxruntime_version"):
        assert facts[name]
    (taken,), (given,) = session.get_inputs(), session.get_outputs()
    assert (taken.name, taken.type, taken.shape[1:]) == ("images", "tensor(float)", [16, 16, 3])
    assert isinstance(taken.shape[0], str)
    assert (given.name, given.shape[1]) == ("logits", 3)


def test_a_program_of_torch(tmp_path):
    network = trained(75, "strided", channels=1)
    images = some_images(network)
    assert export_network(network, tmp_path / "net.pt2", "torch", "uint8", images) < 1e-4
    facts = {"metadata.json": ""}
    program = torch.export.load(tmp_path / "net.pt2", extra_files=facts)
    found = program.module()(torch.from_numpy(images)).detach().numpy()
    assert np.abs(found - expected(network, images)).max() < 1e-4
    assert json.loads(json.loads(facts["metadata.json"])["classes"]) == CLASSES


def test_the_plain_path_is_exported(tmp_path):
    """A network that the project's own operators would compute: they are in no file."""
    network = trained()
    assert all(module.kernels is None for module in network.modules() if isinstance(module, Fused))
    program = exported._program(network, "uint8")
    targets = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert targets
    assert all(target.startswith("aten.") for target in targets)


@pytest.mark.parametrize("file_format", ["onnx", "torch"])
@pytest.mark.parametrize("wrong", [1e-3, float("nan")])
def test_other_logits_are_an_error_and_leave_no_file(file_format, wrong, tmp_path, monkeypatch):
    network = trained(arc=SMALL, size=8)
    images = some_images(network)
    forward = exported.Normalising.forward
    monkeypatch.setattr(exported.Normalising, "forward", lambda self, images: forward(self, images) + wrong)
    (tmp_path / "net").write_text("as it was")
    with pytest.raises(RunError, match=r"net: not written: its logits differ from the network's by "):
        export_network(network, tmp_path / "net", file_format, "uint8", images)
    assert [path.name for path in tmp_path.iterdir()] == ["net"]
    assert (tmp_path / "net").read_text() == "as it was"


@pytest.mark.parametrize("file_format", ["onnx", "torch"])
def test_no_path_of_this_machine_is_in_a_file(file_format, tmp_path):
    network = trained(arc=SMALL, size=8)
    export_network(network, tmp_path / "net", file_format, "uint8", some_images(network))
    content = (tmp_path / "net").read_bytes()
    for folder in (Path(exported.__file__).parents[2], Path(torch.__file__).parents[1], tmp_path):
        assert str(folder).encode() not in content


@pytest.mark.parametrize("size", [0.5, 50.0])
@pytest.mark.parametrize("share", [0.8, 1.25])
def test_large_logits_may_differ_by_a_share_of_the_largest(size, share, tmp_path, monkeypatch):
    """Where the largest logit is below 1, by 1e-4."""
    network = trained(arc=SMALL, size=8)
    images = some_images(network)
    wrong = share * 1e-4 * max(size, 1)
    monkeypatch.setattr(MicroNetwork, "forward", lambda self, images: 0 * images.mean((2, 3)) + size)
    forward = exported.Normalising.forward
    monkeypatch.setattr(exported.Normalising, "forward", lambda self, images: forward(self, images) - wrong)
    if share < 1:
        found = export_network(network, tmp_path / "net", "torch", "uint8", images)
        assert found == pytest.approx(wrong, rel=0.05)
    else:
        with pytest.raises(RunError, match=rf" for a batch of 1 images, {1e-4 * max(size, 1):.2g} is allowed"):
            export_network(network, tmp_path / "net", "torch", "uint8", images)
        assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_right_for_one_image_alone_is_refused(tmp_path, monkeypatch):
    """The batches that are compared are of 1 and of 7."""
    network = trained(arc=SMALL, size=8)
    seen = set()

    def run(images):
        seen.add(len(images))
        with torch.no_grad():
            found = network(network.normalised(torch.from_numpy(images))).numpy()
        return found if len(images) == 1 else found + 1

    monkeypatch.setattr(exported, "_write_program", lambda *_: run)
    with pytest.raises(RunError, match="for a batch of 7 images"):
        export_network(network, tmp_path / "net.pt2", "torch", "uint8", some_images(network))
    assert seen == {1, 7}


@pytest.mark.parametrize("name", NEEDED)
def test_a_missing_package_is_one_line(name, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda wanted: None if wanted == name else find(wanted))
    network = trained(size=8, arc=SMALL)
    with pytest.raises(UserError, match=rf"^--format onnx needs {name}: pip install 'enas-workflow\[export\]'$"):
        export_network(network, tmp_path / "net.onnx", "onnx", "uint8", some_images(network))
    assert list(tmp_path.iterdir()) == []
