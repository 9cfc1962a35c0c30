"""Who gets which GPU. CUDA is a library of the test's own, with three GPUs, unless a test says otherwise."""

import select
import subprocess
import sys
import uuid
from types import SimpleNamespace

import pytest

from enas_core.console import RunError, UserError
from enas_core.training import gpus
from enas_core.training.gpus import SCHEDULERS, claim_gpus, share_claims, shared_claims, visible_gpus

TIMEOUT = 60

LIBCUDA = r"""
#include <stdlib.h>
#include <string.h>

static int devices[8], count;

/* As CUDA does: the devices of CUDA_VISIBLE_DEVICES, in its order, up to the first that is not there. */
int cuInit(unsigned flags)
{
    const char *listed = getenv("CUDA_VISIBLE_DEVICES"), *status = getenv("CUINIT_STATUS");
    if (status)
        return atoi(status);
    if (!listed)
        listed = "0,1,2";
    while (*listed >= '0' && *listed <= '2') {
        devices[count++] = *listed++ - '0';
        if (*listed == ',')
            listed++;
    }
    return count ? 0 : 100;
}

int cuDeviceGetCount(int *number) { *number = count; return 0; }
int cuDeviceGet(int *device, int ordinal) { *device = devices[ordinal]; return 0; }
int cuDeviceGetUuid_v2(unsigned char *uuid, int device) { memset(uuid, 0xa0 + device, 16); return 0; }
"""

UUIDS = [str(uuid.UUID(bytes=bytes([0xA0 + k] * 16))) for k in range(3)]


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """Folder of the library."""
    folder = tmp_path_factory.mktemp("cuda")
    (folder / "cuda.c").write_text(LIBCUDA)
    try:
        subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / "libcuda.so.1", folder / "cuda.c"], check=True)
    except FileNotFoundError:
        pytest.skip("no C compiler")
    return folder


@pytest.fixture
def cuda(library, monkeypatch):
    """A machine with three GPUs and no scheduler; returns what sets CUDA_VISIBLE_DEVICES."""
    monkeypatch.setenv("LD_LIBRARY_PATH", str(library))

    def see(listed):
        if listed is None:
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        else:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)

    return see


@pytest.fixture
def own(monkeypatch):
    """Three GPUs, by complete UUIDs, that no other test knows; returns what sets CUDA_VISIBLE_DEVICES."""
    names = [f"GPU-{uuid.uuid4()}" for _ in range(3)]

    def see(*numbers):
        chosen = [names[k] for k in numbers]
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(chosen))
        return chosen

    return see


class WaitingError(Exception):
    """The GPUs are taken."""


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """No scheduler; and to wait for a GPU is an error."""

    def wait(seconds):
        raise WaitingError

    monkeypatch.setattr(gpus, "time", SimpleNamespace(sleep=wait))
    for variable in SCHEDULERS.values():
        monkeypatch.delenv(variable, raising=False)


def release(claims):
    """Let others have them."""
    for claim in claims:
        claim.release()


# --- which GPUs there are -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (None, {"0": 0, "1": 1, "2": 2}),
        ("1,0", {"1": 1, "0": 0}),
        ("2,-1,1", {"2": 2}),
        ("1,7,0", {"1": 1}),
        ("7", {}),
        ("", {}),
        ("-1", {}),
        ("NoDevFiles", {}),
    ],
)
def test_cuda_says_which_gpus_the_numbers_mean(cuda, listed, expected):
    cuda(listed)
    assert visible_gpus() == {name: UUIDS[k] for name, k in expected.items()}


def test_complete_names_speak_for_themselves(cuda):
    one, two = (str(uuid.uuid4()) for _ in range(2))
    cuda(f"GPU-{one},GPU-{two.upper()}")
    assert visible_gpus() == {f"GPU-{one}": one, f"GPU-{two.upper()}": two}
    cuda(f"MIG-{one},MIG-{two}")  # CUDA itself would show the first one only
    assert visible_gpus() == {f"MIG-{one}": one, f"MIG-{two}": two}


@pytest.mark.parametrize(("status", "expected"), [("100", {}), ("999", {"0": "0", "1": "1"})])
def test_no_gpu_and_no_answer_are_not_the_same(cuda, monkeypatch, status, expected):
    monkeypatch.setenv("CUINIT_STATUS", status)
    cuda("0,1")
    assert visible_gpus() == expected
    cuda(None)
    assert visible_gpus() == {}


@pytest.mark.parametrize(
    ("listed", "expected"), [("0,1", ["0", "1"]), ("", []), ("-1", []), ("2,-1,3", ["2"]), ("GPU-a", ["GPU-a"])]
)
def test_without_cuda_names_stand_for_themselves(monkeypatch, listed, expected):
    monkeypatch.setattr(gpus, "_ask_cuda", lambda: None)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
    assert visible_gpus() == {name: name for name in expected}


# --- claims -------------------------------------------------------------------------------------


def test_each_claim_gets_gpus_of_its_own(own):
    names = own(0, 1, 2)
    one, held_one = claim_gpus(1)
    two, held_two = claim_gpus(2)
    assert sorted(one + two) == sorted(names)
    release(held_one + held_two)
    assert claim_gpus(1)[0] == names[:1]


