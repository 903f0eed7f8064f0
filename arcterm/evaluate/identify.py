"""``identify``: the person on each picture, if it is one of a folder of one's own people."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from arcterm_registry.contracts import JobReport

from arcterm.errors import DataError
from arcterm.evaluate import acceptance, answers, opensearch
from arcterm.evaluate.acceptance import Acceptance
from arcterm.evaluate.answerpage import draw_page
from arcterm.evaluate.answers import Answers
from arcterm.evaluate.nearest import pool
from arcterm.evaluate.people import People, Probes, find_doubts, read_people, read_probes, stamp_of
from arcterm.evaluate.record import record_model, unit_sum, word_model
from arcterm.features.matrix import extract
from arcterm.features.networks import Networks, open_networks
from arcterm.features.pictures import FilePictures, reason
from arcterm.files import require_free
from arcterm.runs.context import JobContext
from arcterm.search.counting import Floats
from arcterm.text import first_of
from arcterm.verify import collapse
from arcterm.verify.ranks import agree

_NAMED = 20


def identify(
    context: JobContext,
    model: str,
    gallery: str,
    probes: str,
    *,
    top: int,
    match: str,
    threshold: float | None,
    threshold_set: str,
    far: float | None,
    fpir: float | None,
    labels: str,
    resize: bool,
    out: str,
    checkpoint: str,
    channels: str,
    mean: str,
    std: str,
    batch_size: int | None,
) -> JobReport:
    """Find the `top` people of the folder `gallery` for each picture of `probes`; accept the best or none.

    With `match` ``template`` a person is the normalised sum of their images' unit vectors, with ``image``
    their best image. `threshold`, `threshold_set`, `far` and `fpir` say from where on a match is accepted
    (`arcterm.evaluate.acceptance`), `labels` who is on the probes (`people.read_probes`). All ranks embed and
    search. Raises `DataError` that names all images which can't be used.
    """
    started = time.perf_counter()
    acceptance.check(threshold, threshold_set, far, fpir)
    people = read_people(Path(gallery))
    asked = read_probes(Path(probes), people, labels)
    top = min(top, len(people.names))
    if out:
        require_free(Path(out))
    networks = open_networks(context, [model], channels=channels, mean=mean, std=std)
    accepted = None if threshold is None else Acceptance(threshold, "as it was given")
    if accepted is None and fpir is None:
        scores = networks.facts[0].scores
        accepted = acceptance.from_card(scores, threshold_set, far, len(people.names))
    agree(networks.ranks, lambda: _require_unchanged(context, networks, people, asked))
    vectors = _embed(context, networks, people, asked, resize, batch_size)
    rows, owners = vectors[: len(people.files)], people.owners
    if len(people.names) > 1 and (why := collapse.find_collapse(rows, "the gallery")):
        context.say(why, "warning")
    if match == "template":
        rows, owners = pool(rows, owners, people.names), np.arange(len(people.names))
    found = opensearch.search(
        context, networks.ranks, vectors[len(people.files) :], asked.labels, rows, owners, top
    )
    if fpir is not None:
        accepted = acceptance.from_strangers(found.strangers, fpir)
    if not networks.ranks.first:
        return JobReport(lines=[])
    if accepted is None:
        context.say(
            "no picture is accepted or refused: the model's card has no threshold; --threshold gives one, or "
            "`arcterm verify` for a run or a file of arcterm's",
            "warning",
        )
    rates = opensearch.measure(found, accepted.cosine if accepted else None) if asked.labelled else None
    made = Answers(word_model(networks), people, asked, found.best, match, accepted, rates)
    data = answers.record(made) | {
        "model": record_model(networks),
        "seconds": round(time.perf_counter() - started, 3),
    }
    if out:
        answers.write(Path(out), made, data, draw_page(made))
    return JobReport(lines=answers.lines(made), data=data, result=out)


def _require_unchanged(context: JobContext, networks: Networks, people: People, asked: Probes) -> None:
    """Raise `DataError` if an earlier attempt had another model or other images."""
    if context.world is None or context.world.first:
        context.require_unchanged([*networks.stamp(), *stamp_of(people, asked)])
        for doubt in find_doubts(people, asked):
            context.say(doubt, "warning")


def _embed(
    context: JobContext,
    networks: Networks,
    people: People,
    asked: Probes,
    resize: bool,
    batch_size: int | None,
) -> Floats:
    """Return unit vectors of the gallery's images, then of the probes; raises `DataError` as above."""
    names = [str(file) for file in (*people.files, *asked.files)]
    path, width = context.work / "vectors.npy", networks.sizes[0]
    pictures = FilePictures(Path("/"), names, resize)
    refused = extract(context, networks, pictures, path, unit_sum, width, batch_size=batch_size, retry=True)
    if refused:
        said = [reason(names[index], why) for index, why in sorted(refused.items())]
        named = first_of(said, _NAMED, "\n  ")
        raise DataError(
            f"{len(said):,} of {len(names):,} images can't be used:\n  {named}",
            "`arcterm align FOLDER ALIGNED` finds the faces in photos and aligns them, --resize stretches "
            "images; remove those that are damaged",
        )
    vectors: Floats = np.load(path, mmap_mode="r")
    return vectors
