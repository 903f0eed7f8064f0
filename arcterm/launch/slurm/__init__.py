"""Slurm: runs handed in by ``sbatch``. Begin with `launcher`; `batch` is what runs inside a job.

Nothing here is imported before ``--launcher slurm`` is chosen, but for the declaration in this file.
"""

from __future__ import annotations

from arcterm_registry import Launcher, Option


def _text(name: str, help: str, default: str = "") -> Option:
    return Option(name=name, type=str, default=default, help=help)


def _count(name: str, help: str, default: int | None, low: int, high: int = 1 << 16) -> Option:
    return Option(name=name, type=int, default=default, help=help, low=low, high=high)


launcher = Launcher(
    summary="sbatch on a Slurm cluster; requeued when it is preempted or out of time",
    factory="arcterm.launch.slurm.engine:Slurm",
    check="arcterm.launch.slurm.options:check",
    remote=True,
    options=(
        _count("hosts", "nodes", 1, low=1),
        _count("gpus", "GPUs of each node, a rank each; 0 is the CPU", 0, low=0),
        _count(
            "threads", "CPU threads of each rank; its share of this machine's cores, 1 on a GPU", None, low=1
        ),
        _text("partition", "partition, or several with commas; the cluster's default"),
        _text("account", "account that is charged; the user's default"),
        _text("qos", "quality of service"),
        _text("reservation", "reservation to work in"),
        _text("time", "time limit, e.g. 90 (minutes), 12:00:00, 2-00; the partition's"),
        _text("gres", "generic resources of each node, e.g. gpu:a100:8, in place of gpus for Slurm"),
        _count("cpus", "CPU cores of each node; ranks x threads, 8 for each GPU", None, low=1),
        _text("memory", "memory of each node, e.g. 64G, 0 for all of it; the partition's"),
        _text("constraint", "features that the nodes must have, e.g. a100&ib"),
        _text("nodelist", "nodes that must be among them, e.g. n[1-4]"),
        _text("exclude", "nodes that must not, e.g. n7,n9"),
        Option(name="exclusive", type=bool, default=False, help="whether the nodes run nothing else"),
        Option(
            name="requeue", type=bool, default=True, help="whether it goes on after preemption and time limit"
        ),
        _count(
            "signal", "seconds before the time limit at which it saves; grace and a minute", None, 10, 65535
        ),
        _text("interface", "network interface on which the hosts meet, e.g. ib0; that of the node's address"),
        _text("setup", "shell file of yours that is read before the start, e.g. with `module load`"),
        _text("extra", "further options of sbatch, e.g. --mail-type=END --licenses=x:1"),
    ),
)
