"""Why Slurm holds a job back, in a person's words."""

from __future__ import annotations

import re

_REASONS = {
    "None": "just handed in",
    "Resources": "waits for nodes to become free",
    "Priority": "others have a higher priority",
    "Dependency": "waits for another job",
    "DependencyNeverSatisfied": "the job that it waits for did not end as it should",
    "BeginTime": "its time to begin has not come",
    "JobHeldUser": "held by its user: `scontrol release` lets it go",
    "JobHeldAdmin": "held by an administrator",
    "PartitionDown": "its partition is down",
    "PartitionInactive": "its partition takes no jobs",
    "PartitionNodeLimit": "it asks for more nodes than its partition gives",
    "PartitionTimeLimit": "its time is above the partition's limit",
    "PartitionConfig": "its partition can't give what it asks for",
    "NodeDown": "a node that it needs is down",
    "ReqNodeNotAvail": "nodes that it needs are down or reserved",
    "BadConstraints": "no node has what it asks for",
    "Reservation": "waits for its reservation",
    "ReservationDeleted": "its reservation is gone",
    "Licenses": "waits for a licence",
    "Cleaning": "its last nodes are still being cleaned up",
    "Prolog": "its nodes are being made ready",
    "InvalidAccount": "its account is not known",
    "InvalidQOS": "its quality of service is not known",
    "AccountNotAllowed": "its account may not use the partition",
    "QOSNotAllowed": "its quality of service may not use the partition",
    "FrontEndDown": "Slurm's front end is down",
    "NonZeroExitCode": "it ended with an error",
    "TimeLimit": "it ran into its time limit",
    "JobLaunchFailure": "Slurm could not start it on its nodes",
    "NodeFail": "a node failed",
    "OutOfMemory": "it had not enough memory",
    "RaisedSignal": "it was ended by a signal",
    "DeadLine": "it could not be done before its deadline",
    "launch_failed_requeued_held": "Slurm could not start it on its nodes, and holds it",
    "job_requeued_in_held_state": "requeued and held: `scontrol release` lets it go",
}
_OWNERS = {
    "QOS": "its quality of service",
    "Assoc": "its account",
    "Association": "its account",
}
_LIMITS = (
    ("Cpu|CPU", "CPU cores"),
    ("GRES", "GPUs or the like"),
    ("Node", "nodes"),
    ("Mem", "memory"),
    ("Submit", "jobs handed in"),
    ("Wall", "time"),
    ("Billing", "billing"),
    ("License", "licences"),
    ("BB", "burst buffers"),
    ("Jobs?", "jobs"),  # after those that end in PerJob
)
_LIMIT = re.compile(rf"({'|'.join(_OWNERS)})(Grp|Max|Min)?")


def worded(reason: str) -> str:
    """A reason of squeue's with what it means: ``waits for nodes to become free (Resources)``.

    One that is not known stays as it is. Slurm may write more behind a comma.
    """
    code, _, more = reason.partition(",")
    code = code.strip("() ")
    if code in ("", "None"):
        return _REASONS["None"]
    words = _REASONS.get(code) or _limit(code)
    detail = f"{code}:{more}" if more.strip() else code
    return f"{words} ({detail})" if words else code


def _limit(code: str) -> str:
    """A limit of an account or of a quality of service, of which there are a hundred; empty if it is none."""
    match = _LIMIT.match(code)
    rest = code[match.end() :] if match else ""
    of = next((words for pattern, words in _LIMITS if re.search(pattern, rest)), "")
    if match is None or not of:
        return ""
    return f"{_OWNERS[match[1]]} {'asks for more' if match[2] == 'Min' else 'gives no more'} {of}"
