"""The data sets that come with arcterm, as declarations.

The modules behind them have other names: importing a submodule would replace a declaration of its name.
"""

from __future__ import annotations

from arcterm_registry import Dataset, Option

recordio = Dataset(
    summary="A face pack: train.rec, train.idx, property and verification .bin files, the layout of 2018",
    factory="arcterm.datasets.packs:open_dataset",
    inspect="arcterm.datasets.packs:inspect",
    needs=("train.rec", "train.idx"),
)

folder = Dataset(
    summary="A folder with one directory of aligned images per person",
    factory="arcterm.datasets.folders:open_dataset",
    inspect="arcterm.datasets.folders:inspect",
    options=(
        Option(
            name="resize",
            type=bool,
            default=False,
            help="Stretch images of another size to 112×112 instead of refusing them",
        ),
    ),
)

demo = Dataset(
    summary="Drawn faces of people who don't exist, made on first use: to try things out",
    factory="arcterm.datasets.drawn:open_dataset",
    inspect="arcterm.datasets.drawn:inspect",
    takes_path=False,
    options=(
        Option(name="identities", type=int, default=200, low=2, high=10_000, help="People to train on"),
        Option(name="images", type=int, default=20, low=1, high=1_000, help="Images of each person"),
        Option(name="seed", type=int, default=0, low=0, high=2**31 - 1, help="Another seed, other people"),
    ),
)
