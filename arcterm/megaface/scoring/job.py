"""``arcterm megaface score``: features among distractors, in one pass over them."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec
from arcterm_registry.contracts import Curve, JobReport

from arcterm.errors import DataError
from arcterm.files import digests, require_free, staged_directory, write_bytes, write_json
from arcterm.formats.features.results import DevkitResult, read_result
from arcterm.megaface.scoring import report, resultpage
from arcterm.megaface.scoring.faults import FaultList
from arcterm.megaface.scoring.inputs import RAW, FeatureReader, Variant
from arcterm.megaface.scoring.lists import parse_sizes, read_distractors, read_probes
from arcterm.megaface.scoring.passes import Scorer, VariantScores
from arcterm.megaface.scoring.sources import Sources
from arcterm.pictures import curves
from arcterm.runs.context import JobContext
from arcterm.verify.ranks import RankGroup, agree


class _Asked(NamedTuple):
    """What is to be scored, as the command line has it."""

    features: str
    probes: str
    distractors: str
    mask: str
    ending: str
    sizes: list[int]
    allow_missing: bool


def score(
    context: JobContext,
    features: str,
    probes: str,
    distractors: str,
    out: str,
    *,
    sizes: str,
    mask: str,
    compare: str,
    allow_missing: bool,
    ending: str,
) -> JobReport:
    """Score the features in the folder `features` into the new folder `out`; all ranks search.

    `probes` and `distractors` are lists, the second one also a folder of the devkit's lists. With a `mask`,
    or cleaned features, both raw and cleaned are scored. Raises `DataError`, which names all that is wrong.
    """
    started = time.perf_counter()
    ranks = cast(RankGroup, context.world)
    asked = _Asked(features, probes, distractors, mask, ending, parse_sizes(sizes), allow_missing)
    agree(ranks, lambda: require_free(Path(out)))
    compared = agree(ranks, lambda: _read_compared(compare))
    facts, variants = _read(context, ranks, asked)
    scorer = Scorer(context, ranks, variants)
    scores = [scorer.score(variant) for variant in variants]
    if not ranks.first:
        return JobReport(lines=[])
    data = facts | {
        "protocol": report.PROTOCOL,
        "results": {each.name: report.record(each) for each in scores},
        "compared": {name: report.read_off(result) for name, result in compared.items()},
        "seconds": round(time.perf_counter() - started, 3),
    }
    lines = [*report.lines_of(scores, compared), *_remarks(scores)]
    drawn = report.curves_of(scores, compared)
    title = f"MegaFace: {data['algo']}"
    _write(Path(out), data, drawn, scores, resultpage.page_of(title, scores, compared, drawn))
    lines.append(f"{out} has the numbers, the curves, and files as the devkit writes them")
    return JobReport(lines=lines, data=data, result=out, curves=list(drawn.values()))


def _read_compared(text: str) -> dict[str, DevkitResult]:
    """Read other results, by the names of their files."""
    paths = [Path(part.strip()) for part in text.split(",") if part.strip()]
    names = [path.name for path in dict.fromkeys(paths)]
    found, faults = {}, []
    for path in dict.fromkeys(paths):
        try:
            found[path.name if names.count(path.name) == 1 else str(path)] = read_result(path)
        except DataError as error:
            faults.append(error)
    if faults:
        raise DataError("; ".join(fault.message for fault in faults), faults[0].hint)
    return found


def _read(context: JobContext, ranks: RankGroup, asked: _Asked) -> tuple[dict[str, Any], list[Variant]]:
    """Read what is scored, and what a result says of it."""
    probes = agree(ranks, lambda: read_probes(Path(asked.probes)))
    orders = agree(ranks, lambda: read_distractors(Path(asked.distractors), asked.sizes))
    sources = agree(ranks, lambda: Sources(asked.features, asked.mask, asked.ending))
    reader = FeatureReader(context, ranks, probes, orders, FaultList(asked.allow_missing))
    variants = reader.read(sources)
    facts = {
        "algo": sources.algo,
        "features": {
            "path": asked.features,
            "layout": sources.features.layout,
            "width": variants[0].probes.vectors.shape[1],
            "facts": msgspec.to_builtins(sources.features.facts),
        },
        "mask": sources.about_mask(),
        "lists": {
            "probes": digests([Path(asked.probes)]),
            "distractors": digests(path for order in orders for path in order.files),
        },
    }
    return facts, variants


def _remarks(scores: Sequence[VariantScores]) -> list[str]:
    if len(scores) > 1:
        return []
    if scores[0].name == RAW:
        return ["raw features alone: --mask with what `arcterm megaface clean` made scores cleaned ones too"]
    return ["cleaned features alone: raw ones with --mask are scored both ways"]


def _write(
    out: Path,
    data: dict[str, Any],
    drawn: dict[str, Curve],
    scores: Sequence[VariantScores],
    page: str,
) -> None:
    """Make the folder of a result."""
    algo = re.sub(r"[^A-Za-z0-9.-]", "_", str(data["algo"]))
    with staged_directory(out) as stage:
        for variant in scores:
            (stage / variant.name).mkdir()
            for one in variant.scores:
                name = f"cmc_facescrub_megaface_{algo}_{one.size}_{one.set_number}.json"
                write_bytes(stage / variant.name / name, msgspec.json.encode(report.as_devkit(one)))
        write_json(stage / "result.json", data)
        write_bytes(
            stage / "cmc.json", msgspec.json.encode({each.name: report.cmcs(each) for each in scores})
        )
        for name, curve in drawn.items():
            curves.write(stage, name, curve)
        (stage / "index.html").write_text(page, encoding="utf-8")
