"""``arcterm data check``: looks at every record of a data set, and reports what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from arcterm_registry.contracts import JobReport

from arcterm.data.check import faces, report
from arcterm.data.check.duplicates import check_duplicates
from arcterm.data.check.findings import KINDS, Findings, Place, Said
from arcterm.data.check.packpart import PackPart
from arcterm.data.check.pairsets import check_set
from arcterm.data.check.parts import DataPart, FolderPart, ListPart, Marked, PairsPart, Size
from arcterm.data.check.structure import check_labels, check_pack, name_damaged
from arcterm.data.check.survey import DAMAGED, FINE, NO_IMAGE, OTHER_SIZE, Survey
from arcterm.errors import DataError
from arcterm.files import staged_file, write_bytes
from arcterm.formats.pairs.binfile import read_pairs, set_files
from arcterm.formats.recordio.checksums import NAME as CHECKSUMS
from arcterm.formats.recordio.checksums import write_checksums
from arcterm.formats.recordio.facepack import FacePack, pack_directory
from arcterm.inputs.census import Census, count_people
from arcterm.runs.context import JobContext
from arcterm.text import clean

_MARKED = 1000  # lines of a list whose landmarks are looked at
_LISTED = 5  # findings of a kind that the terminal shows
_MOST_NAMES = 64 << 20  # bytes of labels.txt


class _People(NamedTuple):
    """People of the training data: the declared class count, names by label, the census; as far as known."""

    classes: int | None = None
    names: Sequence[str] = ()
    census: Census | None = None


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
    pairs = check_duplicates(survey, findings, job.progress) if duplicates else []
    facts = [*_facts(path, survey, people, sets), *_alignment(survey, findings)]
    sealed = _finish_pack(path, survey, findings, seal)
    pages = report.Pages(f"Check of {path.name}", facts, people.census, people.names, findings, pairs)
    shown = _write_html(job, html, report.render(pages, survey))
    faces.write(survey, findings, job.work.parent)
    survey.remove()
    lines = [*_lines(facts, people, findings), *([f"{CHECKSUMS}: {sealed}"] if sealed else [])]
    lines += [findings.verdict(), f"with pictures: {shown}"]
    data: dict[str, Any] = {
        "path": str(path),
        "facts": dict(facts),
        "people": people.census.data() if people.census else None,
        "classes": people.classes,
        "sets": sets,
        "findings": findings.data(),
        "sealed": sealed == "written",
        "html": str(shown),
    }
    return JobReport(lines=[clean(line) for line in lines], data=data, problems=findings.problems)


def _require_place(html: str) -> None:
    """Raise `DataError` now rather than after hours if the HTML file can't be put there."""
    place = Path(html).expanduser()
    if html and (place.is_dir() or not place.parent.is_dir()):
        why = "is a directory" if place.is_dir() else f"can't be written: {place.parent} is no directory"
        raise DataError(f"{place} {why}", "give --html a file in a directory that is there")


def _open(path: Path, findings: Findings, seal: bool) -> list[DataPart]:
    """The training data first, if there is any, then verification sets."""
    pack = pack_directory(path)
    if seal and not pack:
        raise DataError(f"{path} is not a pack", "--seal writes train.crc beside a train.rec; leave it out")
    if pack and seal and (pack / CHECKSUMS).exists():
        raise DataError(
            f"{pack / CHECKSUMS} is there already",
            "leave out --seal to check the pack by it; remove it first if the pack was changed on purpose",
        )
    if pack:
        part = PackPart(pack, findings)
        return [part, *_sets(pack, part.size, findings)]
    if path.is_dir():
        folder = FolderPart(path)
        hint = "put images into it, or remove it"
        findings.add_each("absent", folder.empty, lambda place: (f"{place} has no image", hint))
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


def _sets(directory: Path, size: Size | None, findings: Findings) -> list[DataPart]:
    found: list[DataPart] = []
    for path in set_files(directory):
        pairs = findings.attempt("file", lambda path=path: read_pairs(path), file=path.name)  # type: ignore[misc]
        if pairs is not None:
            found.append(PairsPart(path, pairs, size))
    return found


def _check_training(job: JobContext, path: Path, survey: Survey, findings: Findings) -> _People:
    """Check structure, labels and census of the training data, if there is any."""
    part = survey.parts[0]
    if isinstance(part, PairsPart):
        return _People()
    items = np.arange(len(part))
    classes, names, identities = None, [], 0
    if isinstance(part, PackPart):
        layout = check_pack(part, survey, findings, job.progress)
        items, classes = layout.images, part.classes
        identities = len(layout.identities)
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


def _check_counts(part: PackPart, labels: int, identities: int, findings: Findings) -> None:
    """``property`` against the labels, and against the identity records."""
    hint = f"set the class count in {part.directory / 'property'} right, or pack the images again"
    if part.classes is not None and labels < part.classes:
        text = f"property says {part.classes} classes, and the largest label is {labels - 1}"
        findings.add("count", text, hint, Place("property"))
    if identities and identities != (part.classes or labels):
        said = f"property says {part.classes} classes" if part.classes else f"there are {labels} labels"
        text = f"{said}, and there are {identities} identity records"
        findings.add("count", text, "sort the list by person and pack it again", Place("property"))


def _note_people(counts: Any, classes: int, names: Sequence[str], findings: Findings) -> None:
    for kind, count, words in (("single", 1, "one image"), ("empty", 0, "no image")):

        def describe(label: int, words: str = words) -> Said:
            name = f" ({names[label]})" if label < len(names) and names[label] else ""
            return (f"label {label}{name} has {words}",)

        findings.add_each(kind, np.flatnonzero(counts[:classes] == count).tolist(), describe)


def _names(path: Path) -> list[str]:
    """A name a class, if the pack has them; whether the file is intact is what train.crc says."""
    if not path.is_file() or path.stat().st_size > _MOST_NAMES:
        return []
    return path.read_text(encoding="utf-8-sig", errors="replace").split("\n")


def _facts(path: Path, survey: Survey, people: _People, sets: list[dict[str, Any]]) -> list[tuple[str, str]]:
    state = survey["state"]
    facts = [("data set", str(path))]
    if people.census is not None:
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

    def describe(item: int) -> Said:
        return f"{survey.name(item)} does not look aligned", "", Place(items=(item,))

    findings.add_each("unaligned", odd.tolist(), describe)
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


def _write_html(job: JobContext, html: str, page: str) -> Path:
    """Write the page beside the job's report, and where a person wants it; returns the latter's place."""
    shown = job.work.parent / "report.html"
    write_bytes(shown, page.encode("utf-8"))
    if html:
        shown = Path(html).expanduser()
        with staged_file(shown) as stage:
            stage.write_text(page, encoding="utf-8")
    return shown


def _lines(facts: list[tuple[str, str]], people: _People, findings: Findings) -> list[str]:
    lines = [f"{name}: {value}" for name, value in facts]
    if people.census is not None:
        lines += people.census.lines()
    for problem in (True, False):
        lines += [line for kind in findings.kinds(problem=problem) for line in _lines_of(findings, kind)]
    return lines


def _lines_of(findings: Findings, kind: str) -> list[str]:
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
