"""The device that a process computes on."""

import pytest
import torch

from enas_core.training.device import pick_device

CPU = torch.device("cpu")


def test_devices():
    threads = torch.get_num_threads()
    try:
        assert pick_device("cpu", 1) == CPU
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)


def test_a_device_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    threads = torch.get_num_threads()
    assert pick_device("auto", threads) == CPU
    with pytest.raises(ValueError, match=r"--device cuda: no CUDA device is there; allowed here: auto, cpu"):
        pick_device("cuda", threads)
