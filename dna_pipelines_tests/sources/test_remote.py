"""File systems that fsspec knows, by the one that lives in memory."""

import io
import socket
import zipfile

import pytest

from dna_pipelines.errors import SourceError
from dna_pipelines.sources import remote, retries
from dna_pipelines_tests.raising import raises


def test_objects_are_listed_and_read(memory, source):
    memory("im/a.png", b"1")
    memory("im/deep/b.jpg", b"22")
    memory("im/notes.txt", b"-")
    opened = source(f"{memory.uri}/im")
    listing = opened.list()
    assert [(entry.path, entry.size_bytes) for entry in listing.entries] == [(b"a.png", 1), (b"deep/b.jpg", 2)]
    assert listing.n_ignored == 1
    assert opened.read(b"deep/b.jpg") == b"22"


def test_a_prefix_is_a_folder_and_not_the_beginning_of_a_name(memory, paths):
    memory("im/a.png", b"1")
    memory("im2/b.png", b"2")
    assert paths(f"{memory.uri}/im") == paths(f"{memory.uri}/im/") == ["a.png"]


@pytest.mark.parametrize("name", ["a b.png", "[x]*?.png", "it's.png", "grün.png"])
def test_odd_names_are_listed_and_read(memory, source, name):
    memory(f"im/{name}", name.encode())
    opened = source(f"{memory.uri}/im")
    (entry,) = opened.list().entries
    assert opened.read(entry.path) == name.encode()


def test_globs_choose_objects(memory, paths):
    for name in ("a/one.png", "b/two.png", "b/three.jpg"):
        memory(name, b"x")
    assert paths(memory.uri, ["b/**"], ["*.jpg"]) == ["b/two.png"]


def test_a_rewritten_object_changes_its_signature(memory, source):
    memory("a.png", b"one")
    memory("b.png", b"one")
    before = {entry.path: entry.signature for entry in source(memory.uri).list().entries}
    memory("a.png", b"two")
    after = {entry.path: entry.signature for entry in source(memory.uri).list().entries}
    assert after[b"a.png"] != before[b"a.png"]
    assert after[b"b.png"] == before[b"b.png"]


def test_a_missing_prefix_is_an_error(memory, source):
    with raises(SourceError, "source.missing", uri=f"{memory.uri}/nothing"):
        source(f"{memory.uri}/nothing").list()


def test_a_single_object_is_no_folder_and_an_error(memory, source):
    memory("one.png", b"1")
    with raises(SourceError, "source.not-a-folder", uri=f"{memory.uri}/one.png"):
        source(f"{memory.uri}/one.png").list()


def test_a_scheme_that_is_not_known_is_an_error(source):
    with raises(SourceError, "source.unknown-scheme", scheme="nope"):
        source("nope://bucket/images").list()


def test_a_location_that_cannot_be_reached_is_an_error(memory, source, monkeypatch):
    memory("a.png", b"1")
    opened = source(memory.uri)

    def fail(*arguments, **named):
        raise ConnectionError("the network is down")

    monkeypatch.setattr(memory.fs, "find", fail)
    with raises(SourceError, "source.unreachable", uri=memory.uri, error="ConnectionError"):
        opened.list()


def test_a_store_that_refuses_the_connection_is_an_error_without_the_password(source):
    """Its client connects when it is made, before anything is listed."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        location = f"me:secret@127.0.0.1:{server.getsockname()[1]}/images"
        # Bound and not listening: the port refuses connections.
        with raises(SourceError, "source.unreachable", error="ConnectionRefusedError") as caught:
            source(f"ftp://{location}").list()
    assert "secret" not in str(caught.value) + caught.value.facts["uri"]


def test_an_unforeseen_exception_is_an_error_of_the_location(memory, source, monkeypatch):
    memory("a.png", b"1")
    opened = source(memory.uri)

    def fail(*arguments, **named):
        raise KeyError("contents")

    monkeypatch.setattr(remote, "entry_of", fail)
    with raises(SourceError, "source.unexpected", uri=memory.uri, error="KeyError"):
        opened.list()
    monkeypatch.setattr(remote, "read_object", fail)
    with raises(SourceError, "source.unexpected", uri=memory.uri, error="KeyError"):
        opened.read(b"a.png")


def test_an_image_that_does_not_fit_into_memory_is_quarantined(memory, source, manifest_of, monkeypatch):
    memory("a.png", b"1")
    opened = source(memory.uri)

    def fail(*arguments, **named):
        raise MemoryError

    monkeypatch.setattr(memory.fs, "cat_file", fail)
    assert [row.reason for row in manifest_of(opened).rows] == ["too large"]


def test_whatever_a_back_end_raises_while_reading_is_an_os_error(memory, source, monkeypatch):
    memory("a.png", b"1")
    opened = source(memory.uri)

    class ClientError(Exception):
        pass

    def fail(*arguments, **named):
        raise ClientError("throttled")

    monkeypatch.setattr(memory.fs, "cat_file", fail)
    with pytest.raises(OSError, match="throttled") as caught:
        opened.read(b"a.png")
    assert isinstance(caught.value.__cause__, ClientError)


def test_a_location_that_fails_while_reading_is_an_error_and_quarantines_nothing(
    memory, source, manifest_of, monkeypatch
):
    """A network that breaks must not look like a dataset that lost its images."""
    monkeypatch.setattr(retries, "_PAUSES_S", (0.0,))
    memory("a.png", b"1")
    opened = source(memory.uri)

    def fail(*arguments, **named):
        raise TimeoutError("timed out")

    monkeypatch.setattr(memory.fs, "cat_file", fail)
    with raises(SourceError, "source.read-failed", path="a.png", error="TimeoutError"):
        manifest_of(opened)


@pytest.mark.parametrize("kind", ["a.zip", "a.tar.gz", "a.parquet"])
def test_a_source_that_lists_again_reads_what_is_there_now(memory, source, tar_bytes, parquet_bytes, kind):
    def packed(data):
        if kind == "a.parquet":
            return parquet_bytes([data])
        if kind == "a.tar.gz":
            return tar_bytes({"a.png": data}, "gz")
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("a.png", data)
        return buffer.getvalue()

    memory(kind, packed(b"before"))
    opened = source(f"{memory.uri}/{kind}")
    (before,) = opened.list().entries
    assert opened.read(before.path) == b"before"
    memory(kind, packed(b"after!"))
    (after,) = opened.list().entries
    assert after.signature != before.signature
    assert opened.read(after.path) == b"after!"
