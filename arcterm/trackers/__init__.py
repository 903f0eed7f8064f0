"""The trackers that come with arcterm, as declarations.

Begin with the contract they keep, `arcterm_registry.contracts.RunTracker`; `arcterm.tracking` feeds them.
"""

from __future__ import annotations

from arcterm_registry import Option, Tracker

csv = Tracker(
    summary="a CSV file for each group of values, in the run's directory or below csv_dir",
    factory="arcterm.trackers.csvfiles:CsvFiles",
    options=(
        Option(
            name="csv_dir",
            type=str,
            default="",
            help="Folder in which a folder of the run's name is made; the run's own, trackers/csv",
        ),
    ),
    files=("csv_dir",),
)

tensorboard = Tracker(
    summary="TensorBoard's event files, in the run's directory or below logdir",
    factory="arcterm.trackers.eventfiles:EventFiles",
    needs=("tensorboard",),
    install="pip install 'arcterm[tensorboard]'",
    options=(
        Option(
            name="logdir",
            type=str,
            default="",
            help="Folder in which a folder of the run's name is made; the run's own, trackers/tensorboard",
        ),
    ),
    files=("logdir",),
)
