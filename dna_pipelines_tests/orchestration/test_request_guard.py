"""The web page answers its own pages and programs on names of this machine, and no page of another site."""

import asyncio
import socket

import pytest

from dna_pipelines.orchestration.request_guard import RequestGuard


def answer(host="localhost:3000", *, origin=None, path="/graphql", query="", kind="http", hosts=("dna.example.com",)):
    """What is sent for a request: `answered`, or the status or close code of a refusal."""

    async def app(_scope, _receive, send):
        await send({"type": "answered"})

    async def receive():
        return {"type": "http.request"}

    sent = []

    async def send(message):
        sent.append(message)

    headers = [(b"host", host.encode()), *([(b"origin", origin.encode())] if origin else [])]
    scope = {"type": kind, "path": path, "query_string": query.encode(), "headers": headers, "method": "GET"}
    asyncio.run(RequestGuard(app, hosts)(scope, receive, send))
    return sent[0].get("status") or sent[0].get("code") or sent[0]["type"]


OWN = [
    "localhost:3000",
    "LOCALHOST",
    "127.0.0.1:3000",
    "[::1]:3000",
    "192.0.2.7",
    socket.gethostname(),
    "dna.example.com",
]


@pytest.mark.parametrize("host", OWN)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_names_of_this_machine_and_allowed_ones_are_answered(host, kind):
    assert answer(host, kind=kind) == "answered"
    assert answer(host, kind=kind, origin=f"http://{host}") == "answered"


@pytest.mark.parametrize(
    "host", ["rebound.example.org:3000", "localhost.example.org", "example.com", "", "[::1", "127.0.0.1.example.org"]
)
def test_other_names_are_refused(host):
    assert answer(host) == 403
    assert answer(host, kind="websocket") == 1008


@pytest.mark.parametrize(
    "origin", ["http://example.org", "null", "http://localhost:8000", "http://localhost:3000.example.org"]
)
@pytest.mark.parametrize("path", ["/graphql", "/download/x", "/"])
def test_pages_of_other_sites_are_refused(origin, path):
    assert answer(origin=origin, path=path) == 403
    assert answer(origin=origin, path=path, kind="websocket") == 1008


@pytest.mark.parametrize("query", ["query=mutation{x}", "variables=1&query={y}", "%71uery=%7Bx%7D"])
def test_queries_in_an_address_are_refused(query):
    assert answer(query=query) == 403
    assert answer(query=query, path="/prefix/graphql") == 403
    assert answer(query=query, path="/assets") == "answered"


def test_what_is_neither_a_request_nor_a_socket_passes():
    assert answer("example.org", kind="lifespan") == "answered"
