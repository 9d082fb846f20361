"""A web server that is really there: files named by an index, and a server that is busy now and then."""

import io
import random
import time
import zipfile

import pytest

from dna_pipelines.errors import SourceError
from dna_pipelines.sources import remote, retries
from dna_pipelines_tests.raising import raises
from dna_pipelines_tests.sources.web_server import WebServer

pytest.importorskip("aiohttp")


@pytest.fixture
def web(monkeypatch):
    """A server, which is asked again without a pause."""
    monkeypatch.setattr(retries, "_PAUSES_S", (0.0, 0.0))
    server = WebServer()
    yield server
    server.stop()


@pytest.fixture
def index(web, source, tmp_path):
    """The source for an index of paths on the server."""

    def opened(*paths):
        (tmp_path / "index.txt").write_text("".join(f"{web.uri}{path}\n" for path in paths))
        return source("index.txt", options=index.options)

    index = opened
    index.options = {}
    return opened


def test_files_are_looked_up_and_read(web, index):
    web.files = {"/a.png": b"1", "/b c.png": b"22"}
    opened = index("/a.png", "/b c.png", "/none.png")
    entries = {entry.path.decode().removeprefix(web.uri): entry for entry in opened.list().entries}
    assert [entries[path].size_bytes for path in ("/a.png", "/b c.png")] == [1, 2]
    assert entries["/none.png"].signature == "missing"
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
    with raises(SourceError, "source.read-failed", path=f"{web.uri}/a.png", status=503):
        manifest_of(opened)


def test_a_file_that_vanishes_is_quarantined(web, index, manifest_of):
    web.files = {"/a.png": b"1"}
    opened = index("/a.png")
    entries = opened.list()
    opened.list = lambda: entries
    web.files = {}
    assert [row.reason for row in manifest_of(opened).quarantined] == ["vanished"]


@pytest.mark.parametrize("how", [404, 410])
def test_only_what_the_server_calls_gone_is_missing(web, index, manifest_of, png, how):
    web.files, web.refusals = {"/a.png": png(), "/b.png": png(1)}, {"/b.png": how}
    manifest = manifest_of(index("/a.png", "/b.png"))
    assert [row.name for row in manifest.readable] == [f"{web.uri}/a.png"]
    assert [(row.signature, row.reason) for row in manifest.quarantined] == [("missing", "cannot be read")]


@pytest.mark.parametrize(
    ("how", "code", "facts"),
    [
        (401, "source.refused", {"status": 401}),
        (403, "source.refused", {"status": 403}),
        (429, "source.unreachable", {"status": 429}),
        (503, "source.unreachable", {"status": 503}),
        ("hang up", "source.unreachable", {"error": "ServerDisconnectedError"}),
    ],
)
@pytest.mark.parametrize("when", ["listing", "reading"])
def test_a_server_that_fails_is_an_error_and_no_image_is_missing(web, index, manifest_of, png, how, code, facts, when):
    web.files, web.etags = {"/a.png": png(), "/b.png": png(1)}, {"/a.png": '"v1"', "/b.png": '"v1"'}
    opened = index("/a.png", "/b.png")
    if when == "reading":
        entries = opened.list()
        opened.list = lambda: entries
    web.refusals = {"/b.png": how}
    with raises(SourceError, code if when == "listing" else "source.read-failed", path=f"{web.uri}/b.png", **facts):
        manifest_of(opened)


@pytest.mark.parametrize("when", ["listing", "reading"])
def test_a_server_that_cannot_be_reached_is_an_error_and_no_image_is_missing(web, index, manifest_of, png, when):
    web.files = {"/a.png": png()}
    opened = index("/a.png")
    if when == "reading":
        entries = opened.list()
        opened.list = lambda: entries
    web.stop()
    code = "source.unreachable" if when == "listing" else "source.read-failed"
    with raises(SourceError, code, path=f"{web.uri}/a.png") as caught:
        manifest_of(opened)
    assert caught.value.facts["error"] in {"ClientConnectorError", "ServerDisconnectedError"}


def test_a_line_that_is_no_address_is_quarantined_and_no_other(web, index, manifest_of, png):
    web.files = {"/a.png": png()}
    (row,) = manifest_of(index("/a.png", ":no-port/b.png")).quarantined
    assert row.name == f"{web.uri}:no-port/b.png"


