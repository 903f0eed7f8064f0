"""Who may talk to the server: the holder of its token, by a name of this machine, from its own page."""

from __future__ import annotations

import hmac
import secrets
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

LOOPBACK = "127.0.0.1"
_NAMES = (LOOPBACK, "localhost", "[::1]")
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def new_token() -> str:
    """Return a token that can't be guessed, fit for a path: 32 random bytes."""
    return secrets.token_urlsafe(32)


class RequestGuard:
    """Checks each request before anything else happens.

    The token is part of the path, not a cookie: a browser sends cookies to every port of a host, and other
    users may listen there. A Host that is no name of this machine is what a page gets that has another name
    resolve to it; an Origin that is not this server's is another page's.
    """

    def __init__(self, token: str) -> None:
        self._token = token

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer what is refused with a status and a line, alike whatever else the path may be."""
        refused = self.refuse(request)
        response = refused or await handler(request)
        if not response.prepared:
            response.headers.update(_HEADERS)
            response.headers["Content-Security-Policy"] = _POLICY
        return response

    def refuse(self, request: web.Request) -> web.Response | None:
        """Return the answer to a request that is refused, None for one that may go on."""
        host = request.headers.get("Host", "")
        if _name_of(host) not in _NAMES:
            return _refusal(421, "this server answers to 127.0.0.1 and localhost alone")
        if request.method != "GET":
            return _refusal(405, "there is nothing here to be changed by a request")
        origin, own = request.headers.get("Origin"), f"http://{host}"
        needed = "Upgrade" in request.headers  # a browser always names the page that opens a WebSocket
        if (origin is None and needed) or origin not in (None, own):
            return _refusal(403, "another page may not talk to this server")
        if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return _refusal(403, "another page may not lead here")
        given = request.path.split("/")[1].encode("utf-8", "replace")
        if not hmac.compare_digest(given, self._token.encode()):
            return _refusal(403, "the address has no token, or an old one: `arcterm serve` printed it")
        return None


def _name_of(host: str) -> str:
    """The name in a Host header without its port; "" if it is none."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port  # raises for what is no number
    except ValueError:
        return ""
    return (host.rpartition(":")[0] if parts.port is not None else host).lower()


def _refusal(status: int, words: str) -> web.Response:
    return web.Response(status=status, text=f"arcterm: {words}\n")
