"""The jobs that come with arcterm, as declarations: paths, options, and the function that does them.

Nothing here imports that function.
"""

from __future__ import annotations

from arcterm_registry import JobPath, JobSpec, Option, Plugin, scan

_RESIZE = Option(name="resize", type=bool, default=False, help="stretch images of another size to 112×112")
_ALIGN = Option(
    name="align",
    type=bool,
    default=False,
    help="find the faces in photos and align them; those of a list by its landmarks or box, if it has them",
)
_DETECTOR = Option(
    name="detector",
    type=str,
    default="",
    help="the face detector; the first of mtcnn, yunet and others whose weights are found",
)
_WEIGHTS = Option(
    name="weights",
    type=str,
    default="",
    help="the detector's weights; without --detector an .onnx file is YuNet's, another MTCNN's",
)

pack = JobSpec(
    group="data",
    summary="Pack a folder of people, a pack, a .lst list or an archive into a pack.",
    paths=(
        JobPath(
            name="src", help="A folder with one folder per person, a pack, a .lst file, a .zip or a .tar."
        ),
        JobPath(name="dst", help="The pack's directory; made here.", written=True),
    ),
    options=(
        Option(
            name="hold_out",
            type=int,
            default=0,
            low=0,
            help="keep the last N people for a verification set, heldout.bin",
        ),
        Option(name="pairs", type=int, default=None, low=20, help="pairs in that set; all that balance"),
        _RESIZE,
        _ALIGN,
        _DETECTOR,
        _WEIGHTS,
    ),
    files=("weights",),
    factory="arcterm.data.make.pack:pack",
)
bin = JobSpec(
    group="data",
    summary="Make a verification set, a .bin, of the pairs in a list or of pairs drawn from a folder.",
    paths=(
        JobPath(name="src", help="The folder that holds the images, or the people to draw pairs from."),
        JobPath(name="dst", help="The .bin file; made here.", written=True),
    ),
    options=(
        Option(
            name="list",
            type=str,
            default="",
            help="pairs.txt of LFW or another set, CFP's or RFW's folder of lists, AgeDB's .mat; drawn pairs",
        ),
        Option(name="pairs", type=int, default=None, low=20, help="pairs to draw; all that balance"),
        Option(name="seed", type=int, default=0, low=0, high=2**31 - 1, help="of the drawn pairs"),
        _RESIZE,
        Option(name="align", type=bool, default=False, help="find the faces in photos and align them"),
        _DETECTOR,
        _WEIGHTS,
    ),
    files=("list", "weights"),
    factory="arcterm.data.make.bin:make_bin",
)
check = JobSpec(
    group="data",
    summary="Check a data set: every record, labels, identities, duplicates, leakage, checksums.",
    paths=(JobPath(name="src", help="A pack, a folder of people, a .lst file or a .bin file."),),
    options=(
        Option(name="html", type=str, default="", help="also write the report with pictures to this file"),
        Option(name="duplicates", type=bool, default=True, help="look for duplicates and leaked test images"),
        Option(
            name="seal",
            type=bool,
            default=False,
            help="write train.crc beside a pack that has none, so that later damage is named",
        ),
    ),
    files=("html",),
    factory="arcterm.data.check.check:check",
)
merge = JobSpec(
    group="data",
    summary="Make one pack of several; the people of each keep apart, their numbers are moved up.",
    paths=(
        JobPath(name="src", help="The packs.", many=True),
        JobPath(name="dst", help="The new pack's directory; made here.", written=True),
    ),
    factory="arcterm.data.reshape.packs:merge",
)
split = JobSpec(
    group="data",
    summary="Make two packs of one: some of the people in the second, all others in the first.",
    paths=(
        JobPath(name="src", help="The pack."),
        JobPath(name="first", help="The directory for most people; made here.", written=True),
        JobPath(name="second", help="The directory for the others; made here.", written=True),
    ),
    options=(
        Option(name="people", type=int, default=None, low=1, help="people in the second; a tenth"),
        Option(
            name="seed",
            type=int,
            default=None,
            low=0,
            high=2**31 - 1,
            help="draw them at random; the last ones",
        ),
    ),
    factory="arcterm.data.reshape.packs:split",
)
extract = JobSpec(
    group="data",
    summary="Write the images of a pack or a .bin into folders, as they are stored.",
    paths=(
        JobPath(name="src", help="A pack or a .bin file."),
        JobPath(name="dst", help="The folder; made here.", written=True),
    ),
    options=(Option(name="people", type=str, default="", help="class numbers, e.g. 0,5,10-19; all people"),),
    factory="arcterm.data.reshape.packs:extract",
)
index = JobSpec(
    group="data",
    summary="Make a pack's train.idx again from its train.rec.",
    paths=(JobPath(name="src", help="The pack's directory, or a .rec file."),),
    factory="arcterm.data.reshape.index:make_index",
)
bench = JobSpec(
    group="data",
    summary="Measure how fast a data set is read and decoded here: images per second by threads.",
    paths=(JobPath(name="src", help="A pack, a folder of people or a .lst file."),),
    options=(
        Option(name="seconds", type=float, default=2.0, low=0.1, high=600, help="time for each measurement"),
        Option(name="batch_size", type=int, default=128, low=1, high=65536, help="images per batch"),
        Option(name="threads", type=int, default=None, low=1, high=64, help="decoding threads; the cores"),
    ),
    factory="arcterm.train.feed.bench:bench",
)
verify = JobSpec(
    summary="Score a model on verification sets: accuracy, TAR at FAR, ROC, EER, the wrong pairs.",
    group="",
    paths=(
        JobPath(name="model", help="A run, a checkpoint, or a model file of any kind.", model=True),
        JobPath(
            name="sets",
            help="A .bin file, a pack, or another folder that holds some; a run's own.",
            many=True,
            optional=True,
        ),
    ),
    options=(
        Option(name="checkpoint", type=str, default="last", help="of a run: last, best, or a step"),
        Option(
            name="channels",
            type=str,
            default="",
            help="order of colours that a file's network takes, rgb or bgr",
        ),
        Option(
            name="mean", type=str, default="", help="subtracted from 0..255 for a file: a number or R,G,B"
        ),
        Option(name="std", type=str, default="", help="what is then divided by: a number or R,G,B"),
        Option(
            name="batch_size", type=int, default=None, low=1, high=65536, help="images at a time on a rank"
        ),
        Option(
            name="show_errors", type=str, default="", help="folder for the wrong pairs, pictures and HTML"
        ),
        Option(
            name="reject_by",
            type=str,
            default="",
            help="error-versus-reject curves by quality: norm, or a file with a number for each image",
        ),
    ),
    files=("show_errors",),
    factory="arcterm.train.verification:verify",
    ranks=True,
    stops="before its next verification set",
    resumes=False,
)
align = JobSpec(
    summary="Find the faces in photos and write them aligned, under the photos' names.",
    group="",
    paths=(
        JobPath(name="src", help="A folder of photos, of any depth, or one photo."),
        JobPath(name="dst", help="The folder of aligned faces; made here.", written=True),
    ),
    options=(
        Option(
            name="preset",
            type=str,
            default="folder",
            choices=("folder", "lfw", "facescrub", "megaface", "celeb"),
            help="folder, lfw, celeb, facescrub, megaface: which face, and what is done where there is none",
        ),
        _DETECTOR,
        _WEIGHTS,
        Option(
            name="faces",
            type=str,
            default="one",
            choices=("one", "all"),
            help="one, the large one near the middle, or all, as NAME_0, NAME_1, …",
        ),
        Option(name="size", type=int, default=112, low=16, high=1024, help="width and height of a face"),
        Option(
            name="boxes",
            type=str,
            default="",
            help="FaceScrub's lists of boxes, their folder or one file; in the photos' folder, or above it",
        ),
        Option(
            name="set",
            type=str,
            default="",
            many=True,
            help="an option of the detector, key=value; `arcterm plugins detector` lists them",
        ),
    ),
    files=("weights", "boxes"),
    factory="arcterm.align.job:align",
    ranks=True,
    alone=True,
)


ALONE = ("align", "verify")
"""Our jobs with a command of their own that is made of the declaration, as all others are."""
_OURS = [name for name, declared in globals().items() if isinstance(declared, JobSpec)]


def offered(group: str | None = None) -> dict[str, JobSpec]:
    """Every installed job whose command is made of its declaration, or those below the command `group`."""
    found = {p.full_name if p.duplicate else p.name: p for p in scan("job")}
    specs = {
        name: plugin.declaration
        for name, plugin in found.items()
        if isinstance(plugin.declaration, JobSpec) and (plugin.declaration.group or _is_alone(plugin))
    }
    ours_first = sorted(specs, key=lambda name: (_OURS.index(name) if name in _OURS else len(_OURS), name))
    return {name: specs[name] for name in ours_first if group in (None, specs[name].group)}


def _is_alone(plugin: Plugin) -> bool:
    return plugin.distribution == "arcterm" and plugin.name in ALONE