@pytest.mark.parametrize(
    "name", ["images", "images.zip", "images.tar", "images.parquet", "images-{0..3}.tar", "*.tar", "index.txt"]
)
@pytest.mark.parametrize(
    ("how", "code", "facts"),
    [
        ("away", "source.unreachable", {"error": "ClientConnectorError"}),
        (503, "source.unreachable", {"status": 503}),
        (403, "source.refused", {"status": 403}),
    ],
)
def test_a_location_on_a_server_that_fails_is_not_called_missing(web, source, name, how, code, facts):
    if how == "away":
        web.stop()
    else:
        names = {name, name.rpartition("*")[0], *(f"images-{n}.tar" for n in range(4)), "images/"}
        web.refusals = {f"/{name}": how for name in names}
    with raises(SourceError, code, uri=f"{web.uri}/{name}", **facts):
        source(f"{web.uri}/{name}").list()


def test_a_page_below_a_folder_that_fails_is_no_empty_one(web, source):
    web.headers = {"Content-Type": "text/html"}
    web.files = {"/im": b'<a href="a.png"></a><a href="deep/"></a>', "/im/deep": b'<a href="b.png"></a>'}
    listed = source(f"{web.uri}/im").list().entries
    assert [entry.path for entry in listed] == [b"a.png", b"deep/b.png"]
    web.refusals = {"/im/deep": "hang up"}
    with raises(SourceError, "source.unreachable", uri=f"{web.uri}/im", error="ServerDisconnectedError"):
        source(f"{web.uri}/im").list()


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip", "parquet"])
def test_a_busy_server_is_asked_again_for_what_is_in_a_file(web, source, packed, png, kind):
    web.files, web.has_ranges = {f"/images.{kind}": packed(kind, 2**21)}, True
    opened = source(f"{web.uri}/images.{kind}")
    first = opened.list().entries[0].path
    web.n_busy = 2
    assert opened.read(first) == png()


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip", "parquet"])
@pytest.mark.parametrize("how", [503, 403, "hang up"])
def test_a_server_that_fails_later_makes_no_image_vanish(web, source, manifest_of, packed, kind, how):
    path = f"/images.{kind}"
    web.files, web.has_ranges = {path: packed(kind, 2**21)}, True
    opened = source(f"{web.uri}{path}")
    entries = opened.list()
    opened.list = lambda: entries
    web.refusals = {path: how}
    with raises(SourceError, "source.read-failed"):
        manifest_of(opened)


@pytest.mark.parametrize("name", ["index", "images", "images.tar", "images.zip"])
def test_a_server_that_never_answers_is_not_waited_for(web, index, source, monkeypatch, name):
    monkeypatch.setattr(retries, "_PATIENCE_S", 0.0)
    web.refusals = {f"/{path}": "silence" for path in (name, "a.png")}
    index.options = options = {"timeout": 0.2}
    began = time.monotonic()
    with raises(SourceError, "source.unreachable") as caught:
        (index("/a.png") if name == "index" else source(f"{web.uri}/{name}", options=options)).list()
    assert "Timeout" in caught.value.facts["error"]
    assert time.monotonic() - began < 5


def test_a_server_that_is_slow_but_not_silent_is_waited_for(web, source):
    web.files, web.drip_s = {"/index.txt": b"a.png\n" * 4, "/a.png": b"1"}, 0.25
    (entry,) = source(f"{web.uri}/index.txt", options={"timeout": 0.5}).list().entries
    assert entry.problem is None


def test_a_server_is_not_waited_for_long_unless_the_options_ask_for_it():
    timeout = remote.file_system_of("https://somewhere/a.png")[0].client_kwargs["timeout"]
    assert (timeout.total, timeout.sock_connect, timeout.sock_read) == (None, 30, 30)


@pytest.mark.parametrize("timeout", [0, "soon", None])
def test_a_timeout_that_is_no_number_of_seconds_is_an_error(source, timeout):
    with raises(SourceError, "source.bad-options", uri="http://somewhere/images"):
        source("http://somewhere/images", options={"timeout": timeout})


def test_a_package_that_is_missing_is_named(source, monkeypatch):
    def missing(*arguments, **named):
        raise ImportError("Please install gcsfs to access Google Storage")

    monkeypatch.setattr(remote.fsspec.core, "url_to_fs", missing)
    with raises(SourceError, "source.missing-package", extra="gcs"):
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
def test_a_server_that_sends_whole_files_is_reported_and_no_image_is_blamed(
    web, source, manifest_of, packed, kind, n_more, says_so
):
    web.files, web.headers = {f"/images.{kind}": packed(kind, n_more)}, {"Accept-Ranges": "none"} if says_so else {}
    with raises(SourceError, "source.no-range-requests"):
        manifest_of(source(f"{web.uri}/images.{kind}"))


