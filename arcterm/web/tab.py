"""One tab: a console process of its own, its screen to the browser and the browser's keys to it.

The process speaks the protocol of Textual's web driver (``textual/drivers/web_driver.py``) over its pipes:
after a line ``__GANGLION__`` packets of one letter (D data, M a JSON object, P a file), a length (u32, big
endian) and that many bytes, both ways.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import WSMsgType, web

HELLO = b"__GANGLION__\n"
_LARGEST, _MOST_CELLS = 16 << 20, 1000
_PATIENCE_SECONDS = 3.0


class BrowserTab:
    """Runs `command`, a list of arguments, for the page at the other end of `socket`."""

    def __init__(self, socket: web.WebSocketResponse, command: Sequence[str], env: Mapping[str, str]) -> None:
        self._socket, self._command, self._env = socket, command, env

    async def run(self, width: int, height: int) -> None:
        """Serve the tab until its page or its process ends; then neither is left."""
        size = {"COLUMNS": str(_cells(width)), "ROWS": str(_cells(height))}
        process = await asyncio.create_subprocess_exec(
            *self._command, stdin=PIPE, stdout=PIPE, env={**self._env, **size}
        )
        keys = asyncio.create_task(self._pass_keys(process))
        screen = asyncio.create_task(self._pass_screen(process))
        try:
            await asyncio.wait({keys, screen}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (keys, screen):
                each.cancel()
            await asyncio.gather(keys, screen, return_exceptions=True)
            await _end(process)
            await self._socket.close()

    async def _pass_screen(self, process: Process) -> None:
        """Send what the console draws; ends with it."""
        assert process.stdout is not None
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            if await process.stdout.readexactly(len(HELLO)) != HELLO:
                return
            while True:
                kind = await process.stdout.readexactly(1)
                size = int.from_bytes(await process.stdout.readexactly(4), "big")
                if size > _LARGEST:
                    return
                data = await process.stdout.readexactly(size)
                if kind == b"D":
                    await self._socket.send_bytes(data)
                elif kind == b"M" and json.loads(data).get("type") == "exit":
                    return

    async def _pass_keys(self, process: Process) -> None:
        """Pass on what the page sends; ends with the page, or with anything that is no message of it."""
        assert process.stdin is not None
        with contextlib.suppress(ConnectionError):
            async for message in self._socket:
                packet = _packet(message.data) if message.type is WSMsgType.TEXT else None
                if packet is None:
                    return
                if packet:
                    process.stdin.write(packet)
                    await process.stdin.drain()
                else:
                    await self._socket.send_str(message.data.replace("ping", "pong", 1))


def _packet(text: str) -> bytes | None:
    """The packet for a message of the page; empty for a ping, None for what is no message."""
    try:
        kind, *values = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return None
    value: Any = values[0] if values else None
    match kind, value:
        case "stdin", str():
            data = value.encode("utf-8", "replace")
            return b"D" + len(data).to_bytes(4, "big") + data
        case "resize", {"width": int(width), "height": int(height)}:
            return _meta({"type": "resize", "width": _cells(width), "height": _cells(height)})
        case (("focus" | "blur"), _):
            return _meta({"type": kind})
        case "ping", _:
            return b""
    return None


def _meta(value: dict[str, Any]) -> bytes:
    data = json.dumps(value).encode()
    return b"M" + len(data).to_bytes(4, "big") + data


def _cells(count: int) -> int:
    return min(max(count, 1), _MOST_CELLS)


async def _end(process: Process) -> None:
    """End the console: by its own leave first, then by force. Runs are no children of it and go on."""
    if process.returncode is None and process.stdin is not None:
        with contextlib.suppress(ConnectionError, RuntimeError):
            process.stdin.write(_meta({"type": "quit"}))
            await process.stdin.drain()
    for last in (process.terminate, process.kill):
        try:
            await asyncio.wait_for(process.wait(), _PATIENCE_SECONDS)
            return
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                last()
    await process.wait()
