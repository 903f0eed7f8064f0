"""``arcterm data check``: looks at every record of a data set, and reports what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from arcterm_registry.contracts import JobReport

from arcterm.data.check import report
from arcterm.data.check.census import Census, count_people
from arcterm.data.check.duplicates import Pair, check_duplicates
from arcterm.data.check.findings import KEPT, KINDS, Findings, Place
from arcterm.data.check.packpart import PackPart
from arcterm.data.check.pairsets import check_set
from arcterm.data.check.parts import DataPart, FolderPart, ListPart, Marked, PairsPart, Size
from arcterm.data.check.structure import Layout, check_labels, check_pack, name_damaged
from arcterm.data.check.survey import DAMAGED, FINE, NO_IMAGE, OTHER_SIZE, Survey
from arcterm.errors import DataError
from arcterm.files import staged_file, write_bytes
from arcterm.formats.pairs.binfile import read_pairs, set_files
from arcterm.formats.recordio.checksums import NAME as CHECKSUMS
from arcterm.formats.recordio.checksums import write_checksums
from arcterm.formats.recordio.facepack import FacePack
from arcterm.runs.context import JobContext
from arcterm.text import clean

_MARKED = 1000  # lines of a list whose landmarks are looked at
_LISTED = 5  # findings of a kind that the terminal shows
_MOST_NAMES = 64 << 20  # bytes of labels.txt


class _People(NamedTuple):
    """People of the training data: the declared class count if there is one, names by label, the census."""

    classes: int | None
    names: list[str]
    census: Census


def check(job: JobContext, src: str, html: str, duplicates: bool, seal: bool) -> JobReport:
    """Check the pack, folder, list or ``.bin`` at `src`; raises `DataError` if it is none of them.

    The report is also written as HTML beside the job's, and to `html` if given. With `seal` a pack without
    problems and without checksums gets them.
    """
    path = Path(src)
    _require_place(html)
    findings = Findings()
    parts = _open(path, findings, seal)
    survey = Survey(job, parts, duplicates)
    survey.run()
    people = _check_training(job, path, survey, findings)
    sets = [
        check_set(part, survey, survey.starts[number], findings)
        for number, part in enumerate(parts)
        if isinstance(part, PairsPart)
    ]
    name_damaged(survey, findings)
    pairs: list[Pair] = []
    if duplicates:
        pairs = check_duplicates(survey, findings, job.progress)
    facts = _facts(path, survey, people, sets)
    facts += _alignment(survey, findings)
    sealed = _finish_pack(path, survey, findings, seal)
    _write_html(job, html, path, facts, people, findings, pairs, survey)
    report = _report(path, facts, people, sets, findings, sealed, job, html)
    survey.remove()
    return report


def _require_place(html: str) -> None:
    """Raise `DataError` now rather than after hours if the HTML file can't be put there."""
    place = Path(html).expanduser()
    if html and (place.is_dir() or not place.parent.is_dir()):
        why = "is a directory" if place.is_dir() else f"can't be written: {place.parent} is no directory"
        raise DataError(f"{place} {why}", "give --html a file in a directory that is there")


def _open(path: Path, findings: Findings, seal: bool) -> list[DataPart]:
    """The training data first, if there is any, then verification sets."""
    pack = path if path.is_dir() else path.parent
    is_pack = (path / "train.rec").exists() or path.name == "train.rec"
    if seal and not is_pack:
        raise DataError(f"{path} is not a pack", "--seal writes train.crc beside a train.rec; leave it out")
    if seal and (pack / CHECKSUMS).exists():
        raise DataError(
            f"{pack / CHECKSUMS} is there already",
            "leave out --seal to check the pack by it; remove it first if the pack was changed on purpose",
        )
    if is_pack:
        part = PackPart(pack, findings)
        return [part, *_sets(pack, part.size, findings)]
    if path.is_dir():
        folder = FolderPart(path)
        _note_absent(folder, findings)
        return [folder, *_sets(path, folder.size, findings)]
    if path.suffix == ".lst":
        listed = ListPart(path)
        return [listed, *_sets(path.parent, listed.size, findings)]
    if path.suffix == ".bin":
        return [PairsPart(path, read_pairs(path), None)]
    raise DataError(
        f"{path} is no data set" if path.exists() else f"{path} doesn't exist",
        "give a directory with train.rec, a folder of people, a .lst file or a .bin file",
    )


