"""A run of Weights & Biases, online or in files that `wandb sync` sends later."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from arcterm_registry.contracts import Notice, RunTracker, TrackedRun

_LEVELS = {"failed": "ERROR", "nan": "ERROR", "stalled": "WARN", "paused": "WARN"}
_HOME = "https://api.wandb.ai"


def check(*, project: str, entity: str, mode: str) -> None:
    """Raise `ValueError` if there is nothing by which W&B would know whose run it is."""
    if (mode or os.environ.get("WANDB_MODE", "online")) not in ("online", "shared"):
        return
    places = (os.environ.get("NETRC") or "~/.netrc", "~/_netrc", "~/.config/wandb/settings")
    known = any(os.environ.get(name) for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"))
    if not known and not any(Path(place).expanduser().exists() for place in places):
        host = urlsplit(os.environ.get("WANDB_BASE_URL", _HOME)).hostname or _HOME
        raise ValueError(
            f"there is no key for {host} here → `wandb login`, or --set track.mode=offline, "
            "whose files `wandb sync` sends later"
        )


class WandbRun(RunTracker):
    """The run of the training's id in `project`; every start of this process goes on in it.

    W&B's own step counts rows, which only grow: it could not go back with a training, and begins at 0 in each
    offline file. So each call is a row, numbered over all starts, and ``step`` is the axis of every chart.
    """

    def __init__(self, run: TrackedRun, *, project: str, entity: str, mode: str) -> None:
        import wandb

        self._count = run.work / "rows"  # the rows that were flushed
        self._row = int(self._count.read_text()) if self._count.exists() else 0
        self._alert = wandb.AlertLevel
        settings = wandb.Settings(
            console="off",  # this process has nothing to say
            silent=True,
            disable_git=True,
            disable_code=True,
            x_disable_stats=True,  # the training's processes are elsewhere: their use is in its events
            x_disable_machine_info=True,
            x_save_requirements=False,
        )
        self._run = wandb.init(
            project=project,
            entity=entity or None,
            id=run.id,
            name=run.name or run.id,
            config={**run.config, "command": run.command, "folder": str(run.folder)},
            dir=str(run.work),
            mode=mode or None,
            resume="allow",
            settings=settings,
        )
        self._row = max(self._row, self._run.starting_step)
        self._run.define_metric("step", hidden=True)
        self._run.define_metric("*", step_metric="step")

    def log(self, step: int, t: float, values: Mapping[str, float]) -> None:
        self._run.log({"step": step, "_timestamp": t, **values}, step=self._row, commit=True)
        self._row += 1

    def notify(self, notice: Notice) -> None:
        level = getattr(self._alert, _LEVELS.get(notice.kind, "INFO"))
        self._run.alert(title=f"{self._run.name}: {notice.kind}", text=notice.text, level=level)

    def flush(self) -> None:
        """Note how many rows W&B's own process has; it writes them by itself."""
        self._count.write_text(str(self._row))

    def close(self, state: str) -> None:
        self.flush()
        self._run.finish(exit_code=int(state == "failed"))
