"""A Slurm of one node with two GPUs that are not there, for tests. Needs root.

    python tests/cluster/slurm.py    starts it, prints how to use it, and stops it at Ctrl-C

Everything that it writes is in a temporary folder. The node claims more CPUs and memory than the machine may have, so
that the tests do not depend on the machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

HOST = socket.gethostname().split(".")[0]
TIME_LIMIT = 60  # seconds for anything that Slurm is asked to do

CONFIG = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
AuthType=auth/munge
# A requeued job starts again as soon as its credential has expired: after 10 seconds instead of two minutes.
AuthInfo=socket={folder}/munge.socket,cred_expire=10
StateSaveLocation={folder}/controller
SlurmdSpoolDir={folder}/node
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
# Nothing of the system's: no cgroups, no accounting.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
# Without cgroups, what exceeds its memory is found by looking every second.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
# GPUs are counted, and jobs of higher priority requeue others.
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=5
CompleteWait=0
ReturnToService=0
MinJobAge=600
GresTypes=gpu
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=16 RealMemory=64000 Gres=gpu:fake:2 State=UNKNOWN
PartitionName=normal Nodes={host} Default=YES PriorityTier=1 State=UP
PartitionName=urgent Nodes={host} PriorityTier=10 PreemptMode=OFF State=UP
"""
CLIENTS = ("srun", "sbatch", "squeue", "scancel", "scontrol", "sinfo", "sacct", "sacctmgr", "sshare")


class Slurm:
    """Use as a context manager. `environment`: what a process needs to be its client."""

    def __init__(self) -> None:
        # Not pytest's folder, which is root's alone: munge wants a socket that everyone reaches.
        self.folder = Path(tempfile.mkdtemp(prefix="enas-slurm-"))
        self.folder.chmod(0o755)
        self.daemons: list[subprocess.Popen[bytes]] = []
        self.environment = os.environ | {
            "PATH": f"{self.folder}/bin:{os.environ['PATH']}",
            "SLURM_CONF": f"{self.folder}/slurm.conf",
        }

    def __enter__(self) -> Slurm:
        try:
            self._write()
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if len(self.daemons) == 3:
                self.cancel_all()
        finally:
            for daemon in reversed(self.daemons):
                daemon.terminate()
                try:
                    daemon.wait(TIME_LIMIT)
                except subprocess.TimeoutExpired:
                    daemon.kill()
            self._kill_leftovers()
            shutil.rmtree(self.folder)

    def _write(self) -> None:
        for name in ("bin", "controller", "node"):
            (self.folder / name).mkdir()
        with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
            ports = {"controller_port": one.getsockname()[1], "node_port": other.getsockname()[1]}
        (self.folder / "slurm.conf").write_text(CONFIG.format(folder=self.folder, host=HOST, **ports))
        for i in range(2):  # Slurm wants a device: these are like /dev/null
            os.mknod(self.folder / f"gpu{i}", 0o020666, os.makedev(1, 3))
        (self.folder / "gres.conf").write_text(f"NodeName={HOST} Name=gpu Type=fake File={self.folder}/gpu[0-1]\n")
        (self.folder / "munge.key").write_bytes(os.urandom(128))
        (self.folder / "munge.key").chmod(0o600)
        # Snakemake's plugin drops SLURM_CONF from the environment of its `srun`, which then looks in /etc/slurm.
        for name in CLIENTS:
            client = self.folder / "bin" / name
            client.write_text(f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec {shutil.which(name)} "$@"\n')
            client.chmod(0o755)

    def _start(self) -> None:
        folder, socket_file = self.folder, self.folder / "munge.socket"
        munge = [f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "log", "seed")]
        self._daemon("munged", "--foreground", f"--socket={socket_file}", *munge)
        self.wait_for(socket_file.exists)
        self._daemon("slurmctld", "-D", "-i")
        self._daemon("slurmd", "-D")
        self.wait_for(lambda: self.run("sinfo", "--noheader", "--format=%T", check=False) == "idle")

    def _daemon(self, name: str, *options: str) -> None:
        # Programs of administrators, which PATH may lack.
        program = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
        assert program, f"{name} is not installed"
        with (self.folder / f"{name}.log").open("wb") as log:
            daemon = subprocess.Popen(
                [program, *options],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is not theirs
            )
        self.daemons.append(daemon)

    def cancel_all(self) -> None:
        """Until no job is left, nor a process of one."""
        self.run("scancel", "--user=root", check=False)
        self.wait_for(lambda: self.run("squeue", "--noheader", check=False) == "")

    def _kill_leftovers(self) -> None:
        """Slurm does not follow the processes of a node that was said to be down; a real one would be restarted."""
        ours = f"SLURM_CONF={self.folder}/slurm.conf".encode()
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if ours in (process / "environ").read_bytes().split(b"\0") and int(process.name) != os.getpid():
                    os.kill(int(process.name), signal.SIGKILL)

    def run(self, *command: str, check: bool = True) -> str:
        """What a client prints."""
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=TIME_LIMIT, check=False
        )
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout.strip()

    def wait_for(self, condition) -> None:
        """Until it holds, or a daemon has ended."""
        end = time.monotonic() + TIME_LIMIT
        while not condition():
            ended = [d.args[0] for d in self.daemons if d.poll() is not None]
            assert not ended, self.logs()
            assert time.monotonic() < end, self.logs()
            time.sleep(0.1)

    def logs(self) -> str:
        """The end of each daemon's log."""
        return "\n".join("".join(path.read_text().splitlines(True)[-15:]) for path in self.folder.glob("*.log"))


if __name__ == "__main__":
    with Slurm() as slurm:
        print(f"export PATH={slurm.folder}/bin:$PATH SLURM_CONF={slurm.folder}/slurm.conf", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
