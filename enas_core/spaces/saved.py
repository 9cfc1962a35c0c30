"""Files of networks: the trained stand-alone network (`model.pt`, `final.pt`) and a search's supernet (`supernet.pt`).

augment and search write them; select_arc, final, compare and predict read them, as users do by
`enas_core.load("results/cifar10/final.pt")`. Nothing in a file is executed.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np  # before torch: see `enas_core/__init__.py`
import torch
from numpy.typing import NDArray

from enas_core.console import UserError, shown
from enas_core.files.atomic import write_bytes
from enas_core.files.plain import load_plain
from enas_core.files.reading import read_bytes
from enas_core.files.tables import checked_provenance
from enas_core.spaces import space_class
from enas_core.spaces.networks import Network, Supernet
from enas_core.spaces.space import NetworkShape

NETWORK_FORMAT = 1
SUPERNET_FORMAT = 1

KINDS = {
    "network": "a trained network (model.pt, final.pt)",
    "supernet": "the supernet of a search, which holds the weights that all arcs share (supernet.pt)",
}
"""What a file can be of, by the key that only such a file has."""

LARGEST_IMAGE = 10_000
"""Side to which images are resized at most, pixels, whatever a file says."""

FACTS = ("classes", "mean", "std", "experiment", "test_accuracy")
"""What a loaded network has besides what it was built with (`Predicting`), in files of every version."""


def save_network(path: Path, network: Network, facts: dict[str, Any]) -> None:
    """Write `network` with `facts` (`FACTS` and others) atomically."""
    content = {
        "format": NETWORK_FORMAT,
        "space": network.space,
        "arc": str(network.arc),
        "network": {**asdict(network.shape), "bn_zero_debias": network.bn_zero_debias},
        "state_dict": {name: value.detach().cpu() for name, value in network.state_dict().items()},
        **facts,
    }
    write_torch_file(path, content)


def load_network(path: str | Path) -> Network:
    """A trained network in evaluation mode. Raises UserError, one line, when `path` holds none."""
    content = read_torch_file(Path(path), "network", NETWORK_FORMAT)
    with content_errors(path, "incomplete network file"):
        with torch.device("meta"):
            _require_same_form(content["state_dict"], _build(content))
        network = _build(content)
        network.load_state_dict(content["state_dict"])
        for name in FACTS:
            setattr(network, name, content[name])
        network.resize_to = content.get("resize_to", network.shape.image_size)
        network.dataset = content.get("dataset", "")
        network.provenance = checked_provenance("", content.get("provenance", {}))
        _check_facts(network)
    return network.eval()


def load_untrained(path: Path) -> Network:
    """The network of a file without values, on the meta device. Raises UserError as `load_network` does."""
    content = read_torch_file(path, "network", NETWORK_FORMAT)
    with content_errors(path, "incomplete network file"), torch.device("meta"):
        network = _build(content)
        _require_same_form(content["state_dict"], network)
        return network


class Answers(NamedTuple):
    """What a network's file says of its answers to the test images."""

    experiment: str
    dataset: str
    classes: list[str]
    confusion: NDArray[np.int64] | None
    """[K, K]: images of each class, a row, by the answer; None in files of an earlier version."""
    device: str
    """As the provenance names it."""
    fingerprint: str
    """Of the settings."""
    settings: dict[str, Any] | None
    """Those of the training, as plain values; None in files of an earlier version."""


def read_confusion(path: Path) -> Answers:
    """The answers that a trained network has given. Raises UserError as `load_network` does."""
    content = read_torch_file(path, "network", NETWORK_FORMAT)
    with content_errors(path, "incomplete network file"):
        classes, confusion = content["classes"], content.get("confusion")
        _require_texts(experiment=content["experiment"], dataset=content["dataset"], classes=classes)
        if confusion is not None:
            confusion = np.array(confusion)
            counts = confusion.dtype == np.int64 and confusion.shape == (len(classes), len(classes))
            if not counts or confusion.min() < 0 or not confusion.any():
                raise UserError(f"confusion: not a matrix of counts of {len(classes)} classes")
        made_by = checked_provenance("", content["provenance"])
        facts = content["experiment"], content["dataset"], classes
        made_with = made_by["config_fingerprint"], made_by.get("settings")
        return Answers(*facts, confusion, made_by["device"], *made_with)


def _build(content: dict[str, Any]) -> Network:
    """The network of a file, without its values."""
    space, arc = space_class(content.get("space", "micro")).of_text(content["arc"])  # older files do not name it
    settings = dict(content["network"])
    bn_zero_debias = settings.pop("bn_zero_debias")
    shape = NetworkShape(**settings)
    if type(bn_zero_debias) is not bool or shape.num_layers > len(content["state_dict"]):
        raise UserError(f"{shape.num_layers} layers, and values for {len(content['state_dict'])} parts")
    return space.network(arc, shape, bn_zero_debias)


