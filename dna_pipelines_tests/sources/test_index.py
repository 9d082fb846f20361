"""Index files: one path or URI a line."""

import os

import fsspec
import pytest

from dna_pipelines.errors import SourceError
from dna_pipelines_tests.raising import raises


@pytest.fixture
def index(tmp_path):
    def write(text):
        (tmp_path / "index.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
        return "index.txt"

    return write


def test_relative_absolute_and_uri_lines_are_read(index, source, make_files, memory):
    folder = make_files("rel.png", "abs.png", "uri.png")
    memory("far.png", b"far")
    lines = ["folder/rel.png", str(folder / "abs.png"), (folder / "uri.png").as_uri(), f"{memory.uri}/far.png"]
    opened = source(index("\n".join(lines)))
    entries = opened.list().entries
    assert [entry.problem for entry in entries] == [None] * 4
    assert {opened.read(entry.path) for entry in entries} == {b"rel.png", b"abs.png", b"uri.png", b"far"}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_comments_blank_lines_and_line_ends_do_not_matter(index, source, make_files, end):
    make_files("one.png", "two.png")
    text = end.join(["# a comment", "", "folder/one.png", "   ", "  # another", "  folder/two.png  ", ""])
    entries = source(index(text)).list().entries
    assert [(entry.path, entry.problem) for entry in entries] == [(b"folder/one.png", None), (b"folder/two.png", None)]


def test_a_file_that_is_named_twice_is_listed_once(index, paths, make_files):
    make_files("one.png")
    assert paths(index("folder/one.png\nfolder/one.png\n")) == ["folder/one.png"]


def test_any_suffix_is_taken_unless_globs_say_otherwise(index, source, make_files):
    make_files("one.png", "two.dat")
    opened = source(index("folder/one.png\nfolder/two.dat\n"))
    assert len(opened.list().entries) == 2
    listing = source("index.txt", ["*.png"]).list()
    assert [entry.path for entry in listing.entries] == [b"folder/one.png"]
    assert listing.n_ignored == 1


@pytest.mark.parametrize("line", ["missing.png", "/no/such/folder/x.png", "memory://no/such/x.png", "nope://x/y.png"])
def test_what_is_named_and_missing_is_reported_and_quarantined(index, source, manifest_of, make_files, png, line):
    folder = make_files("one.png")
    (folder / "one.png").write_bytes(png())
    manifest = manifest_of(source(index(f"{line}\nfolder/one.png\n")))
    assert [row.name for row in manifest.readable] == ["folder/one.png"]
    (row,) = manifest.quarantined
    assert row.name == line
    assert (row.signature, row.reason) == ("missing", "cannot be read")


def test_a_name_that_is_not_utf8_is_read(index, source, tmp_path):
    with open(os.fsencode(tmp_path) + b"/caf\xe9.png", "wb") as file:
        file.write(b"latin")
    opened = source(index(b"caf\xe9.png\n"))
    (entry,) = opened.list().entries
    assert entry.problem is None
    assert opened.read(b"caf\xe9.png") == b"latin"


def test_a_folder_on_a_line_is_quarantined(index, source, manifest_of, make_files):
    make_files("sub/one.png")
    (row,) = manifest_of(source(index("folder/sub\n"))).rows
    assert row.status == "quarantined"


def test_a_rewritten_file_changes_its_signature(index, source, make_files):
    folder = make_files("one.png")
    opened = source(index("folder/one.png\n"))
    before = opened.list().entries[0]
    os.utime(folder / "one.png", ns=(10**18, 10**18))
    after = opened.list().entries[0]
    assert after.signature != before.signature
    assert after.modified_ns == 10**18


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("none.txt", "source.missing"),
        ("memory://no/such/index.txt", "source.missing"),
        ("nope://x/index.txt", "source.unknown-scheme"),
    ],
)
def test_an_index_that_cannot_be_read_is_an_error(source, uri, code):
    with raises(SourceError, code):
        source(uri).list()


def test_an_index_may_lie_on_another_file_system(source, memory):
    memory("lists/index.txt", b"../far.png\nnear.png\n")
    memory("lists/near.png", b"near")
    opened = source(f"{memory.uri}/lists/index.txt", ["near.png"])
    (entry,) = opened.list().entries
    assert opened.read(entry.path) == b"near"


