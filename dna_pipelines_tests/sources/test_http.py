"""A web server that is really there: files named by an index, and a server that is busy now and then."""

import io
import random
import threading
import zipfile
from http.server import BaseHTTPRequestHandler
from urllib.parse import unquote

import pytest

from dna_pipelines.errors import SourceError
from dna_pipelines.sources import remote
from dna_pipelines_tests.sources.web_server import QuietServer

pytest.importorskip("aiohttp")


@pytest.fixture
def web(monkeypatch):
    """A server: what it has by path, with an etag or without, and how often it is to be busy."""
    monkeypatch.setattr(remote, "_PAUSES_S", (0.0, 0.0))

    class Web:
        n_busy = 0

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path = unquote(self.path)
            if web.n_busy and self.command == "GET":
                web.n_busy -= 1
                self.send_error(503)
            elif path not in web.files:
                self.send_error(404)
            else:
                data = web.files[path]
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                if path in web.etags:
                    self.send_header("ETag", web.etags[path])
                for header in web.headers.items():
                    self.send_header(*header)
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(data)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *arguments):
            pass

    web, server = Web(), QuietServer(("127.0.0.1", 0), Handler)
    web.files, web.etags, web.headers = {}, {}, {}
    web.uri = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield web
    server.shutdown()
    server.server_close()


@pytest.fixture
def index(web, source, tmp_path):
    """The source for an index of paths on the server."""

    def opened(*paths):
        (tmp_path / "index.txt").write_text("".join(f"{web.uri}{path}\n" for path in paths))
        return source("index.txt")

    return opened


def test_files_are_looked_up_and_read(web, index):
    web.files = {"/a.png": b"1", "/b c.png": b"22"}
    opened = index("/a.png", "/b c.png", "/none.png")
    entries = {entry.path.decode().removeprefix(web.uri): entry for entry in opened.list().entries}
    assert [entries[path].size_bytes for path in ("/a.png", "/b c.png")] == [1, 2]
    assert "named in the index" in entries["/none.png"].problem
    assert opened.read(f"{web.uri}/b c.png".encode()) == b"22"


def test_an_etag_vouches_for_a_file_and_without_one_it_is_read_at_every_scan(web, index):
    web.files, web.etags = {"/a.png": b"1", "/b.png": b"1"}, {"/a.png": '"v1"'}
    with_etag, without = index("/a.png", "/b.png").list().entries
    assert with_etag.modified_ns is None
    assert without.modified_ns is not None
    web.etags["/a.png"] = '"v2"'
    assert index("/a.png", "/b.png").list().entries[0].signature != with_etag.signature


def test_a_busy_server_is_asked_again(web, index):
    web.files = {"/a.png": b"1"}
    opened = index("/a.png")
    opened.list()
    web.n_busy = 2
    assert opened.read(f"{web.uri}/a.png".encode()) == b"1"


def test_a_server_that_stays_busy_quarantines_nothing(web, index, manifest_of):
    web.files, web.etags = {"/a.png": b"1"}, {"/a.png": '"v1"'}
    opened = index("/a.png")
    entries = opened.list()
    opened.list = lambda: entries
    web.n_busy = 1000
    with pytest.raises(SourceError, match="nothing was changed"):
        manifest_of(opened)


def test_a_file_that_vanishes_is_quarantined(web, index, manifest_of):
    web.files = {"/a.png": b"1"}
    opened = index("/a.png")
    entries = opened.list()
    opened.list = lambda: entries
    web.files = {}
    assert [row.reason for row in manifest_of(opened).quarantined] == ["vanished"]


def test_a_package_that_is_missing_is_named(source, monkeypatch):
    def missing(*arguments, **named):
        raise ImportError("Please install gcsfs to access Google Storage")

    monkeypatch.setattr(remote.fsspec.core, "url_to_fs", missing)
    with pytest.raises(SourceError, match=r"pip install 'dna_pipelines\[gcs\]'"):
        source("gs://bucket/images")


@pytest.fixture
def packed(tar_bytes, parquet_bytes, png):
    """Images, and something large behind them, in one file of a kind."""

    def made(kind, n_more):
        members = {f"{number}.png": png(number) for number in range(3)} | {
            "more.bin": random.Random(0).randbytes(n_more)
        }
        if kind == "parquet":
            return parquet_bytes(list(members.values()))
        if kind != "zip":
            return tar_bytes(members, kind.partition(".")[2])
        with zipfile.ZipFile(buffer := io.BytesIO(), "w") as file:
            for name, data in members.items():
                file.writestr(name, data)
        return buffer.getvalue()

    return made


@pytest.mark.parametrize("says_so", [False, True])
@pytest.mark.parametrize(
    ("kind", "n_more"), [("tar", 0), ("tar", 2**21), ("tar.gz", 2**21), ("zip", 0), ("parquet", 2**21)]
)
def test_a_server_that_sends_whole_files_is_told_and_no_image_is_blamed(
    web, source, manifest_of, packed, kind, n_more, says_so
):
    web.files, web.headers = {f"/images.{kind}": packed(kind, n_more)}, {"Accept-Ranges": "none"} if says_so else {}
    with pytest.raises(SourceError, match="the server does not answer range requests"):
        manifest_of(source(f"{web.uri}/images.{kind}"))
