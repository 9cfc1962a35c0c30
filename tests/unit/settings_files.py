"""Contents of config.yaml for tests, and what is said of wrong ones."""

from pathlib import Path

import pytest

from enas_core.console import UserError
from enas_core.settings.workflow import parse_workflow

ROOT = Path(__file__).parents[2]
ARC = " ".join(["0 4 1 4"] * 10)


def digits(**changes):
    """A small valid experiment with `changes` by dotted key, `__` for the dot."""
    experiment = {
        "dataset": {"name": "digits", "source": "digits", "split_test_images": 60},
        "search": {"aux_head": False, "batch_size": 32, "valid_images": 60},
        "augment": {"aux_head": False},
    }
    for key, value in changes.items():
        *sections, name = key.split("__")
        target = experiment
        for section in sections:
            target = target.setdefault(section, {})
        target[name] = value
    return experiment


def own(**changes):
    """Images of one's own, with `changes` as in `digits`."""
    return digits(**{"dataset": {"name": "mine", "source": "folder"}, **changes})


def cifar(**changes):
    return {"dataset": {"name": "cifar10", "source": "torchvision"}, **changes}


def parse(**experiments):
    return parse_workflow({"experiments": experiments}).experiments


def message_of(raw):
    """The one line with which `raw` is refused."""
    with pytest.raises(ValueError, match=r"^config\.yaml: ") as caught:
        parse_workflow(raw)
    message = str(caught.value)
    assert type(caught.value) is UserError
    assert len(message.splitlines()) == 1
    return message.removeprefix("config.yaml: ")
