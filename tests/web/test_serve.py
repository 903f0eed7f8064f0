"""``arcterm serve``: who is answered, what a tab may do, and the console in a real browser."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from ..report.conftest import trained  # noqa: F401

aiohttp = pytest.importorskip("aiohttp", reason="the extra web is not installed")
pytest.importorskip("textual_serve", reason="the extra web is not installed")

from aiohttp import web  # noqa: E402

from arcterm.web import server as serving  # noqa: E402
from arcterm.web.server import Server, console_command, serve  # noqa: E402

from .browser import browsing  # noqa: E402

# speaks as Textual's web driver does, and says its arguments and then whatever it is sent
STAND_IN = r"""
import json, os, sys
def say(data): os.write(1, b"D" + len(data).to_bytes(4, "big") + data)
open(sys.argv[1], "a").write("started\n")
os.write(1, b"__GANGLION__\n")
known = [os.environ[name] for name in ("COLUMNS", "ROWS", "TEXTUAL_DRIVER")]
say(json.dumps([sys.argv[2:], *known]).encode())
while head := os.read(0, 5):
    data = os.read(0, int.from_bytes(head[1:], "big"))
    if head[:1] == b"M" and json.loads(data)["type"] == "quit":
        break
    say(head[:1] + data)
"""


class Served:
    """A server of the stand-in; `started` counts its processes."""

    def __init__(self, place: Path, *words: str, most: int = 2) -> None:
        self.log = place / "started"
        self.server = Server([sys.executable, "-c", STAND_IN, str(self.log), *words], most=most)
        self.address = ""

    @property
    def started(self) -> int:
        return self.log.read_text().count("started") if self.log.exists() else 0

    async def __aenter__(self) -> Served:
        ready = asyncio.Event()

        def say(address: str) -> None:
            self.address = address
            ready.set()

        self._running = asyncio.create_task(serve(self.server, 0, say))
        await asyncio.wait_for(ready.wait(), 30)
        self.session = aiohttp.ClientSession()
        self.origin = self.address.rpartition("/")[0].rpartition("/")[0]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()
        self._running.cancel()
        await self._running

    def tab(self, **headers: str):
        return self.session.ws_connect(
            f"{self.address}ws?width=91&height=33", headers={"Origin": self.origin} | headers
        )


async def test_the_page_comes_from_this_server_alone(tmp_path):
    async with Served(tmp_path) as served, served.session.get(served.address) as answer:
        page, policy = await answer.text(), answer.headers["Content-Security-Policy"]
        assert answer.status == 200 and f"ws://{served.origin[7:]}/" in page
        assert (
            page.count("http") == 0 and "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        )
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        for name in ("js/textual.js", "css/xterm.css"):
            async with served.session.get(f"{served.address}static/{name}") as file:
                assert file.status == 200 and len(await file.read()) > 1000
        async with served.session.get(f"{served.address}static/%2e%2e/server.py") as file:
            assert file.status == 404


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {}, 403),
        ("/wrong/", {}, 403),
        ("/wrong/ws", {}, 403),
        ("TOKEN", {"Host": "evil.example"}, 421),
        ("TOKEN", {"Host": "127.0.0.1.evil.example:80"}, 421),
        ("TOKEN", {"Host": "127.0.0.1@evil.example"}, 421),
        ("TOKEN", {"Host": ""}, 421),
        ("TOKEN", {"Origin": "http://evil.example"}, 403),
        ("TOKEN", {"Origin": "null"}, 403),
        ("TOKEN", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("TOKEN", {"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
async def test_a_stranger_is_refused_in_words(tmp_path, path, headers, status):
    async with Served(tmp_path) as served:
        place = served.address if path == "TOKEN" else served.origin + path
        async with served.session.get(place, headers=headers) as answer:
            assert (answer.status, (await answer.text())[:9]) == (status, "arcterm: ")
            assert served.server.token not in await answer.text()
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            async with served.session.request(method, served.address) as answer:
                assert answer.status == 405
        assert served.started == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "https://127.0.0.1"},
        {"Host": "evil.example", "Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_a_page_of_a_stranger_gets_no_console_even_with_the_token(tmp_path, headers):
    async with Served(tmp_path) as served:
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await served.tab(**headers)
        with pytest.raises(aiohttp.WSServerHandshakeError):  # a browser always says an origin
            await served.session.ws_connect(f"{served.address}ws")
        assert served.started == 0


async def test_a_tab_is_a_process_of_a_list_of_arguments(tmp_path):
    words = ["; touch shell", "$(touch shell)", "`x`", "*"]
    async with Served(tmp_path, *words) as served, served.tab() as tab:
        said = json.loads(await tab.receive_bytes())
        assert said == [words, "91", "33", "textual.drivers.web_driver:WebDriver"]
        await tab.send_json(["stdin", "q\u2713"])
        assert await tab.receive_bytes() == b"Dq\xe2\x9c\x93"
        await tab.send_json(["resize", {"width": 99999, "height": -5}])
        assert json.loads((await tab.receive_bytes())[1:]) == {"type": "resize", "width": 1000, "height": 1}
        await tab.send_json(["ping", 42])
        assert await tab.receive_json() == ["pong", 42]
        await tab.send_json(["focus"])
        assert await tab.receive_bytes() == b'M{"type": "focus"}'
    assert not list(tmp_path.glob("**/shell"))


@pytest.mark.parametrize(
    "message", ["", "{", "[]", "1", '["stdin", 5]', '["resize", {"width": "9"}]', '["quit"]', "[" * 9000]
)
async def test_what_is_no_message_ends_the_tab(tmp_path, message):
    async with Served(tmp_path) as served, served.tab() as tab:
        await tab.receive_bytes()
        await tab.send_str(message)
        assert (await tab.receive(timeout=30)).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)


async def test_tabs_are_counted(tmp_path):
    async with Served(tmp_path, most=1) as served:
        async with served.tab() as tab:
            await tab.receive_bytes()
            with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
                await served.tab()
            await tab.send_json(["nonsense"])  # ends it, and its process
            await tab.receive(timeout=30)
        while served.started < 2:  # the place is free when the process has ended
            try:
                async with served.tab() as tab:
                    await tab.receive_bytes()
            except aiohttp.WSServerHandshakeError:
                await asyncio.sleep(0.01)


def test_the_console_only_watches_unless_it_may_act(tmp_path):
    command = console_command(tmp_path, "last", readonly=True)
    assert command[:3] == [sys.executable, "-m", "arcterm.console.web"] and "--readonly" in command
    assert "--readonly" not in console_command(tmp_path, None, readonly=False)


async def test_a_port_that_is_taken_and_a_missing_extra_are_explained(tmp_path, monkeypatch):
    async with Served(tmp_path) as served:
        taken = int(served.origin.rpartition(":")[2])
        with pytest.raises(serving.FailedError, match=f"port {taken} is taken"):
            await serve(served.server, taken, lambda address: None)
    monkeypatch.setattr(serving, "find_spec", lambda name: None)
    with pytest.raises(serving.ConfigError, match="needs textual-serve"):
        Server(["x"], most=1)


HOSTILE = """new Promise(done => {
  const socket = new WebSocket("ws://HOST/TOKEN/ws?width=80&height=24");
  socket.onopen = () => done("open"); socket.onerror = () => done("refused");
})"""
PEEK = 'fetch("http://HOST/TOKEN/").then(() => "answered", () => "refused")'


@pytest.mark.slow
async def test_the_console_in_a_real_browser(trained, tmp_path, unused_tcp_port):  # noqa: F811
    trained("first")
    command = [sys.executable, "-m", "arcterm", "serve", "first", "--port", str(unused_tcp_port)]
    env = os.environ | {"ARCTERM_RUNS": str(tmp_path / "runs"), "XDG_STATE_HOME": str(tmp_path)}
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=env)
    try:
        address = (await asyncio.wait_for(process.stdout.readline(), 60)).decode().strip()
        async with browsing() as page:
            await page.open(address)
            await page.until("document.body.classList.contains('-first-byte')")
            drawn = "Array.from(document.querySelectorAll('canvas')).some(c => c.width > 600)"
            await page.until(drawn)
            pixels = await _settled(page)
            assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50  # text in several colours
            assert {each.split("/")[2] for each in page.requests} == {address.split("/")[2]}
            assert page.problems == []
            await _changes_nothing(page, tmp_path / "runs")
            await _refused_to_strangers(page, address)
    finally:
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 60) in (0, 130)


async def _settled(page) -> np.ndarray:
    """What the page shows once the dashboard's many colours are there."""
    for _ in range(200):
        pixels = cv2.imdecode(np.frombuffer(await page.picture(), np.uint8), cv2.IMREAD_COLOR)
        if len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50:
            return pixels
        await asyncio.sleep(0.1)
    return pixels


async def _changes_nothing(page, root: Path) -> None:
    """Keys that act on runs elsewhere leave every file as it was."""
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    await page.ask("document.querySelector('textarea').focus()")
    for key in "SCDRy1SDn#x":
        await page.type(key)
    await page.type("\x11")  # ctrl+q: when the console has left, it has taken all of them
    await page.until("document.body.classList.contains('-closed')")
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


async def _refused_to_strangers(page, address: str) -> None:
    """A page of another port of this host, which even knows the token, gets nothing."""
    app = web.Application()

    async def hello(request: web.Request) -> web.Response:
        return web.Response(text="<p>hello", content_type="text/html")

    app.router.add_get("/", hello)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await (site := web.TCPSite(runner, "127.0.0.1", 0)).start()
        port = site._server.sockets[0].getsockname()[1]
        await page.call("Page.navigate", url=f"http://127.0.0.1:{port}/")
        await page.until("document.body.innerText.includes('hello')")
        _, _, host, token, _ = address.split("/")
        for script in (HOSTILE, PEEK):
            assert await page.ask(script.replace("HOST", host).replace("TOKEN", token)) == "refused"
    finally:
        await runner.cleanup()
