"""Declarations of the jobs on MegaFace's features."""

from __future__ import annotations

from arcterm_registry import JobPath, JobSpec, Option

from arcterm.jobs.options import OF_A_MODEL

_FEATURES = JobPath(
    name="features", help="The folder of features that `arcterm megaface export` made.", named=True
)
_OUT = JobPath(name="out", help="The new folder; made here.", written=True, named=True)
_LAYOUT = Option(
    name="layout",
    type=str,
    default="packed",
    choices=("packed", "devkit"),
    help="packed, a matrix for each set, or devkit, a file for each image",
)
_ENDING = Option(
    name="ending",
    type=str,
    default="",
    help="of the devkit's files; _ALGO_112x112.bin, later scripts have _ALGO.bin",
)


def _file(name: str, text: str) -> Option:
    return Option(name=name, type=str, default="", help=text)


export = JobSpec(
    group="megaface",
    summary="Embed the aligned images of FaceScrub and MegaFace by one model, or several together.",
    paths=(
        JobPath(
            name="model", help="A run, a checkpoint, or a model file of any kind.", many=True, model=True
        ),
        _OUT,
    ),
    options=(
        _file("facescrub", "folder of FaceScrub's aligned images"),
        _file("facescrub_list", "the list of its images: the devkit's JSON, or a path on each line"),
        _file("megaface", "folder of MegaFace's aligned images"),
        _file("megaface_list", "the list of its images"),
        Option(name="skip", type=int, default=0, low=0, help="leave out the first N of MegaFace's list"),
        Option(name="algo", type=str, default="arcterm", help="name of the features, in the devkit's files"),
        _LAYOUT,
        _ENDING,
        *OF_A_MODEL,
    ),
    reads=("facescrub", "facescrub_list", "megaface", "megaface_list"),
    factory="arcterm.megaface.export:export",
    ranks=True,
    stops="after the images in hand",
)
clean = JobSpec(
    group="megaface",
    summary="Take the noise of published lists out of features: a mask, or the devkit's 513 numbers.",
    paths=(_FEATURES, _OUT),
    options=(
        _file("facescrub_noises", "names of FaceScrub's wrong images"),
        _file("megaface_noises", "paths of MegaFace's wrong images"),
        _file("facescrub_list", "images of FaceScrub in the order in which they count; that of the features"),
        _file("megaface_list", "images of MegaFace; those of the features"),
        Option(name="seed", type=int, default=0, low=0, high=2**31 - 1, help="of the devkit's random term"),
        Option(
            name="ending",
            type=str,
            default="",
            help="of the devkit's files that are read, as _r100_112x112.bin; the one that they have",
        ),
        Option(name="new_ending", type=str, default="", help="of those that are written; the same"),
    ),
    reads=("facescrub_noises", "megaface_noises", "facescrub_list", "megaface_list"),
    factory="arcterm.megaface.clean:clean",
)
score = JobSpec(
    group="megaface",
    summary="Score features exactly: identification among up to a million distractors, and verification.",
    paths=(
        _FEATURES,
        JobPath(name="probes", help="The list of probes: the devkit's JSON with path and id.", named=True),
        JobPath(
            name="distractors",
            help="The list of distractors, or the folder of the devkit's lists by size.",
            named=True,
        ),
        _OUT,
    ),
    options=(
        Option(
            name="sizes",
            type=str,
            default="10,100,1000,10000,100000,1000000",
            help="numbers of distractors, as far as the list goes",
        ),
        _file("mask", "what `arcterm megaface clean` made, a mask or features; a mask beside the features"),
        Option(
            name="compare",
            type=str,
            default="",
            many=True,
            help="another result, in the devkit's JSON; can be given again",
        ),
        Option(name="allow_missing", type=bool, default=False, help="go on where features are missing"),
        Option(name="ending", type=str, default="", help="of the devkit's files; the one that they have"),
    ),
    files=("compare",),
    reads=("mask",),
    factory="arcterm.megaface.scoring.job:score",
    ranks=True,
    resumes=False,
)
convert = JobSpec(
    group="megaface",
    summary="Change the layout of features: packed into a matrix for each set, or the devkit's files.",
    paths=(
        JobPath(name="src", help="The folder of features, in either layout."),
        JobPath(name="dst", help="The new folder; made here.", written=True),
    ),
    options=(_LAYOUT, _ENDING),
    factory="arcterm.megaface.convert:convert",
)
