"""The two trainings: of a supernet with its policy (search), and of one arc's own network (augment).

Start reading in `network.py`, the simpler loop, then in `supernet.py`. Both stand on small helpers, one matter a file:
`descent.py` (optimiser steps), `randomness.py`, `schedule.py`, `evaluation.py`, `checkpoint.py` (saving and resuming),
`processes.py` and `gpus.py` (several of them), `device.py`, `compilation.py`.

May import `policies`, `data`, `analysis`, `settings`, `spaces`, `files` and `console`. Imports torch.
"""

# Before torch, which imports numpy itself, and goes on with half of it when a signal interrupts that.
import numpy  # noqa: F401
