"""A program that prints the UUIDs of the GPUs that CUDA offers here: one a line, in the order of CUDA's numbers.

CUDA reads CUDA_VISIBLE_DEVICES and CUDA_DEVICE_ORDER when it starts in a process, and never again: a process that has
asked it cannot choose any more. So `gpus.py` runs this file, by its path, in a process of its own. CUDA itself is asked
because nobody else knows what its numbers mean: nvidia-smi counts in another order, and containers show it more."""

from __future__ import annotations

import ctypes
import sys
from uuid import UUID

NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE in cuda.h, which also says that none of those listed is there


def _check(status: int) -> None:
    """End the program with exit code 1 where CUDA does not answer."""
    if status != 0:
        sys.exit(f"CUDA error {status}")


def main() -> None:
    """Ask CUDA's driver library, which is there wherever torch can use CUDA."""
    cuda = ctypes.CDLL("libcuda.so.1")
    status = cuda.cuInit(0)
    if status == NO_DEVICE:
        return
    _check(status)
    count = ctypes.c_int()
    _check(cuda.cuDeviceGetCount(ctypes.byref(count)))
    for number in range(count.value):
        device = ctypes.c_int()
        _check(cuda.cuDeviceGet(ctypes.byref(device), number))
        uuid = (ctypes.c_ubyte * 16)()
        # The second version of this function answers for a MIG device with the UUID of its own.
        _check(cuda.cuDeviceGetUuid_v2(uuid, device))
        print(UUID(bytes=bytes(uuid)))


if __name__ == "__main__":
    main()
