"""Alerts arrive at webhooks and commands, once each; addresses stay out of everything that is recorded."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from arcterm.errors import ConfigError
from arcterm.launch.trackers.chosen import choose
from arcterm.runs import trackers
from tests.trackers.conftest import Story, change_config, step, verified


class Webhook:
    """A server on this machine that keeps what is posted, and answers with the codes it is given."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.codes: list[int] = []
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                code = webhook.codes.pop(0) if webhook.codes else 204
                if code == 204:
                    webhook.got.append({"path": self.path, **json.loads(body)})
                self.send_response(code)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/T0/secret-path"


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    made = Webhook()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def configure(story: Story, tmp_path: Path, text: str) -> None:
    file = tmp_path / "alerts.toml"
    file.write_text(text)
    track, options = choose("alerts", {"alerts": str(file)})
    change_config(story.run, track=track, track_options=options)
    story.attempt(1, step(1), verified(2, 0.8), step(3))
    story.state("done", step=3, reason="all steps")


def test_a_webhook_gets_json_and_a_command_its_words(story: Story, tmp_path: Path, webhook: Webhook) -> None:
    out = tmp_path / "out"
    code = "import json, sys; open(sys.argv[1], 'w').write(json.dumps([sys.argv[2:], json.load(sys.stdin)]))"
    words = json.dumps([sys.executable, "-c", code, str(out), "{text}", "-{kind}-", "{run}; rm -rf {step}"])
    configure(
        story,
        tmp_path,
        f'[[alert]]\non = ["best", "done"]\nurl = "{webhook.url}"\n[[alert]]\ncommand = {words}\n',
    )
    story.feed("alerts")
    assert [alert["kind"] for alert in webhook.got] == ["best", "done"]
    last = webhook.got[-1]
    assert (last["run"], last["id"], last["step"], last["reason"]) == ("first", story.run.id, 3, "all steps")
    assert last["text"] == last["content"] == "first: done at step 3: all steps"
    assert last["path"] == "/T0/secret-path"
    arguments, stdin = json.loads(out.read_text())
    assert arguments == ["all steps", "-done-", "first; rm -rf 3"]
    assert stdin["kind"] == "done"


def test_an_address_that_fails_gets_it_again_and_the_others_once(
    story: Story, tmp_path: Path, webhook: Webhook
) -> None:
    webhook.codes = [503, 302]
    alert = f'[[alert]]\non = ["done"]\nurl = "{webhook.url}/'
    configure(story, tmp_path, f'{alert}a"\n{alert}b"\n')
    errors: list[str] = []
    story.feed("alerts", pause=lambda seconds: errors.append(trackers.read(story.run, "alerts").error))
    assert sorted(got["path"][-1] for got in webhook.got) == ["a", "b"]
    assert errors == [
        "notify: AlertError: the webhook at 127.0.0.1 answered 503; the webhook at 127.0.0.1 answered 302"
    ]


def test_neither_the_run_nor_its_log_has_the_address(story: Story, tmp_path: Path, webhook: Webhook) -> None:
    webhook.codes = [500] * 20
    configure(story, tmp_path, f'[[alert]]\nurl = "{webhook.url}"\n[[alert]]\ncommand = ["/no/such"]\n')
    story.feed("alerts")
    at = trackers.read(story.run, "alerts")
    assert at.state == "failed"
    assert "command /no/such can't be run" in at.error
    for path in story.run.path.rglob("*"):
        assert not path.is_file() or b"secret-path" not in path.read_bytes(), path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no list of alerts"),
        ("[alert]\nurl = 'https://x'\n", "holds no list of alerts"),
        ("[[alert]]\n", "alert 1 needs a url or a command"),
        ("[[alert]]\nurl = 'https://x'\ncommand = ['a']\n", "alert 1 needs a url or a command"),
        ("[[alert]]\nurl = 'file:///etc/passwd'\n", "no https:// or http:// address"),
        ("[[alert]]\ncommand = 'rm -rf x'\n", "command is a list"),
        ("[[alert]]\nurl = 'https://x'\non = ['finished']\n", "on is a list of done, stopped, failed"),
        ("[[alert]]\nurl = 'https://x'\nkey = 'k'\n", "has more than on, url and command"),
        ("[[alert\n", "can't be read"),
    ],
)
def test_a_file_that_can_not_be_used_is_refused_before_a_run_exists(
    tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "alerts.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match="tracker alerts: ") as refused:
        choose("alerts", {"alerts": str(file)})
    assert said in refused.value.message
    assert refused.value.hint


def test_the_file_is_looked_for_among_the_users_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ARCTERM_ALERTS", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match=f"there is no {tmp_path}/arcterm/alerts.toml"):
        choose("alerts", {})
    (tmp_path / "mine.toml").write_text("[[alert]]\nurl = 'https://x.org/y'\n")
    monkeypatch.setenv("ARCTERM_ALERTS", str(tmp_path / "mine.toml"))
    assert choose("alerts", {}) == ("alerts", {})
