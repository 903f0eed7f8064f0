"""A job for arcterm: how many images each identity of a folder has, and how many of them differ."""

import hashlib
import json
from pathlib import Path

from arcterm_registry import JobPath, JobSpec, Option
from arcterm_registry.contracts import JobContext, JobReport

count_identities = JobSpec(
    summary="Count the images of each identity in a folder, copies once",
    paths=(JobPath(name="src", help="A folder with one folder per identity."),),
    options=(
        Option(name="least", type=int, default=2, low=1, help="identities with fewer images are problems"),
    ),
    factory="arcterm_counting:count",
)


def count(context: JobContext, src: str, *, least: int) -> JobReport:
    """Count identity by identity; what is counted is kept in the job's own directory for a resume."""
    note = context.work / "counts.json"
    counts = json.loads(note.read_text()) if note.exists() else {}
    identities = sorted(path for path in Path(src).iterdir() if path.is_dir())
    for number, identity in enumerate(identities, start=1):
        if identity.name in counts:
            continue
        images = {hashlib.sha256(path.read_bytes()).digest() for path in identity.iterdir()}
        counts[identity.name] = len(images)
        if context.progress(number, len(identities), "count", "identities"):
            note.write_text(json.dumps(counts))
    few = [name for name, images in counts.items() if images < least]
    return JobReport(
        lines=[
            f"{len(counts):,} identities, {sum(counts.values()):,} images",
            *(f"few images: {n}" for n in few),
        ],
        data={"images": counts},
        problems=len(few),
    )
