"""ENAS micro search: everything that computes. The workflow around it is in `workflow/`."""

# Before torch, which imports numpy itself and goes on with half of it when a signal interrupts that.
import numpy  # noqa: F401
