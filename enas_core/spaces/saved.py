"""The stand-alone network of one arc: what augment trains and what users load.

`load("results/cifar10/final.pt")` gives a trained network in evaluation mode.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from enas_core.console import UserError
from enas_core.files.atomic import write_bytes
from enas_core.spaces.micro.arc import Arc
from enas_core.spaces.micro.network import Network

FILE_FORMAT = 1


def save_network(path: Path, network: Network, facts: dict[str, Any]) -> None:
    """Write `network` with `facts` (classes, mean, std, experiment, test_accuracy, ...) atomically."""
    content = {
        "format": FILE_FORMAT,
        "arc": str(network.arc),
        "network": network.settings,
        "state_dict": {name: value.detach().cpu() for name, value in network.state_dict().items()},
        **facts,
    }
    write_torch_file(path, content)


def write_torch_file(path: Path, content: dict[str, Any]) -> None:
    """`torch.save`, atomically. By way of memory, since torch does not say which error a full disk is."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_bytes(path, buffer.getbuffer())


def read_torch_file(path: Path, what: str, file_format: int) -> dict[str, Any]:
    """Content of a `torch.save` file, which cannot execute code. Raises UserError, one line, when it is not a
    file of `what` in this format."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of the form of a pickle: if it matters, it raises
            content = torch.load(io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
    except Exception:  # whatever torch finds wrong with the bytes
        raise UserError(f"{path}: not a {what} file, or corrupt (Python objects are never loaded)") from None
    found = content.get("format") if isinstance(content, dict) else None
    if type(found) is not int or found != file_format:
        raise UserError(f"{path}: {what} file of format {found!r}, this version reads format {file_format}")
    return content


def load_network(path: str | Path) -> Network:
    """A trained network in evaluation mode. Raises UserError, one line, when `path` holds none."""
    content = read_torch_file(Path(path), "network", FILE_FORMAT)
    with _complete(Path(path)):
        network = Network(Arc.parse(content["arc"]), **content["network"])
        network.load_state_dict(content["state_dict"])
        for name in ("classes", "mean", "std", "experiment", "test_accuracy"):
            setattr(network, name, content[name])
        _check_facts(network)
    return network.eval()


def load_untrained(path: Path) -> Network:
    """The network of a file without values, on the meta device. Raises UserError as `load` does."""
    content = read_torch_file(path, "network", FILE_FORMAT)
    with _complete(path), torch.device("meta"):
        return Network(Arc.parse(content["arc"]), **content["network"])


@contextmanager
def _complete(path: Path) -> Iterator[None]:
    """What goes wrong when a network is made from a file of the right format becomes one line."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
        raise UserError(f"{path}: incomplete network file: {' '.join(str(error).split())[:150]}") from None


def _check_facts(network: Network) -> None:
    """Raises UserError unless classes, mean and deviation are those of such a network."""
    for name, kind, length in (
        ("classes", str, network.settings["num_classes"]),
        ("mean", float, network.settings["in_channels"]),
        ("std", float, network.settings["in_channels"]),
    ):
        found = getattr(network, name)
        if not (isinstance(found, list) and len(found) == length and all(type(item) is kind for item in found)):
            raise UserError(f"{name}: not a list of {length} {kind.__name__}")