def page(*links):
    """A page that lists files, as servers write it."""
    return "".join(f'<a href="{link}">…</a>\n' for link in links).encode()


def test_files_of_a_listing_have_decoded_names_and_are_asked_for_as_they_are_listed(web, source, png):
    links = {"a%20b.png": "a b.png", "50%25.png": "50%.png", "a%2520b.png": "a%20b.png", "%C3%BC.png": "ü.png"}
    links |= {"a%27b.png": "a'b.png", "a&amp;b.png": "a&b.png", "x%2Bz.png": "x+z.png"}
    web.files = {f"/i/{name}": name.encode() for name in links.values()}
    web.files["/i/"] = page(*links, "a%20b.png", "sub%20dir/")
    web.files["/i/sub dir/"], web.files["/i/sub dir/c.png"] = page("c.png"), b"sub dir/c.png"
    names = sorted([*links.values(), "sub dir/c.png"])
    listing = source(f"{web.uri}/i/").list()
    assert [entry.path.decode() for entry in listing.entries] == sorted(names, key=str.encode)
    web.requested.clear()
    # A process that reads an image of an earlier scan has not listed the server.
    opened = source(f"{web.uri}/i/")
    assert [opened.read(name.encode()).decode() for name in names] == names
    assert {f"/i/{link.replace('&amp;', '&')}" for link in links} <= set(web.requested)
    with pytest.raises(FileNotFoundError):
        opened.read(b"none.png")


def test_a_query_is_no_part_of_the_name_of_an_archive(web, source, tar_bytes):
    web.has_ranges = True
    web.files = {f"/{n}.tar?download=1": tar_bytes({f"{n}.png": b"x"}) for n in (0, 2)}
    listing = source(f"{web.uri}/{{0..2}}.tar?download=1").list()
    assert [(entry.path, entry.holds) for entry in listing.entries] == [
        (b"0.tar/0.png", None),
        (b"1.tar", b"1.tar/"),
        (b"2.tar/2.png", None),
    ]
    web.files = {f"/get?id={n}": tar_bytes({"a.png": b"x"}) for n in (1, 2)}
    paths = [entry.path for entry in source(f"{web.uri}/get?id={{1..2}}", kind="tar").list().entries]
    assert paths == [b"get?id=1/a.png", b"get?id=2/a.png"]


def test_an_address_that_is_signed_again_is_the_same_file(web, index):
    web.files = {f"/a.png?X-Amz-Signature={sign}&part=2": b"1" for sign in ("abc", "xyz")}
    web.etags = dict.fromkeys(web.files, '"v1"')
    first, second = (index(path) for path in web.files)
    (entry,) = first.list().entries
    assert second.list().entries == [entry]
    assert entry.path == f"{web.uri}/a.png?X-Amz-Signature=***&part=2".encode()
    # Another process reads it, by the address of the index as it is.
    opened = index("/a.png?X-Amz-Signature=xyz&part=2")
    web.requested.clear()
    assert opened.read(entry.path) == b"1"
    assert web.requested == ["/a.png?X-Amz-Signature=xyz&part=2"]


def test_a_signed_address_of_nothing_shows_no_signature(web, index):
    (entry,) = index("/a.png?X-Amz-Signature=abc").list().entries
    assert entry.signature == "missing"
    assert b"abc" not in entry.path
    assert "abc" not in entry.problem


def test_an_archive_that_is_signed_again_is_the_same_and_shows_no_signature(web, source, tar_bytes, tmp_path):
    class Kept(dict):
        put = dict.__setitem__

    kept, paths = Kept(), ("/{name}.tar?sig=abc", "/{name}.tar?sig=xyz")
    web.has_ranges, data = True, tar_bytes({"a.png": b"x"})
    web.files = {path.format(name=name): data for path in paths for name in ("p", "q")}
    web.files |= {path.format(name="bad"): data[:700] for path in paths}
    web.etags = dict.fromkeys(web.files, '"v1"')
    first, second = (
        source(f"{web.uri}{path.format(name='{p,q,bad,none}')}", kind="tar", cache=kept).list() for path in paths
    )
    assert first == second
    assert [entry.path for entry in first.entries] == [
        b"bad.tar",
        b"bad.tar/a.png",
        b"none.tar",
        b"p.tar/a.png",
        b"q.tar/a.png",
    ]
    assert len(kept) == 3
    shown = repr((first.entries, list(kept)))
    assert "abc" not in shown
    assert "xyz" not in shown
