"""A real Chromium without a window, driven by its DevTools protocol; tests skip where there is none."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator
from typing import Any

import pytest

PATIENCE = 60


def chromium() -> str:
    """The path of Chromium; skips without it."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no Chromium here; .ci/run installs it")
    return found


class Page:
    """A page of the browser; `requests` are the addresses that it loaded, `problems` its errors."""

    def __init__(self, socket: Any) -> None:
        self._socket, self._numbers = socket, itertools.count(1)
        self.requests: list[str] = []
        self.problems: list[str] = []

    async def call(self, method: str, **params: object) -> dict[str, Any]:
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        while True:
            said = (await self._socket.receive(timeout=PATIENCE)).json()
            if said.get("id") == number:
                assert "error" not in said, said
                return said["result"]
            self._note(said)

    def _note(self, said: dict[str, Any]) -> None:
        params = said.get("params", {})
        match said.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Network.webSocketCreated":
                self.requests.append(params["url"])
            case "Runtime.exceptionThrown":
                self.problems.append(str(params["exceptionDetails"]))
            case "Log.entryAdded" if params["entry"]["level"] == "error":
                self.problems.append(params["entry"]["text"])

    async def open(self, address: str) -> None:
        for domain in ("Page", "Network", "Runtime", "Log"):
            await self.call(f"{domain}.enable")
        await self.call("Page.navigate", url=address)

    async def ask(self, script: str) -> Any:
        """The value of JavaScript, or of the promise that it gives."""
        answer = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        return answer["result"].get("value")

    async def until(self, script: str) -> None:
        """Wait until JavaScript gives true."""
        for _ in range(PATIENCE * 20):
            if await self.ask(script):
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"still not so: {script}; {self.problems}")

    async def type(self, text: str) -> None:
        await self.call("Input.insertText", text=text)

    async def resize(self, width: int, height: int) -> None:
        """Make the page that many pixels wide and high."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    async def picture(self) -> bytes:
        """What it shows, as PNG."""
        return base64.b64decode((await self.call("Page.captureScreenshot", format="png"))["data"])


@contextlib.asynccontextmanager
async def browsing(width: int = 1280, height: int = 800) -> AsyncIterator[Page]:
    """A new browser with one empty page."""
    aiohttp = pytest.importorskip("aiohttp", reason="the extra web is not installed")

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = await asyncio.create_subprocess_exec(
            chromium(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--remote-debugging-port=0", f"--user-data-dir={profile}", f"--window-size={width},{height}",
            "about:blank", stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            address = await asyncio.wait_for(_address(browser), PATIENCE)
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://{address}/json") as listed:
                    pages = [each for each in await listed.json() if each["type"] == "page"]
                async with session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    yield Page(socket)
        finally:
            browser.terminate()
            await browser.wait()


async def _address(browser: asyncio.subprocess.Process) -> str:
    """Host and port of the protocol, which Chromium says on stderr."""
    assert browser.stderr is not None
    while line := await browser.stderr.readline():
        if b"DevTools listening on" in line:
            return line.split()[-1].decode().split("/")[2]
    raise AssertionError("Chromium ended before it listened")
