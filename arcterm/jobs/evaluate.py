"""Declarations of the jobs that evaluate a model by a published protocol, and of identification."""

from __future__ import annotations

from arcterm_registry import JobPath, JobSpec, Option

from arcterm.jobs.options import OF_A_MODEL

_MODEL = JobPath(name="model", help="A run, a checkpoint, or a model file of any kind.", model=True)

ijb = JobSpec(
    group="evaluate",
    summary="Score a model on IJB-B or IJB-C: verification and identification of templates.",
    paths=(_MODEL, JobPath(name="root", help="The folder that holds IJBB or IJBC, or that folder itself.")),
    options=(
        Option(
            name="database",
            type=str,
            default="",
            choices=("", "B", "C"),
            help="B or C; the one that is there",
        ),
        Option(
            name="flip",
            type=str,
            default="sum",
            choices=("sum", "none", "concatenated", "unit-sum"),
            help="an image's feature and its mirror image's: sum, none, concatenated, or unit-sum",
        ),
        Option(
            name="norms",
            type=str,
            default="kept",
            choices=("kept", "removed"),
            help="kept: an image's norm is its weight in a template; or removed",
        ),
        Option(name="detector_score", type=bool, default=True, help="weight images by the detector's score"),
        Option(name="variants", type=bool, default=False, help="score all ways of pooling too"),
        Option(
            name="out",
            type=str,
            default="",
            help="folder for the result, curves, vectors and scores, made here; one in the run",
        ),
        Option(name="features", type=bool, default=False, help="keep the features of all images there too"),
        *OF_A_MODEL,
    ),
    files=("out",),
    stops="after the images in hand, or between blocks of pairs",
    factory="arcterm.evaluate.ijb.job:ijb",
    ranks=True,
)
tinyface = JobSpec(
    group="evaluate",
    summary="Score a model on TinyFace: identification among its distractors.",
    paths=(_MODEL, JobPath(name="root", help="The folder tinyface, or its Testing_Set.")),
    options=(
        Option(
            name="images",
            type=str,
            default="",
            choices=("", "aligned", "original"),
            help="aligned faces, or the original images, which are aligned here; by their size",
        ),
        Option(
            name="aligned",
            type=str,
            default="",
            help="folder of aligned copies: Probe, Gallery_Match, Gallery_Distractor",
        ),
        Option(name="detector", type=str, default="mtcnn", help="finds the faces in original images"),
        Option(name="weights", type=str, default="", help="the detector's weights; those that are found"),
        Option(
            name="out",
            type=str,
            default="",
            help="folder for the result, its curve and the vectors; made here",
        ),
        *OF_A_MODEL,
    ),
    files=("out",),
    reads=("aligned", "weights"),
    factory="arcterm.evaluate.tinyface:tinyface",
    ranks=True,
)
identify = JobSpec(
    group="",
    summary="Find the person on each picture among a folder of one's own people, or that it is none of them.",
    paths=(
        _MODEL,
        JobPath(name="gallery", help="A folder with one folder of aligned faces per person."),
        JobPath(name="probes", help="A folder of aligned faces, of any depth, or one."),
    ),
    options=(
        Option(name="top", type=int, default=3, low=1, high=1000, help="people that are named for a picture"),
        Option(
            name="match",
            type=str,
            default="template",
            choices=("template", "image"),
            help="what a person is: the normalised sum of their unit vectors, or their most similar image",
        ),
        Option(
            name="threshold",
            type=float,
            default=None,
            low=-1,
            high=1,
            help="cosine above which the best match is accepted; that of a verified set on the model's card",
        ),
        Option(
            name="threshold_set",
            type=str,
            default="",
            help="the verified set whose threshold is taken, e.g. lfw; the first that has one",
        ),
        Option(
            name="far",
            type=float,
            default=None,
            low=0,
            high=1,
            help="false-accept rate of that set at whose threshold a match is accepted; 0.001",
        ),
        Option(
            name="fpir",
            type=float,
            default=None,
            low=0,
            high=1,
            help="accept at most so large a share of the strangers among labelled pictures",
        ),
        Option(
            name="labels",
            type=str,
            default="",
            choices=("", "folders", "none"),
            help="who is on a picture: its folder's name, or not known; by whether one is a person's",
        ),
        Option(name="resize", type=bool, default=False, help="stretch images of another size"),
        Option(name="out", type=str, default="", help="folder for all answers as JSON and CSV; made here"),
        *OF_A_MODEL,
    ),
    files=("out",),
    factory="arcterm.evaluate.identify:identify",
    ranks=True,
)