def _note_absent(folder: FolderPart, findings: Findings) -> None:
    for directory in folder.empty[:KEPT]:
        findings.add("absent", f"{directory} has no image", "put images into it, or remove it")
    findings.more("absent", len(folder.empty[KEPT:]))


def _sets(directory: Path, size: Size | None, findings: Findings) -> list[DataPart]:
    found: list[DataPart] = []
    for path in set_files(directory):
        pairs = findings.attempt("file", lambda path=path: read_pairs(path), file=path.name)  # type: ignore[misc]
        if pairs is not None:
            found.append(PairsPart(path, pairs, size))
    return found


def _check_training(job: JobContext, path: Path, survey: Survey, findings: Findings) -> _People | None:
    """The training data's structure, labels and census; None where there are verification images only."""
    part = survey.parts[0]
    if isinstance(part, PairsPart):
        return None
    items = np.arange(len(part))
    classes, names = None, []
    identities = None
    if isinstance(part, PackPart):
        layout = check_pack(part, survey, findings, job.progress)
        items, classes = layout.images, part.classes
        identities = _identities(layout, survey)
        names = _names(part.directory / "labels.txt")
    elif isinstance(part, FolderPart):
        classes, names = len(part.people), part.people
    elif isinstance(part, ListPart):
        classes = part.faces.classes
        _check_landmarks(part, findings)
    check_labels(survey, items, classes, findings)
    labels = np.asarray(survey["label"])[items]
    census, counts = count_people(labels[survey["state"][items] != NO_IMAGE])
    if isinstance(part, PackPart):
        _check_counts(part, len(counts), identities, findings)
    if census.people == 1:
        findings.add("lone", f"{path} has one person in it", "training takes two people or more: add people")
    _note_people(counts, classes or len(counts), names, findings)
    return _People(classes, names, census)


def _check_landmarks(part: ListPart, findings: Findings) -> None:
    if isinstance(part.faces, Marked):
        lines = np.linspace(0, len(part) - 1, min(len(part), _MARKED)).astype(int)
        for text in part.faces.wrong_landmarks(lines.tolist()):
            findings.add("landmarks", text, place=Place(part.name))


def _identities(layout: Layout, survey: Survey) -> int | None:
    return len(layout.identities) or None


def _check_counts(part: PackPart, labels: int, identities: int | None, findings: Findings) -> None:
    """``property`` against the labels, and against the identity records."""
    hint = f"set the class count in {part.directory / 'property'} right, or pack the images again"
    if part.classes is not None and labels < part.classes:
        text = f"property says {part.classes} classes, and the largest label is {labels - 1}"
        findings.add("count", text, hint, Place("property"))
    if identities is not None and identities != (part.classes or labels):
        said = f"property says {part.classes} classes" if part.classes else f"there are {labels} labels"
        text = f"{said}, and there are {identities} identity records"
        findings.add("count", text, "sort the list by person and pack it again", Place("property"))


def _note_people(counts: Any, classes: int, names: list[str], findings: Findings) -> None:
    for kind, words, wanted in (("single", "one image", counts == 1), ("empty", "no image", counts == 0)):
        labels = np.flatnonzero(wanted[:classes])
        for label in labels[:KEPT].tolist():
            name = f" ({names[label]})" if label < len(names) and names[label] else ""
            findings.add(kind, f"label {label}{name} has {words}")
        findings.more(kind, len(labels[KEPT:]))


def _names(path: Path) -> list[str]:
    """A name a class, if the pack has them; whether the file is intact is what train.crc says."""
    if not path.is_file() or path.stat().st_size > _MOST_NAMES:
        return []
    return path.read_text(encoding="utf-8-sig", errors="replace").split("\n")


def _facts(
    path: Path, survey: Survey, people: _People | None, sets: list[dict[str, Any]]
) -> list[tuple[str, str]]:
    state = survey["state"]
    facts = [("data set", str(path))]
    if people is not None:
        trained = state[: survey.trained]
        whole = int(np.isin(trained, (FINE, OTHER_SIZE)).sum())
        facts.append(("images", f"{whole:,} decode, {int((trained == DAMAGED).sum()):,} do not"))
        facts.append(("people", f"{people.census.people:,}"))
    sizes = _sizes(survey)
    facts.append(("image size", ", ".join(f"{w}×{h} ({n:,})" for (h, w), n in sizes[:3])))
    for each in sets:
        facts.append((f"set {each['name']}", f"{each['pairs']:,} pairs, {each['same']:,} same"))
    return facts