def test_the_only_gpu_is_claimed_too(own):
    (name,) = own(0)
    found, claims = claim_gpus(1)
    assert found == [name]
    with pytest.raises(WaitingError):
        claim_gpus(1)
    release(claims)
    found, claims = claim_gpus(1)
    assert found == [name]
    release(claims)


@pytest.mark.parametrize("first", ["1", f"GPU-{UUIDS[1]}"])
def test_all_names_of_a_gpu_are_one_claim(cuda, first):
    cuda(first)
    found, claims = claim_gpus(1)
    assert found == [first]
    for other in ("1", f"GPU-{UUIDS[1]}", f"GPU-{UUIDS[1]}".upper()):
        cuda(other)
        with pytest.raises(WaitingError):
            claim_gpus(1)
    cuda(None)
    assert claim_gpus(1)[0] == ["0"]
    release(claims)


def test_who_waits_keeps_nothing(own):
    own(0)
    _, taken = claim_gpus(1)
    names = own(0, 1)
    with pytest.raises(WaitingError):
        claim_gpus(2)
    found, claims = claim_gpus(1)
    assert found == names[1:]
    release(taken + claims)


def test_stages_may_share_a_gpu_on_purpose(own):
    names = own(0, 1)
    both, held = claim_gpus(2, slots=2)
    assert both == names
    for name in names:
        found, claims = claim_gpus(1, slots=2)
        assert found == [name]
        held += claims
    with pytest.raises(WaitingError):
        claim_gpus(1, slots=2)
    release(held)


@pytest.mark.parametrize("variable", SCHEDULERS.values())
def test_what_a_scheduler_has_assigned_is_taken_as_it_is(own, monkeypatch, variable):
    monkeypatch.setenv(variable, "17")
    names = own(0)
    assert claim_gpus(1) == (names, [])
    assert claim_gpus(1) == (names, [])
    own(0, 1)  # a job with two GPUs may run two stages
    (one, held_one), (two, held_two) = claim_gpus(1), claim_gpus(1)
    assert one != two
    release(held_one + held_two)


def test_a_machine_without_gpus_limits_nothing(cuda, monkeypatch):
    monkeypatch.setenv("CUINIT_STATUS", "100")
    for listed in (None, "", "0"):
        cuda(listed)
        assert claim_gpus(2) == ([], [])


def test_more_gpus_than_there_are(cuda):
    cuda("1,2")
    with pytest.raises(UserError, match=r"--gpus: 3 GPUs are asked for, 2 can be used here: 1, 2"):
        claim_gpus(3)


def test_a_name_that_cannot_be_claimed_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(gpus, "_ask_cuda", lambda: None)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "x" * 200)
    with pytest.raises(OSError, match="too long"):
        claim_gpus(1)


def test_a_killed_jobs_gpu_is_free_again(own):
    names = own(0, 1)
    script = "from enas_core.training.gpus import claim_gpus\nfound, held = claim_gpus(1)\nprint(*found, flush=True)"
    command = [sys.executable, "-c", f"{script}\ninput()"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    started = [subprocess.Popen(command, **pipes) for _ in range(3)]
    # The third one waits, whichever it is.
    first = {process: process.stdout.readline().strip() for process in two_that_answer(started)}
    assert sorted(first.values()) == sorted(names)
    (waiting,) = set(started) - set(first)
    killed = next(iter(first))
    killed.kill()
    assert waiting.stdout.readline().strip() == first[killed]
    for process in started:
        process.kill()
        process.communicate()


def two_that_answer(processes):
    """Those of three processes that have written a line, once two have."""
    ready = set()
    while len(ready) < 2:
        waiting = {process.stdout: process for process in processes if process not in ready}
        ready |= {waiting[stream] for stream in select.select(list(waiting), [], [], TIMEOUT)[0]}
    return ready


# --- the processes that torchrun starts ---------------------------------------------------------


def test_a_gpu_is_taken_until_the_last_process_that_shares_the_claim_has_ended(own, monkeypatch):
    monkeypatch.setenv("ENAS_CLAIMS", "")
    names = own(0, 1)
    _, claims = claim_gpus(2)
    share_claims(claims)
    first, second = shared_claims(0), shared_claims(1)
    assert [claim.gpu for claim in first + second] == names
    release(claims)
    for number, worker in enumerate((first, second)):
        own(number)
        with pytest.raises(WaitingError):
            claim_gpus(1)
        release(worker)
        release(claim_gpus(1)[1])


def test_processes_whose_gpu_another_stage_has_taken_end(own, monkeypatch):
    monkeypatch.setenv("ENAS_CLAIMS", "")
    (name,) = own(0)
    share_claims(claim_gpus(1)[1])
    held = shared_claims(0)
    with pytest.raises(RunError, match=f"another stage has taken GPU {name}"):
        shared_claims(0)
    release(held)


def test_nothing_to_share(monkeypatch):
    monkeypatch.setenv("ENAS_CLAIMS", "anything")
    share_claims([])
    assert shared_claims(1) == []
    monkeypatch.delenv("ENAS_CLAIMS")
    assert shared_claims(1) == []


def test_gpus_are_chosen_before_torch_is_imported():
    script = "import enas_core.training.launch, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=TIMEOUT)
