"""Starts stages as forks of one process that has imported them: a start costs milliseconds, not seconds.

Reads one request (JSON) a line: `stage`, `arguments`, `output` (file for stdout and stderr), and a fault:
`max_bytes` (largest file that can be written), `fatal` (a larger one kills, by SIGXFSZ, in the middle of the
write), `event` and `signal` (the process sends itself the signal at its n-th operation on files). Writes the
child's pid, and when it has ended its exit code, negative for a signal; it is reaped with the next request,
so that its pid stays its own until then.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from typing import Any

import torch._dynamo  # noqa: F401  (the optimiser imports it at its first use, which takes a second)

import enas_core.training.run  # noqa: F401  (with all of torch that stages use)
from enas_core import augment, search

MAIN = {"search": search.main, "augment": augment.main}
TIME_LIMIT = 600  # seconds, then SIGALRM
FILE_OPERATIONS = {"os.rename", "os.remove", "os.chmod", "os.mkdir", "fcntl.flock"}


def signal_at_event(number: int, which: int) -> None:
    """Arrange for signal `which` at the `number`-th operation on files."""
    count = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event in FILE_OPERATIONS or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            count += 1
            if count == number:
                os.kill(os.getpid(), which)

    sys.addaudithook(hook)


def run(request: dict[str, Any]) -> int:
    """The stage, in the child."""
    signal.alarm(TIME_LIMIT)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, where the tests run in the background
    output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    if request.get("max_bytes"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["max_bytes"],) * 2)
        if request["fatal"]:
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    if request.get("event"):
        signal_at_event(request["event"], request["signal"])
    return MAIN[request["stage"]](request["arguments"])


def serve() -> None:
    """All requests, until stdin ends; says first that it is ready."""
    print("ready", flush=True)
    for line in iter(sys.stdin.readline, ""):
        child = os.fork()
        if child == 0:
            try:
                code = run(json.loads(line))
            except SystemExit as exit:
                code = int(exit.code)
            os._exit(code)  # without the second that the interpreter takes to forget its modules
        print(child, flush=True)
        ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        print(ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status, flush=True)
        sys.stdin.readline()  # an empty line: nobody will signal the child any more
        os.waitpid(child, 0)


if __name__ == "__main__":
    serve()
