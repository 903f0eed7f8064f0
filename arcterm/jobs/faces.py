"""Declarations of the jobs on faces and models that have commands of their own."""

from __future__ import annotations

from arcterm_registry import JobPath, JobSpec, Option

from arcterm.jobs.options import DETECTOR, OF_A_MODEL, WEIGHTS

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
        *OF_A_MODEL,
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
        DETECTOR,
        WEIGHTS,
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
    reads=("weights", "boxes"),
    factory="arcterm.align.job:align",
    ranks=True,
    alone=True,
)