def _require_same_form(found: dict[str, Any], network: Network | Supernet) -> None:
    """Raise UserError unless values are those of such a network, of which only the form counts."""
    for name, expected in network.state_dict().items():
        value = found[name]
        if value.shape != expected.shape or value.dtype != expected.dtype:
            raise UserError(
                f"{name}: {value.dtype} of shape {[*value.shape]}, not {expected.dtype} {[*expected.shape]}"
            )


def _require_texts(**found: Any) -> None:
    """Raise UserError unless all are texts, or lists of such."""
    for name, value in found.items():
        if not all(type(text) is str for text in (value if isinstance(value, list) else [value])):
            raise UserError(f"{name}: {shown(value)} is not a text")


def _check_facts(network: Network) -> None:
    """Raises UserError unless classes, mean, deviation and size are those of such a network."""
    for name, kind, length in (
        ("classes", str, network.shape.num_classes),
        ("mean", float, network.shape.in_channels),
        ("std", float, network.shape.in_channels),
    ):
        found = getattr(network, name)
        if not (isinstance(found, list) and len(found) == length and all(type(item) is kind for item in found)):
            raise UserError(f"{name}: not a list of {length} {kind.__name__}")
    if min(network.std) <= 0:
        raise UserError(f"std: {min(network.std)} is not positive")
    _require_texts(experiment=network.experiment)
    if type(network.test_accuracy) is not float:
        raise UserError(f"test_accuracy: {shown(network.test_accuracy)} is not a number")
    smallest, largest = network.shape.image_size, max(network.shape.image_size, LARGEST_IMAGE)
    if type(network.resize_to) is not int or not smallest <= network.resize_to <= largest:
        raise UserError(f"resize_to: {shown(network.resize_to)} is not a whole number of {smallest}..{largest}")
    if type(network.dataset) is not str or type(network.provenance) is not dict:
        raise UserError("dataset, provenance: not a text, not a mapping")


def save_supernet(path: Path, supernet: Supernet, policy_state: dict[str, Any]) -> None:
    """Write the shared weights, and the state of the policy that was trained with them, atomically."""
    content = {
        "format": SUPERNET_FORMAT,
        "supernet": {name: value.cpu() for name, value in supernet.state_dict().items()},
        "controller": policy_state,  # whatever the policy: so it is called in files of the first version
    }
    write_torch_file(path, content)


def load_supernet(path: Path, supernet: Supernet) -> dict[str, Any]:
    """Read the shared weights into `supernet`; returns the policy's state. Raises UserError, one line, when `path` does
    not hold them."""
    content = read_torch_file(path, "supernet", SUPERNET_FORMAT)
    with content_errors(path, "not of this supernet"):
        _require_same_form(content["supernet"], supernet)
        supernet.load_state_dict(content["supernet"])
        policy_state: dict[str, Any] = content["controller"]
    return policy_state


@contextmanager
def content_errors(path: str | Path, problem: str) -> Iterator[None]:
    """What goes wrong when objects are made from the content of a file of the right format is the file's fault: one
    line that names it."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
        raise UserError(f"{path}: {problem}: {' '.join(str(error).split())[:150]}") from None


def write_torch_file(path: Path, content: dict[str, Any]) -> None:
    """`torch.save`, atomically. By way of memory, since torch does not say which error a full disk is."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_bytes(path, buffer.getbuffer())


def read_torch_file(path: Path, what: str, file_format: int) -> dict[str, Any]:
    """Content of a `torch.save` file, which cannot execute code. Raises UserError, one line, when it is not a
    file of `what` in this format."""
    try:
        data = read_bytes(path)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
    try:
        content = load_plain(data)
    except Exception as error:  # whatever torch finds wrong with the bytes
        reason = f": {error}" if type(error) is ValueError else ""
        raise UserError(
            f"{path}: not a {what} file, or corrupt (Python objects are never loaded){reason[:150]}"
        ) from None
    found = content.get("format") if isinstance(content, dict) else None
    others = [kind for kind in KINDS if isinstance(content, dict) and kind in content and what not in content]
    if others:
        raise UserError(f"{path}: is {KINDS[others[0]]}, not {KINDS[what]}")
    if type(found) is not int or found != file_format:
        raise UserError(f"{path}: {what} file of format {shown(found)}, this version reads format {file_format}")
    return content
