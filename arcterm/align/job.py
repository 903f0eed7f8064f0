"""``arcterm align``: the photos of a folder to aligned faces in another, on every rank."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
from arcterm_registry.contracts import JobReport

from arcterm.align.detection import Choice, Detectors, choose
from arcterm.align.guides import read_guides
from arcterm.align.outcome import Outcome, count, left_out, report
from arcterm.align.photos import LIST, Photos, find_photos, output_names
from arcterm.align.presets import PRESETS, Preset
from arcterm.align.rows import RowReader
from arcterm.align.sheet import draw_sheet
from arcterm.align.steps import Aligner, Which
from arcterm.align.workers import Workers
from arcterm.errors import ConfigError, DataError
from arcterm.files import require_free, stamp, write_bytes
from arcterm.runs.context import JobContext

_LISTED = "photos.json"


def align(
    context: JobContext,
    src: str,
    dst: str,
    *,
    preset: str,
    detector: str,
    weights: str,
    faces: Which,
    size: int,
    boxes: str,
    set: str,
) -> JobReport:
    """Write an aligned face of `size` × `size` for each photo of `src`, under its name below `dst`.

    The ranks share the photos; each works on several at once, by threads. ``align.jsonl`` says what was done
    with each photo, ``sheet.jpg`` shows some. A stopped job goes on where it was, and the same input gives
    the same bytes. Raises `DataError`, leaving nothing at `dst`.
    """
    source, target, chosen = Path(src), Path(dst), PRESETS[preset]
    if faces == "all" and chosen.guide:
        raise ConfigError(
            f"--faces all is not for --preset {preset}, which knows the face of each photo",
            "leave it out, or use --preset folder",
        )
    if target.resolve().is_relative_to(source.resolve()):
        raise DataError(f"{target} lies inside {source}", "choose a folder outside of it")
    require_free(target)
    rank, ranks = (context.world.rank, context.world.size) if context.world is not None else (0, 1)
    threads = max(context.threads, len(os.sched_getaffinity(0)) // ranks)
    choice = choose(detector, weights, set)
    detectors = Detectors(choice, chosen.options, threads)
    with context.stage(target) as stage:
        if rank == 0:
            _list_photos(context, source, chosen, boxes, choice)
            if "forced" in chosen.steps and not detectors.refines:
                context.say(left_out(choice.name), "warning")
        context.agree()  # the list is there
        photos = msgspec.json.decode((context.work / _LISTED).read_bytes(), type=Photos)
        guides = read_guides(chosen.guide, photos, boxes)
        aligner = Aligner(chosen, detectors, (size, size), faces)
        Workers(context, aligner, photos, guides, stage, threads).run(rank, ranks)
        if rank != 0:
            return JobReport(lines=[])
        found = _finish(context, photos, stage, size)
    notes = [left_out(choice.name)] if "forced" in chosen.steps and not detectors.refines else []
    return report(found, photos, target, choice, preset, size, notes)


def _list_photos(context: JobContext, source: Path, preset: Preset, boxes: str, choice: Choice) -> None:
    """Write the list of photos down for all ranks; raises `DataError` if it isn't an earlier attempt's."""
    context.progress(0, 0, "looking for photos")
    photos = find_photos(source)
    output_names(photos.names, preset)
    guides = read_guides(preset.guide, photos, boxes, check=True)
    weights = stamp([Path(choice.weights)]) if choice.weights else []
    context.require_unchanged([*weights, *guides.stamp(), [str(source), photos.digest()]])
    write_bytes(context.work / _LISTED, msgspec.json.encode(photos))


def _finish(context: JobContext, photos: Photos, stage: Path, size: int) -> Outcome:
    """Write the rows in order and the sheet, and make all durable."""
    reader = RowReader(context.work, len(photos.names))
    with (stage / LIST).open("wb") as lines:
        lines.writelines(text + b"\n" for _, text in reader)
    found = count(reader)
    reader.close()
    context.progress(len(photos.names), len(photos.names), "writing to disk")
    draw_sheet(found, photos.root, stage, size)
    os.sync()  # one by one would take hours of small files
    return found
