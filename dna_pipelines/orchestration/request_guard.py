"""Which requests Dagster's web server may answer: those of its own pages, and of programs that name this machine."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

ALLOWED_HOSTS = "DNA_ALLOWED_HOSTS"
"""The environment variable with the host names that a guard allows, separated by commas."""


class RequestGuard:
    """ASGI middleware that refuses what a page of another site makes a browser send (HTTP 403).

    Refused are requests

    - for a host name that is not this machine's: a page can let its own name resolve to this address (DNS rebinding),
      and the browser then takes both for one site. An address in digits cannot be rebound;
    - whose `Origin` is another site than the one that is asked: cross-site requests, and WebSockets, which no browser
      restricts to one site;
    - with a GraphQL query in their address: Dagster executes mutations there too, and a link or an image sends these
      without an `Origin`.

    Args:
        app: the application that answers the others.
        hosts: host names, beside `localhost` and the names of this machine, for which it answers.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str] = ()) -> None:
        self._app = app
        self._hosts = {"localhost", socket.gethostname().lower(), *map(str.lower, hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        reason = self._refusal(scope) if scope["type"] in ("http", "websocket") else None
        if reason is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            # Closed before it is accepted, a server answers with 403.
            await send({"type": "websocket.close", "code": 1008, "reason": reason})
        else:
            plain = [(b"content-type", b"text/plain; charset=utf-8")]
            await send({"type": "http.response.start", "status": 403, "headers": plain})
            await send({"type": "http.response.body", "body": reason.encode()})

    def _refusal(self, scope: Scope) -> str | None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        if not self._is_own(host):
            return f"{host!r} is not a name of this server; allow it with `dna ui --allow-host NAME`"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return f"a page of {origin} may not send requests to {host}"
        has_query = scope["path"].endswith("/graphql") and "query" in parse_qs(scope["query_string"].decode("latin-1"))
        if scope["type"] == "http" and has_query:
            return "a GraphQL query belongs in the body of a POST request"
        return None

    def _is_own(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in self._hosts or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
