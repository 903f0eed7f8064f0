"""A private cluster of Slurm on loopback: two nodes of this machine, with GPUs that are none, in a folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

PROGRAMS = ("munged", "mungekey", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel", "setpriv")
NODES = ("n1", "n2")
_PATIENCE_SECONDS = 60.0

_CONF = """\
ClusterName=arcterm
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock,cred_expire=5
CryptoType=crypto/munge
SlurmctldPort={controller}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
GresTypes=gpu
KillWait=30
MinJobAge=300
SlurmdTimeout=10
MailProg=/bin/true
{nodes}
PartitionName=low Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=20
PartitionName=high Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
PartitionName=night Nodes=ALL MaxTime=INFINITE State=DOWN PriorityTier=1
"""  # noqa: E501
_NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 RealMemory=4000 Gres=gpu:2"
_GPUS = "AutoDetect=off\nNodeName=n[1-2] Name=gpu Count=2 File=/dev/null,/dev/zero\n"


def missing() -> str:
    """Why a cluster can't be had here; empty if it can."""
    programs = [name for name in PROGRAMS if shutil.which(name) is None]
    if programs:
        return f"{', '.join(programs)} not installed: apt-get install slurm-wlm munge"
    return "" if os.getuid() == 0 else "Slurm's daemons need root here"


def wait_until(condition: Callable[[], object], what: str, patience: float = _PATIENCE_SECONDS) -> None:
    """Look again and again until `condition` is true; raises `TimeoutError` naming `what`."""
    until = time.monotonic() + patience
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"{what}: not within {patience:.0f} s")
        time.sleep(0.1)


