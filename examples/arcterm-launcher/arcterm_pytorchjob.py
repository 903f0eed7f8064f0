"""Runs on Kubernetes, by Kubeflow's PyTorchJob: a pod on each host runs arcterm's command.

The manifest is JSON, which ``kubectl`` takes as it takes YAML, so that no value needs quoting by hand.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arcterm_registry import Launcher, Option
from arcterm_registry.contracts import EngineState, Submission

_KIND = "pytorchjobs.kubeflow.org"
_JOB = "training.kubeflow.org/job-name"
"""The label that Kubeflow gives the pods of a job."""
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_SECONDS = 4.0

pytorchjob = Launcher(
    summary="Kubernetes, by Kubeflow's PyTorchJob",
    factory="arcterm_pytorchjob:PyTorchJobs",
    remote=True,
    options=(
        Option(name="hosts", type=int, default=1, low=1, high=4096, help="pods, a host each"),
        Option(name="gpus", type=int, default=1, low=0, high=64, help="GPUs of each pod; 0: its CPU"),
        Option(name="threads", type=int, default=2, low=1, high=256, help="CPU threads of each rank"),
        Option(name="image", type=str, default="", help="container image in which arcterm is installed"),
        Option(name="claim", type=str, default="", help="volume claim with the runs and the data"),
        Option(name="mount", type=str, default="/data", help="where it lies, here and in the pods"),
        Option(name="namespace", type=str, default="default", help="Kubernetes namespace"),
        Option(name="queue", type=str, default="", help="Kueue's queue; none"),
    ),
)


@dataclass(frozen=True, kw_only=True)
class PyTorchJobs:
    """PyTorchJobs of one namespace; an id is the name of one."""

    hosts: int
    gpus: int
    threads: int
    image: str
    claim: str
    mount: str
    namespace: str
    queue: str

    def check(self, submission: Submission) -> list[str]:
        """Find what Kubernetes would refuse, or would only show when the pods start."""
        found = []
        if not self.image:
            found.append("no container image is given → give launcher.image")
        if not self.claim:
            found.append("no volume claim is given, and every pod must see the run → give launcher.claim")
        if not submission.folder.is_relative_to(self.mount):
            found.append(
                f"the run lies in {submission.folder.parent}, outside of the volume at {self.mount} "
                "→ give --runs-dir there, or another launcher.mount"
            )
        for name in ("namespace", "claim", "queue"):
            value = getattr(self, name)
            if value and not _LABEL.fullmatch(value):
                found.append(f"{name} {value!r} is no name in Kubernetes → change launcher.{name}")
        if shutil.which("kubectl") is None:
            found.append("there is no kubectl here → install it, and log in to the cluster")
        return found

    def describe(self, submission: Submission) -> str:
        """Return the manifest."""
        return json.dumps(self._manifest(submission), indent=2, ensure_ascii=False)

    def submit(self, submission: Submission) -> str:
        """Create the PyTorchJob; returns its name."""
        made = self._kubectl("create", "-f", "-", "-o", "name", given=self.describe(submission))
        return made.strip().rpartition("/")[2]

    def state(self, ids: Sequence[str]) -> Mapping[str, EngineState]:
        """Ask for the jobs and their pods, in a call each."""
        wanted = [each for each in ids if _LABEL.fullmatch(each)]
        found = {each: EngineState(state="unknown") for each in ids}
        if not wanted:
            return found
        jobs = self._get(_KIND, *wanted, "--ignore-not-found")
        pods = self._get("pods", "-l", f"{_JOB} in ({','.join(wanted)})")
        for job in jobs:
            name = job["metadata"]["name"]
            found[name] = _state(job, [pod for pod in pods if pod["metadata"]["labels"].get(_JOB) == name])
        return found

    def stop(self, id: str, *, at_once: bool) -> None:
        """Delete the job: its pods have their grace time, or a second."""
        if at_once:
            self._kubectl("delete", "pods", "-l", f"{_JOB}={id}", "--grace-period=1", "--wait=false")
        self._kubectl("delete", _KIND, id, "--wait=false", "--ignore-not-found")

    def logs(self, id: str) -> list[Path]:
        """Return no file: pods write to Kubernetes, and runs into their directories."""
        return []

    def _manifest(self, submission: Submission) -> dict[str, Any]:
        replicas = {"Master": 1, "Worker": submission.hosts - 1}
        pod = self._pod(submission)
        specs = {
            # a run that was stopped or has failed ends with a code of its own, and arcterm itself relaunches
            name: {"replicas": count, "restartPolicy": "Never", "template": {"spec": pod}}
            for name, count in replicas.items()
            if count
        }
        labels = {"app.kubernetes.io/managed-by": "arcterm"}
        if self.queue:
            labels["kueue.x-k8s.io/queue-name"] = self.queue
        return {
            "apiVersion": "kubeflow.org/v1",
            "kind": "PyTorchJob",
            "metadata": {
                # Kubernetes completes it: the job of a run that is resumed may still be there
                "generateName": f"arcterm-{re.sub('[^a-z0-9]+', '-', submission.run.lower())[:40]}-",
                "namespace": self.namespace,
                "labels": labels,
                "annotations": {"arcterm/run": submission.run, "arcterm/name": submission.name},
            },
            "spec": {
                "runPolicy": {"backoffLimit": 0, "cleanPodPolicy": "None"},
                "pytorchReplicaSpecs": specs,
            },
        }

    def _pod(self, submission: Submission) -> dict[str, Any]:
        limits: dict[str, Any] = {"cpu": submission.ranks * submission.threads}
        if submission.gpus:
            limits["nvidia.com/gpu"] = submission.gpus
        return {
            # what a checkpoint takes, and a little for the way to the ranks
            "terminationGracePeriodSeconds": int(submission.grace) + 30,
            "containers": [
                {
                    "name": "pytorch",  # Kubeflow looks for this name
                    "image": self.image,
                    "command": submission.command,
                    "workingDir": self.mount,
                    "resources": {"limits": limits},
                    "volumeMounts": [
                        {"name": "data", "mountPath": self.mount},
                        {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108  where ranks of a pod meet
                    ],
                }
            ],
            "volumes": [
                {"name": "data", "persistentVolumeClaim": {"claimName": self.claim}},
                {"name": "shm", "emptyDir": {"medium": "Memory"}},
            ],
        }

    def _get(self, *words: str) -> list[dict[str, Any]]:
        """Return what ``kubectl get -o json`` lists; one alone comes without a list."""
        text = self._kubectl("get", *words, "-o", "json")
        found = json.loads(text) if text.strip() else {"items": []}
        items: list[dict[str, Any]] = found.get("items", [found])
        return items

    def _kubectl(self, *words: str, given: str = "") -> str:
        command = ["kubectl", "--namespace", self.namespace, f"--request-timeout={_SECONDS:.0f}s", *words]
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, check=False, timeout=4 * _SECONDS
        )
        if done.returncode:
            said = done.stderr.strip() or f"it ended with {done.returncode}"
            raise RuntimeError(
                f"kubectl {words[0]}: {said} → `kubectl --namespace {self.namespace} get {_KIND}`"
            )
        return done.stdout


def _state(job: Mapping[str, Any], pods: Sequence[Mapping[str, Any]]) -> EngineState:
    """The state of a job by its conditions, and why its pods wait."""
    conditions = job.get("status", {}).get("conditions", [])
    holds = {each["type"]: each for each in conditions if each.get("status") == "True"}
    hosts = sorted({pod["spec"]["nodeName"] for pod in pods if pod["spec"].get("nodeName")})
    for name in ("Succeeded", "Failed"):
        if name in holds:
            return EngineState(state="ended", reason=holds[name].get("message", ""), hosts=hosts, raw=name)
    if "Running" in holds:
        return EngineState(state="running", hosts=hosts, raw="Running")
    waits = holds.get("Suspended", {}).get("message", "") or next(filter(None, map(_waits, pods)), "")
    return EngineState(state="queued", reason=waits, hosts=hosts, raw=next(reversed(holds), "Created"))


def _waits(pod: Mapping[str, Any]) -> str:
    """Why a pod has no host yet."""
    for each in pod.get("status", {}).get("conditions", []):
        if each.get("type") == "PodScheduled" and each.get("status") == "False":
            return str(each.get("message") or each.get("reason") or "")
    return ""
