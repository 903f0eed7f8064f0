"""Declarations of the jobs on data sets."""

from __future__ import annotations

from arcterm_registry import JobPath, JobSpec, Option

from arcterm.jobs.options import DETECTOR, WEIGHTS

_RESIZE = Option(name="resize", type=bool, default=False, help="stretch images of another size to 112×112")
_ALIGN = Option(
    name="align",
    type=bool,
    default=False,
    help="find the faces in photos and align them; those of a list by its landmarks or box, if it has them",
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
        DETECTOR,
        WEIGHTS,
    ),
    reads=("weights",),
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
        DETECTOR,
        WEIGHTS,
    ),
    reads=("list", "weights"),
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