@dataclass
class Cluster:
    """The daemons of one cluster and the environment in which Slurm's commands talk to it."""

    folder: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def conf(self) -> Path:
        return self.folder / "slurm.conf"

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which the commands, and arcterm's, find this cluster."""
        return {"SLURM_CONF": str(self.conf)}

    def configure(self) -> None:
        """Write the configuration, with ports that are free now."""
        host = socket.gethostname()
        controller, *ports = free_ports(1 + len(NODES))
        nodes = [
            _NODE.format(name=name, host=host, port=port) for name, port in zip(NODES, ports, strict=True)
        ]
        filled = _CONF.format(host=host, folder=self.folder, controller=controller, nodes="\n".join(nodes))
        self.conf.write_text(filled)
        (self.folder / "gres.conf").write_text(_GPUS)
        for name in ("state", *NODES):
            (self.folder / name).mkdir()
        key = self.folder / "munge.key"
        subprocess.run(["mungekey", "--create", f"--keyfile={key}"], check=True)
        key.chmod(0o600)

    def start(self) -> None:
        """Start all daemons and wait until both nodes are idle."""
        self.start_authentication()
        self.start_controller()
        for name in NODES:
            self.start_node(name)
        self.wait_for_nodes()

    def start_authentication(self) -> None:
        files = {
            "key-file": "munge.key",
            "socket": "munge.sock",
            "pid-file": "munged.pid",
            "log-file": "munged.log",
            "seed-file": "munged.seed",
        }
        options = [f"--{name}={self.folder / file}" for name, file in files.items()]
        self._start("munged", "munged", "--foreground", "--force", "--num-threads=2", *options)
        wait_until((self.folder / "munge.sock").exists, "munged's socket")

    def start_controller(self) -> None:
        self._start("slurmctld", "slurmctld", "-D", "-f", str(self.conf))
        wait_until(lambda: self.ask("scontrol", "ping", check=False).count(" UP"), "slurmctld")

    def start_node(self, name: str) -> None:
        self._start(name, "slurmd", "-D", "-f", str(self.conf), "-N", name)

    def wait_for_nodes(self) -> None:
        """Wait until both nodes are idle."""
        wait_until(
            lambda: self.ask("sinfo", "-h", "-p", "low", "-o", "%D %t").split() == ["2", "idle"],
            "two idle nodes",
        )

    def end(self, name: str, number: int = signal.SIGTERM) -> None:
        """End one daemon by a signal."""
        process = self.processes.pop(name)
        process.send_signal(number)
        process.wait(timeout=30)

    def end_node(self, name: str) -> None:
        """Let a node die: its daemons and all that they run, at once."""
        jobs = [process for process in self.left() if _variable(process, "SLURMD_NODENAME") == name]
        above = {parent for process in jobs for parent in process.parents() if parent.name() == "slurmstepd"}
        self.end(name, signal.SIGKILL)
        # first what would report how the others end
        for process in [*above, *jobs]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def stop(self) -> None:
        """Cancel all jobs, end the daemons, and kill what outlives them, which is a `TimeoutError`."""
        with contextlib.suppress(
            subprocess.CalledProcessError, TimeoutError
        ):  # they end without their leave too
            self.clear()
        for name in reversed(list(self.processes)):
            self.end(name)
        try:
            self.wait_for_the_last()
        finally:
            for process in self.left():
                process.kill()

    def strays(self) -> list[str]:
        """What runs of the cluster beside its daemons: supervisors and ranks of jobs, in words."""
        daemons = {process.pid for process in self.processes.values()}
        return [_words(process) for process in self.left() if process.pid not in daemons]

    def wait_for_the_last(self, patience: float = _PATIENCE_SECONDS) -> None:
        """Wait until nothing of the cluster runs but its daemons; raises `TimeoutError` naming what does."""
        try:
            wait_until(lambda: not self.strays(), "the end of what jobs started", patience)
        except TimeoutError as error:
            raise TimeoutError("\n".join([str(error), *self.strays()])) from None

    def clear(self) -> None:
        """Cancel all jobs and wait for their end."""
        self.ask("scancel", "--user=root", check=False)
        wait_until(lambda: not self.ask("squeue", "-h").strip(), "the end of all jobs")

    def recover(self) -> None:
        """Make it idle again, with daemons that a test ended."""
        gone = [name for name in ("slurmctld", *NODES) if not self._lives(name)]
        if "slurmctld" in gone:
            self.start_controller()
        self.clear()
        for name in gone:
            if name in NODES:
                self.start_node(name)
        self.wait_for_nodes()

    def ask(self, *words: str, check: bool = True) -> str:
        """What one of Slurm's commands prints."""
        environ = {**os.environ, **self.environment}
        return subprocess.run(words, env=environ, check=check, capture_output=True, text=True).stdout

    def left(self) -> list[psutil.Process]:
        """Processes of this cluster, daemons and jobs, other than the commands' own."""
        mine = os.getpid()
        found = []
        for process in psutil.process_iter():
            if process.pid != mine and _variable(process, "SLURM_CONF") == str(self.conf):
                found.append(process)
        return found

    def _lives(self, name: str) -> bool:
        return name in self.processes and self.processes[name].poll() is None

    def _start(self, name: str, *words: str) -> None:
        environ = {**os.environ, **self.environment}
        with (self.folder / f"{name}.out").open("ab") as output:
            self.processes[name] = subprocess.Popen(
                # whatever ends the tests ends the daemons
                ["setpriv", "--pdeathsig", "TERM", *words],
                env=environ,
                cwd=self.folder,  # where one that crashes leaves its memory
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )


@contextlib.contextmanager
def running() -> Iterator[Cluster]:
    """A cluster that is up; nothing of it is left behind."""
    # sockets have short paths only, and pytest's folders long ones
    cluster = Cluster(Path(tempfile.mkdtemp(prefix="arcterm-slurm-")))
    try:
        cluster.configure()
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(cluster.folder)


def free_ports(count: int) -> list[int]:
    """Ports that are free now on loopback."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _words(process: psutil.Process) -> str:
    try:
        return f"{process.pid} {process.status()} {' '.join(process.cmdline())}"
    except psutil.Error:
        return f"{process.pid}"


def _variable(process: psutil.Process, name: str) -> str:
    try:
        return process.environ().get(name, "")
    except (psutil.Error, OSError):
        return ""
