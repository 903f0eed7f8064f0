"""The server of the console in a browser: a page, its script, and a WebSocket for each tab."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from aiohttp import web

from arcterm.errors import ConfigError, FailedError
from arcterm.web.guard import LOOPBACK, RequestGuard, new_token
from arcterm.web.tab import BrowserTab

_LONGEST_MESSAGE = 1 << 20
_HEARTBEAT_SECONDS = 15.0
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>arcterm</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="static/css/xterm.css">
<style>
html,body{height:100%;margin:0;background:#121212;color:#ddd;font:16px ui-monospace,monospace}
.textual-terminal{height:100vh}.note{position:fixed;inset:0;display:none;place-content:center;z-index:9}
body:not(.-first-byte) .waiting,body.-closed .over{display:grid}.over{background:#121212}a{color:#8ab4f8}
</style>
<script src="static/js/textual.js"></script></head>
<body><div class="note waiting">starting the console …</div>
<div class="note over"><p>The console has ended; runs go on. <a href="">Start it again</a></p></div>
<div id="terminal" class="textual-terminal" data-font-size="15"
 data-session-websocket-url="ws://HOST/TOKEN/ws"></div>
</body></html>
"""


class Server:
    """Serves `command`, a list of arguments, to at most `most` tabs at once; all addresses have `token`."""

    def __init__(self, command: Sequence[str], *, most: int, env: Mapping[str, str] | None = None) -> None:
        self.token = new_token()
        self._command, self._most = list(command), most
        self._env = {**(os.environ if env is None else env), **_DRIVER}
        self._tabs: set[web.WebSocketResponse] = set()
        self._all_closed = asyncio.Event()
        self._static = _static()

    def app(self) -> web.Application:
        """Return the application, to be run on an address of this machine alone."""
        app = web.Application(middlewares=[RequestGuard(self.token).middleware], client_max_size=1 << 10)
        app.router.add_get("/{token}/", self._page)
        app.router.add_get("/{token}/ws", self._socket)
        for name, kind in _FILES.items():
            app.router.add_get("/{token}/static/" + name, _sender(self._static / name, kind))
        app.on_shutdown.append(self._close)
        return app

    async def _page(self, request: web.Request) -> web.Response:
        # the guard let only names of this machine through as a Host, and its own token as a path
        page = _PAGE.replace("HOST", request.host).replace("TOKEN", self.token)
        return web.Response(text=page, content_type="text/html")

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if len(self._tabs) >= self._most:
            return web.Response(
                status=503,
                text=f"arcterm: {self._most} tabs are open, close one; --connections allows more\n",
            )
        socket = web.WebSocketResponse(heartbeat=_HEARTBEAT_SECONDS, max_msg_size=_LONGEST_MESSAGE)
        self._tabs.add(socket)
        try:
            await socket.prepare(request)
            size = (_number(request.query.get(name, ""), usual) for name, usual in _SIZE.items())
            await BrowserTab(socket, self._command, self._env).run(*size)
            return socket
        finally:
            self._tabs.discard(socket)
            if not self._tabs:
                self._all_closed.set()

    async def _close(self, app: web.Application) -> None:
        self._all_closed.clear()
        await asyncio.gather(*(socket.close() for socket in self._tabs), return_exceptions=True)
        if self._tabs:  # each ends with its console
            await self._all_closed.wait()


async def serve(server: Server, port: int, ready: Callable[[str], None]) -> None:
    """Serve on 127.0.0.1 until cancelled; calls `ready` with the address. Raises `FailedError`."""
    runner = web.AppRunner(server.app(), access_log=None, handle_signals=False)
    await runner.setup()
    try:
        site = web.TCPSite(runner, LOOPBACK, port)
        try:
            await site.start()
        except OSError as error:
            why = "is taken" if error.errno == errno.EADDRINUSE else f"can't be had: {error.strerror}"
            raise FailedError(f"port {port} {why}", "--port 0 takes a free one") from None
        bound = runner.addresses[0][1]
        ready(f"http://{LOOPBACK}:{bound}/{server.token}/")
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def console_command(root: Path, run: str | None, *, readonly: bool) -> list[str]:
    """Return the command of a tab's console over the runs in `root`."""
    words = [sys.executable, "-m", "arcterm.console.web", str(os.getpid()), str(root.absolute())]
    return [*words, *(["--readonly"] if readonly else []), *(["--run", run] if run else [])]


_SIZE = {"width": 80, "height": 24}
_FILES = {"js/textual.js": "text/javascript", "css/xterm.css": "text/css"}
_DRIVER = {
    "TEXTUAL_DRIVER": "textual.drivers.web_driver:WebDriver",
    "TEXTUAL_COLOR_SYSTEM": "truecolor",
    "TERM": "xterm-256color",
    "TERM_PROGRAM": "textual",
    "LC_ALL": "C.UTF-8",
}
"""A browser's terminal, whatever the one is in which the server was started."""


def _static() -> Path:
    """The folder of textual-serve's script, which draws the terminal in a browser; its server is not used."""
    spec = find_spec("textual_serve")
    if spec is None or not spec.origin:
        raise ConfigError("the console in a browser needs textual-serve", "`pip install 'arcterm[web]'`")
    return Path(spec.origin).parent / "static"


def _sender(path: Path, kind: str) -> Callable[[web.Request], asyncio.Future[web.Response]]:
    async def send(request: web.Request) -> web.Response:
        return web.Response(body=path.read_bytes(), content_type=kind)

    return send  # type: ignore[return-value]


def _number(text: str, usual: int) -> int:
    return int(text) if text.isdecimal() and len(text) < 5 else usual
