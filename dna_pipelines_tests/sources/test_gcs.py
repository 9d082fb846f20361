"""Google's storage through its real client, against a small server that speaks as much of its API as we use."""

import json
import logging
import os
import threading
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from dna_pipelines.errors import SourceError
from dna_pipelines.sources.remote import file_system_of
from dna_pipelines_tests.raising import raises
from dna_pipelines_tests.sources.web_server import QuietServer

# Otherwise the client asks for the kind of a bucket in another protocol first, and for a minute.
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
pytest.importorskip("gcsfs")

OBJECTS = "/storage/v1/b/bucket/o"
TIME = "2024-01-01T00:00:00.000Z"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        url, server = urlsplit(self.path), self.server
        asked = {key: value[0] for key, value in parse_qs(url.query).items()}
        path = url.path.removeprefix("/download")
        name = unquote(path.removeprefix(f"{OBJECTS}/"))
        if server.n_busy:
            server.n_busy -= 1
            answer = {"error": {"code": server.busy_status, "message": "busy"}}
            self.answer(server.busy_status, json.dumps(answer).encode())
        elif path == OBJECTS:
            # Two to a page, so that there are several.
            names = sorted(one for one in server.files if one.startswith(asked.get("prefix", "")))
            start = int(asked.get("pageToken", 0))
            page = {"kind": "storage#objects", "items": [self.description(one) for one in names[start : start + 2]]}
            self.answer(
                200, json.dumps(page | ({"nextPageToken": str(start + 2)} if names[start + 2 :] else {})).encode()
            )
        elif name in server.files:
            data = server.files[name]
            self.answer(200, data if asked.get("alt") == "media" else json.dumps(self.description(name)).encode())
        else:
            self.answer(404, b"{}")

    def description(self, name):
        data = self.server.files[name]
        return {
            "name": name,
            "bucket": "bucket",
            "size": str(len(data)),
            "md5Hash": data.hex(),
            "updated": TIME,
        }

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def store(source):
    """A server with files, and the source for a prefix of them."""
    server = QuietServer(("127.0.0.1", 0), Handler)
    server.files, server.n_busy, server.busy_status = {}, 0, 503
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    options = {"token": "anon", "endpoint_url": f"http://127.0.0.1:{server.server_port}"}
    server.options = options
    server.at = lambda prefix: source(f"gs://bucket/{prefix}", options=options)
    yield server
    server.shutdown()
    server.server_close()


def test_objects_are_listed_page_by_page_and_read(store):
    store.files = {f"im/{number}.png": b"%d" % number for number in range(5)} | {
        "im/notes.txt": b"-",
        "im2/x.png": b"x",
    }
    opened = store.at("im")
    listing = opened.list()
    assert [(entry.path, entry.size_bytes) for entry in listing.entries] == [(b"%d.png" % n, 1) for n in range(5)]
    assert listing.n_ignored == 1
    assert opened.read(b"3.png") == b"3"


def test_changes_and_vanishing_objects_are_seen(store):
    store.files = {"im/a.png": b"one", "im/b.png": b"one"}
    before = {entry.path: entry.signature for entry in store.at("im").list().entries}
    store.files["im/a.png"] = b"two"
    opened = store.at("im")
    after = {entry.path: entry.signature for entry in opened.list().entries}
    assert [after[path] != before[path] for path in (b"a.png", b"b.png")] == [True, False]
    del store.files["im/a.png"]
    with pytest.raises(FileNotFoundError):
        opened.read(b"a.png")


def test_a_busy_store_is_asked_again(store):
    store.files = {"im/a.png": b"1"}
    opened = store.at("im")
    opened.list()
    store.n_busy = 1
    assert opened.read(b"a.png") == b"1"


def test_an_error_is_reported_once_and_not_logged_by_the_client(store, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("gcsfs"), "level", logging.NOTSET)
    # A status that the client does not retry.
    store.n_busy, store.busy_status = 1000, 418
    with raises(SourceError, "source.unreachable", uri="gs://bucket/im", error="HttpError"):
        store.at("im").list()
    assert caplog.records == []


def test_the_client_is_not_waited_for_long_unless_the_options_ask_for_it(store):
    for given, used in (({}, 5.0), ({"retry_timeout": 60.0}, 60.0)):
        fs, _ = file_system_of("gs://bucket/im", store.options | given)
        assert fs.storage_options["retry_timeout"] == used