def test_a_local_path_in_a_remote_index_is_refused_with_its_uri(memory, source, tmp_path):
    (tmp_path / "here.png").write_bytes(b"here")
    memory("index.txt", f"{tmp_path}/here.png\nfile://{tmp_path}/here.png\n".encode())
    opened = source(f"{memory.uri}/index.txt", ["here.png"])
    refused, good = opened.list().entries
    assert f"file://{tmp_path}/here.png" in refused.problem
    assert opened.read(good.path) == b"here"


def test_an_index_below_a_folder_with_colons_is_read(source, make_files):
    folder = make_files("one.png", under="12::30")
    (folder / "index.txt").write_text("one.png\n")
    opened = source("12::30/index.txt")
    assert [entry.problem for entry in opened.list().entries] == [None]
    assert opened.read(b"one.png") == b"one.png"


def test_excludes_count_without_globs(index, source, make_files):
    make_files("one.png", "two.dat")
    opened = source(index("folder/one.png\nfolder/two.dat\n"), [], ["*.png"])
    listing = opened.list()
    assert [entry.path for entry in listing.entries] == [b"folder/two.dat"]
    assert listing.n_ignored == 1


def test_lines_of_several_schemes_are_read_each_where_it_lies(index, source, make_files, memory):
    folder = make_files("one.png", 'it\'s, "odd" 1.png')
    memory("far.png", b"far")
    lines = ["folder/one.png", 'folder/it\'s, "odd" 1.png', f"file://{folder}/one.png", f"{memory.uri}/far.png"]
    opened = source(index("\n".join(lines)))
    entries = opened.list().entries
    assert [entry.problem for entry in entries] == [None] * 4
    assert sorted(opened.read(entry.path) for entry in entries) == [
        b"far",
        b'it\'s, "odd" 1.png',
        b"one.png",
        b"one.png",
    ]


def test_a_byte_order_mark_is_no_part_of_a_name(index, source, make_files):
    make_files("one.png")
    (entry,) = source(index(b"\xef\xbb\xbffolder/one.png\n")).list().entries
    assert (entry.path, entry.problem) == (b"folder/one.png", None)


def test_a_path_that_is_named_twice_is_counted(make_files, source):
    folder = make_files("a.png", "b.png")
    (folder / "list.txt").write_text("a.png\nb.png\na.png\na.png\n")
    listing = source(folder / "list.txt").list()
    assert ([entry.path for entry in listing.entries], listing.n_ignored) == ([b"a.png", b"b.png"], 2)
    assert ["2 lines" in remark for remark in listing.remarks] == [True]


def test_a_leading_dot_is_no_part_of_a_name(make_files, source):
    folder = make_files("a.png", "deep/b.png", ".c.png", ".d/e.png")
    (folder / "list.txt").write_text("./a.png\na.png\n././deep/b.png\n.//deep/b.png\n.c.png\n.d/e.png\n")
    opened = source(folder / "list.txt")
    listing = opened.list()
    assert [entry.path for entry in listing.entries] == [b".c.png", b".d/e.png", b"a.png", b"deep/b.png"]
    assert listing.n_ignored == 2
    assert [opened.read(entry.path) for entry in listing.entries] == [b".c.png", b".d/e.png", b"a.png", b"deep/b.png"]


@pytest.mark.parametrize(
    ("uri", "error", "code", "facts"),
    [
        ("s3://bucket/b.png", ImportError("Install s3fs to access S3"), "source.missing-package", {"extra": "s3"}),
        (
            "ftp://host/b.png",
            ConnectionRefusedError("refused"),
            "source.unreachable",
            {"error": "ConnectionRefusedError"},
        ),
    ],
    ids=["a client that this machine lacks", "a store that refuses the connection"],
)
def test_a_client_that_cannot_be_made_is_no_missing_image(
    index, source, make_files, monkeypatch, uri, error, code, facts
):
    def fail(*_arguments, **_options):
        raise error

    make_files("a.png")
    opened = source(index(f"a.png\n{uri}\n"))
    monkeypatch.setattr(fsspec.core, "url_to_fs", fail)
    with raises(SourceError, code, **facts):
        opened.list()
