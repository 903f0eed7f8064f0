"""``python -m soak.run [--faults 200] [--seed N]``: trainings under random faults; 1 if anything is lost.

An undisturbed training says which weights there must be. Then one training after the other is disturbed by
faults drawn at random, and resumed where it does not go on by itself, until it is done: it must end with the
very weights, every step in its curve, no process and no temporary file left. As a check of the check, the
weights of a training in another order of images must be found to be others.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from arcterm.runs.store import Run
from soak.faults import Fault, Scene, possible
from soak.training import Place, StuckError, digest, ended, processes, step, violations, wait

FINDINGS = Path(__file__).with_name("findings")
_SETTLE_SECONDS = 2.5
_ROOM = "48m"


def main() -> int:
    """Run the soak."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    asked = parser.parse_args()
    print(f"{asked.faults} faults, --seed {asked.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="arcterm-soak-") as folder:
        runs = Path(folder) / "runs"
        runs.mkdir()
        mounted = ["mount", "-t", "tmpfs", "-o", f"size={_ROOM}", "arcterm-soak", str(runs)]
        is_mounted = subprocess.run(mounted, check=False, capture_output=True).returncode == 0
        try:
            return _soak(Place(Path(folder), runs), asked.faults, random.Random(asked.seed))
        finally:
            if is_mounted:
                subprocess.run(["umount", "--lazy", str(runs)], check=False)


def _soak(place: Place, count: int, chance: random.Random) -> int:
    began, done, rounds = time.monotonic(), 0, 0
    calm, other = place.train("calm"), place.train("other", seed=1)
    for run in (calm, other):
        wait(f"{run.name} to be done", lambda run=run: ended(run), 300)
        wait("its processes to end", lambda run=run: not list(processes(run)), 60)
    expected = digest(calm)
    if violations(calm, expected) or not violations(other, expected):
        print("the check is no check: another order of images was not noticed", flush=True)
        return 1
    faults = possible(place)
    for run in (calm, other):
        place.arcterm("rm", run.id, "--yes")
    while done < count:
        rounds += 1
        run = place.train(f"round-{rounds}")
        said: list[str] = []
        try:
            while done < count and not _is_done(run):
                if not (fault := _disturb(Scene(place, run, chance), chance.choice(faults))):
                    continue
                said.append(fault)
                done += 1
                print(f"{time.monotonic() - began:6.0f} s  {done:4}  {said[-1]}", flush=True)
            _finish(place, run)
            wrong = violations(run, expected)
        except StuckError as error:
            wrong = [str(error)]
        if wrong:
            print(f"FOUND in round {rounds}, after:", *said, "wrong:", *wrong, sep="\n  ", flush=True)
            print(place.arcterm("show", run.id, codes=(0, 1, 2, 3, 4)).stdout, flush=True)
            _end(run)
            kept = shutil.copytree(run.path, FINDINGS / run.id)
            print(f"the run's directory is kept: {kept}", flush=True)
            return 1
        place.arcterm("rm", run.id, "--yes")
    print(
        f"{done} faults in {rounds} trainings, {time.monotonic() - began:.0f} s: nothing was lost", flush=True
    )
    return 0


def _disturb(scene: Scene, fault: Fault) -> str:
    """Wait for a moment in which the run is at work, and do something to it; then see that it goes on."""
    _go_on(scene.place, scene.run)
    time.sleep(scene.chance.uniform(0, _SETTLE_SECONDS))
    return fault(scene) if not _is_done(scene.run) else ""


def _go_on(place: Place, run: Run) -> None:
    """Wait until the ranks make steps, in the attempt that is the last; resume a run that has ended."""
    before = step(run)

    def advances() -> bool:
        if (state := ended(run)) is not None:
            if state.state != "done":
                wait("the processes of a run that ended to end", lambda: not list(processes(run)), 60)
                place.resume(run)
            return state.state == "done"
        attempt, made = step(run)
        return made >= 0 and (attempt > before[0] or made > before[1] + 1)

    wait("the run to go on", advances)


def _finish(place: Place, run: Run) -> None:
    """Let a run come to its end, resumed where it has to be."""

    def is_over() -> bool:
        if (state := ended(run)) is not None and state.state != "done":
            wait("the processes of a run that ended to end", lambda: not list(processes(run)), 60)
            place.resume(run)
        return _is_done(run)

    wait("the run to be done", is_over, 300)
    wait("its processes to end", lambda: not list(processes(run)), 60)


def _is_done(run: Run) -> bool:
    state = ended(run)
    return state is not None and state.state == "done"


def _end(run: Run) -> None:
    for process in processes(run):
        process.kill()


if __name__ == "__main__":
    sys.exit(main())