def _sizes(survey: Survey) -> list[tuple[Size, int]]:
    """(height, width) and how many images have it, most frequent first."""
    seen = np.isin(survey["state"], (FINE, OTHER_SIZE))
    both = survey["height"][seen].astype(np.int64) << 16 | survey["width"][seen]
    values, counts = np.unique(both, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return [((int(values[n]) >> 16, int(values[n]) & 0xFFFF), int(counts[n])) for n in order]


def _alignment(survey: Survey, findings: Findings) -> list[tuple[str, str]]:
    looks = np.asarray(survey["looks"])
    looked = int((looks != 2).sum())
    odd = np.flatnonzero(looks == -1)
    for item in odd[:KEPT].tolist():
        findings.add("unaligned", f"{survey.name(item)} does not look aligned")
    findings.more("unaligned", len(odd[KEPT:]))
    aligned = int((looks == 1).sum())
    words = f"{aligned:,} look aligned, {len(odd):,} do not, {looked - aligned - len(odd):,} could be either"
    return [("alignment", f"{words} (of {looked:,} looked at)")] if looked else []


def _finish_pack(path: Path, survey: Survey, findings: Findings, seal: bool) -> str:
    """Open the pack as training does, and seal it if that is wanted; returns what came of the latter."""
    pack = survey.pack
    if pack is None:
        return ""
    if not findings.problems:
        findings.attempt("file", lambda: FacePack(pack.directory))
    if pack.checksums is not None or (pack.directory / CHECKSUMS).exists():
        return ""
    if seal and not findings.problems:
        return _seal(pack, survey, findings)
    text = f"{pack.directory} has no {CHECKSUMS}: damage that still decodes can't be seen"
    findings.add("unsealed", text, f"`arcterm data check {path} --seal` writes it, now that the pack is good")
    return f"not written: {findings.verdict()}" if seal else ""


def _seal(pack: PackPart, survey: Survey, findings: Findings) -> str:
    try:
        write_checksums(pack.directory, np.asarray(survey["crc"])[: len(pack)])
    except DataError as error:
        findings.add("file", error.message, error.hint, Place(CHECKSUMS))
        return f"not written: {error.message}"
    return "written"


def _write_html(
    job: JobContext,
    html: str,
    path: Path,
    facts: list[tuple[str, str]],
    people: _People | None,
    findings: Findings,
    pairs: list[Pair],
    survey: Survey,
) -> None:
    census, names = (people.census, people.names) if people else (None, [])
    pages = report.Pages(f"Check of {path.name}", facts, census, names, findings, pairs)
    data = report.render(pages, survey).encode("utf-8")
    write_bytes(job.work.parent / "report.html", data)
    if html:
        with staged_file(Path(html).expanduser()) as stage:
            stage.write_bytes(data)


def _report(
    path: Path,
    facts: list[tuple[str, str]],
    people: _People | None,
    sets: list[dict[str, Any]],
    findings: Findings,
    sealed: str,
    job: JobContext,
    html: str,
) -> JobReport:
    lines = [f"{name}: {value}" for name, value in facts]
    if people is not None:
        lines += people.census.lines()
    for problem in (True, False):
        lines += [line for kind in findings.kinds(problem=problem) for line in _lines(findings, kind)]
    if sealed:
        lines.append(f"{CHECKSUMS}: {sealed}")
    lines.append(findings.verdict())
    shown = Path(html).expanduser() if html else job.work.parent / "report.html"
    lines.append(f"with pictures: {shown}")
    data: dict[str, Any] = {
        "path": str(path),
        "facts": dict(facts),
        "people": people.census.data() if people else None,
        "classes": people.classes if people else None,
        "sets": sets,
        "findings": findings.data(),
        "sealed": sealed == "written",
        "html": str(shown),
    }
    return JobReport(lines=[clean(line) for line in lines], data=data, problems=findings.problems)


def _lines(findings: Findings, kind: str) -> list[str]:
    """A kind's count and the first few by name, each hint once."""
    count, named = findings.counts[kind], findings.named[kind]
    lines = [f"{'' if KINDS[kind].problem else 'note: '}{KINDS[kind].title}: {count:,}"]
    hint = ""
    for each in named[:_LISTED]:
        lines.append(f"  {each.text}")
        if each.hint and each.hint != hint:
            hint = each.hint
            lines.append(f"    → {hint}")
    if count > len(named[:_LISTED]):
        lines.append(f"  … {count - len(named[:_LISTED]):,} more: see the report")
    return lines
