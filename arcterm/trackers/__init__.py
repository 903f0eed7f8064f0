"""The trackers that come with arcterm, as declarations.

Begin with the contract they keep, `arcterm_registry.contracts.RunTracker`; `arcterm.tracking` feeds them.
"""

from __future__ import annotations

from arcterm_registry import Option, Tracker

_PROJECT = Option(name="project", type=str, default="arcterm", help="Name of the project")

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

wandb = Tracker(
    summary="Weights & Biases: a run that every resume goes on in, online or in files for later",
    factory="arcterm.trackers.wandbrun:WandbRun",
    check="arcterm.trackers.wandbrun:check",
    needs=("wandb",),
    install="pip install 'arcterm[wandb]'",
    options=(
        _PROJECT,
        Option(name="entity", type=str, default="", help="User or team; that of the key"),
        Option(
            name="mode",
            type=str,
            default="",
            choices=("", "online", "offline"),
            help="offline writes files that `wandb sync` sends later; WANDB_MODE, else online",
        ),
    ),
)

trackio = Tracker(
    summary="trackio: a dashboard on this machine, or in a Space of the Hugging Face hub",
    factory="arcterm.trackers.trackiorun:TrackioRun",
    needs=("trackio",),
    install="pip install 'arcterm[trackio]'",
    options=(
        _PROJECT,
        Option(name="space", type=str, default="", help="Space to send to, e.g. me/faces; none"),
        Option(
            name="trackio_dir",
            type=str,
            default="",
            help="Folder of trackio's files; TRACKIO_DIR, else trackio's own",
        ),
    ),
    files=("trackio_dir",),
)

alerts = Tracker(
    summary="messages when a run is done, fails, stalls, …: to webhooks and commands of a file of yours",
    factory="arcterm.trackers.alerts:Alerts",
    check="arcterm.trackers.alertfile:check",
    options=(
        Option(
            name="alerts",
            type=str,
            default="",
            help="The file; ARCTERM_ALERTS, else ~/.config/arcterm/alerts.toml",
        ),
    ),
    files=("alerts",),
)
