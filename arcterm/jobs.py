"""The jobs on data sets: what each is called, which paths and options it takes, and what does it.

`TASKS` is the one list from which the command line, the console's form and the checks are made. Nothing here
imports what runs a job.
"""

from __future__ import annotations

from dataclasses import dataclass

from arcterm_registry import Option


@dataclass(frozen=True, kw_only=True)
class Place:
    """A path that a task takes; `many` takes one or more, and stands first."""

    name: str
    help: str
    many: bool = False
    written: bool = False


@dataclass(frozen=True, kw_only=True)
class Task:
    """A job on data. `run` (``pkg.mod:function``) is called as ``function(job, *paths, **options)``.

    An option whose default is None and that is not given comes as None: it is worked out from the rest.
    `files` names the options that are paths.
    """

    name: str
    summary: str
    places: tuple[Place, ...]
    options: tuple[Option, ...] = ()
    files: tuple[str, ...] = ()
    run: str


_RESIZE = Option(name="resize", type=bool, default=False, help="stretch images of another size to 112×112")
_ALIGN = Option(
    name="align",
    type=bool,
    default=False,
    help="align images by the landmarks (or the box) that the list gives",
)

_ALL: tuple[Task, ...] = (
    Task(
        name="pack",
        summary="Pack a folder of people, a pack, a .lst list or an archive into a pack.",
        places=(
            Place(
                name="src", help="A folder with one folder per person, a pack, a .lst file, a .zip or a .tar."
            ),
            Place(name="dst", help="The pack's directory; made here.", written=True),
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
        ),
        run="arcterm.data.make.pack:pack",
    ),
    Task(
        name="bin",
        summary="Make a verification set, a .bin, of the pairs in a list or of pairs drawn from a folder.",
        places=(
            Place(name="src", help="The folder that holds the images, or the people to draw pairs from."),
            Place(name="dst", help="The .bin file; made here.", written=True),
        ),
        options=(
            Option(
                name="list",
                type=str,
                default="",
                help="LFW's pairs.txt in any of its shapes, or lines of two paths and 0 or 1; drawn pairs",
            ),
            Option(name="pairs", type=int, default=None, low=20, help="pairs to draw; all that balance"),
            Option(name="seed", type=int, default=0, low=0, high=2**31 - 1, help="of the drawn pairs"),
            _RESIZE,
        ),
        files=("list",),
        run="arcterm.data.make.bin:make_bin",
    ),
    Task(
        name="check",
        summary="Check a data set: every record, labels, identities, duplicates, leakage, checksums.",
        places=(Place(name="src", help="A pack, a folder of people, a .lst file or a .bin file."),),
        options=(
            Option(
                name="html", type=str, default="", help="also write the report with pictures to this file"
            ),
            Option(
                name="duplicates", type=bool, default=True, help="look for duplicates and leaked test images"
            ),
            Option(
                name="seal",
                type=bool,
                default=False,
                help="write train.crc beside a pack that has none, so that later damage is named",
            ),
        ),
        files=("html",),
        run="arcterm.data.check.check:check",
    ),
    Task(
        name="merge",
        summary="Make one pack of several; the people of each keep apart, their numbers are moved up.",
        places=(
            Place(name="src", help="The packs.", many=True),
            Place(name="dst", help="The new pack's directory; made here.", written=True),
        ),
        run="arcterm.data.reshape.packs:merge",
    ),
    Task(
        name="split",
        summary="Make two packs of one: some of the people in the second, all others in the first.",
        places=(
            Place(name="src", help="The pack."),
            Place(name="first", help="The directory for most people; made here.", written=True),
            Place(name="second", help="The directory for the others; made here.", written=True),
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
        run="arcterm.data.reshape.packs:split",
    ),
    Task(
        name="extract",
        summary="Write the images of a pack or a .bin into folders, as they are stored.",
        places=(
            Place(name="src", help="A pack or a .bin file."),
            Place(name="dst", help="The folder; made here.", written=True),
        ),
        options=(
            Option(name="people", type=str, default="", help="class numbers, e.g. 0,5,10-19; everybody"),
        ),
        run="arcterm.data.reshape.packs:extract",
    ),
    Task(
        name="index",
        summary="Make a pack's train.idx again from its train.rec.",
        places=(Place(name="src", help="The pack's directory, or a .rec file."),),
        run="arcterm.data.reshape.index:make_index",
    ),
    Task(
        name="bench",
        summary="Measure how fast a data set is read and decoded here: images per second by threads.",
        places=(Place(name="src", help="A pack, a folder of people or a .lst file."),),
        options=(
            Option(
                name="seconds", type=float, default=2.0, low=0.1, high=600, help="time for each measurement"
            ),
            Option(name="batch_size", type=int, default=128, low=1, high=65536, help="images per batch"),
            Option(
                name="threads", type=int, default=None, low=1, high=64, help="decoding threads; the cores"
            ),
        ),
        run="arcterm.train.feed.bench:bench",
    ),
)
TASKS = {task.name: task for task in _ALL}
