"""The data sets that come with arcterm, as declarations.

The modules behind them have other names: importing a submodule would replace a declaration of its name.
"""

from __future__ import annotations

from arcterm_registry import Dataset, Option

_RESIZE = Option(
    name="resize",
    type=bool,
    default=False,
    help="Stretch images of another size to the right one instead of refusing them",
)
_CHOICE = (
    Option(
        name="min_images",
        type=int,
        default=0,
        low=0,
        high=2**31 - 1,
        help="Leave out people with fewer images than this",
    ),
    Option(
        name="drop",
        type=str,
        default="",
        help="A text file of people to leave out, one a line: label number or name",
    ),
)

recordio = Dataset(
    summary="A face pack: train.rec, train.idx, property and verification .bin files, the layout of 2018",
    factory="arcterm.datasets.packs:open_dataset",
    inspect="arcterm.datasets.packs:inspect",
    needs=("train.rec", "train.idx"),
    files=("drop",),
    options=(_RESIZE, *_CHOICE),
)

folder = Dataset(
    summary="A folder with one directory of aligned images per person",
    factory="arcterm.datasets.folders:open_dataset",
    inspect="arcterm.datasets.folders:inspect",
    files=("drop",),
    options=(_RESIZE, *_CHOICE),
)

lst = Dataset(
    summary="A list of images, .lst of 2018 or of im2rec: aligned, or with landmarks to align them by",
    factory="arcterm.datasets.listed:open_dataset",
    inspect="arcterm.datasets.listed:inspect",
    suffixes=(".lst",),
    files=("root", "drop"),
    options=(
        Option(
            name="root",
            type=str,
            default="",
            help="The folder that the list's paths start from, if it isn't the list's own",
        ),
        _RESIZE,
        *_CHOICE,
    ),
)

union = Dataset(
    summary="Several packs, folders and lists as one, the people of each apart",
    factory="arcterm.datasets.joined:open_dataset",
    inspect="arcterm.datasets.joined:inspect",
    takes_path=False,
    files=("drop",),
    options=(
        Option(
            name="paths", type=str, default="", help="The packs, folders and .lst files, separated by commas"
        ),
        _RESIZE,
        *_CHOICE,
    ),
)

demo = Dataset(
    summary="Drawn faces of people who don't exist, made on first use: to try things out",
    factory="arcterm.datasets.drawn.pack:open_dataset",
    inspect="arcterm.datasets.drawn.pack:inspect",
    takes_path=False,
    options=(
        Option(name="identities", type=int, default=200, low=2, high=10_000, help="People to train on"),
        Option(name="images", type=int, default=20, low=1, high=1_000, help="Images of each person"),
        Option(name="seed", type=int, default=0, low=0, high=2**31 - 1, help="Another seed, other people"),
    ),
)

synthetic = Dataset(
    summary="Any number of people and images out of 64 pictures of noise: to measure speed",
    factory="arcterm.datasets.drawn.synthesized:open_dataset",
    inspect="arcterm.datasets.drawn.synthesized:inspect",
    takes_path=False,
    options=(
        Option(name="classes", type=int, default=1000, low=2, high=1_000_000_000, help="People"),
        Option(
            name="images", type=int, default=10_000, low=1, high=100_000_000_000, help="Images of all people"
        ),
        Option(name="seed", type=int, default=0, low=0, high=2**31 - 1, help="Another seed, other pictures"),
        Option(
            name="decoded", type=bool, default=False, help="Give pixels instead of JPEG files: no decoding"
        ),
    ),
)
