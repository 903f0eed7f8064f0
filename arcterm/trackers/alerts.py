"""Alerts: the notices of a run, posted to webhooks or given to commands."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any

from arcterm_registry.contracts import Notice, RunTracker, TrackedRun

from arcterm import environment
from arcterm.trackers.alertfile import Alert, read

_POST_SECONDS, _COMMAND_SECONDS = 15.0, 60.0


class AlertError(Exception):
    """An alert that did not arrive; the message does not have its address."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A webhook that moved is an error: a POST that is sent on would become a GET."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """Follow nothing."""


class Alerts(RunTracker):
    """Sends each notice to every address of the file that wants its kind.

    Where one address fails the others still get it, and the notice comes again; what has arrived is noted in
    the run and not sent twice.
    """

    rewinds = True  # numbers are of no use here

    def __init__(self, run: TrackedRun, *, alerts: str) -> None:
        self._run = run
        self._alerts = read(alerts)
        self._delivered = run.work / "delivered"

    def notify(self, notice: Notice) -> None:
        errors = []
        done = self._delivered.read_text().splitlines() if self._delivered.exists() else []
        for number, alert in enumerate(self._alerts):
            key = f"{number} {notice.kind} {notice.step} {notice.t:.3f}"
            if notice.kind not in alert.on or key in done:
                continue
            try:
                self._send(alert, notice)
            except AlertError as error:
                errors.append(str(error))
                continue
            with self._delivered.open("a") as file:
                file.write(f"{key}\n")
        if errors:
            raise AlertError("; ".join(errors))

    def _send(self, alert: Alert, notice: Notice) -> None:
        name = self._run.name or self._run.id
        sentence = f"{name}: {notice.kind} at step {notice.step:,}: {notice.text}"
        facts = {
            "run": name,
            "id": self._run.id,
            "folder": str(self._run.folder),
            "host": socket.gethostname(),
            "kind": notice.kind,
            "step": notice.step,
            "reason": notice.text,
            "t": notice.t,
            "text": sentence,  # what Slack and Mattermost show
            "content": sentence,  # what Discord shows
        }
        if alert.url:
            _post(alert, facts)
        else:
            words = {"{run}": name, "{kind}": notice.kind, "{step}": str(notice.step), "{text}": notice.text}
            _call(alert, [_filled(word, words) for word in alert.command], facts)


def _filled(word: str, words: dict[str, str]) -> str:
    """A word of a command with its places filled, in one pass: what is filled in has no places."""
    return re.sub("|".join(map(re.escape, words)), lambda match: words[match[0]], word)


def _post(alert: Alert, facts: dict[str, Any]) -> None:
    request = urllib.request.Request(  # noqa: S310  the file's reader allows http and https only
        alert.url,
        data=json.dumps(facts).encode(),
        headers={"Content-Type": "application/json", "User-Agent": "arcterm"},
        method="POST",
    )
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=_POST_SECONDS):
            return
    except urllib.error.HTTPError as error:
        raise AlertError(f"{alert.place} answered {error.code}") from None
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", "") or type(error).__name__
        raise AlertError(f"{alert.place} can't be reached: {reason}") from None


def _call(alert: Alert, command: list[str], facts: dict[str, Any]) -> None:
    try:
        done = subprocess.run(
            command,
            input=json.dumps(facts).encode(),
            stdout=subprocess.DEVNULL,
            env=environment.for_child(),
            timeout=_COMMAND_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise AlertError(f"{alert.place} did not end within {_COMMAND_SECONDS:g} s") from None
    except (OSError, ValueError) as error:
        raise AlertError(f"{alert.place} can't be run: {error}") from None
    if done.returncode:
        raise AlertError(f"{alert.place} ended with {done.returncode}")
