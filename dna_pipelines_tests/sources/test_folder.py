"""Local folders: which files belong to a dataset, and what becomes of those that cannot be read."""

import errno
import os

import pytest

from dna_pipelines.errors import SourceError
from dna_pipelines.sources import base
from dna_pipelines_tests.raising import raises

TREE = ("top.png", "a/one.png", "a/deep/two.png", "a/three.jpg", "b/four.png", "b/readme.md")


def test_without_globs_image_suffixes_are_taken_and_the_rest_is_counted(make_files, source):
    folder = make_files("a.png", "B.JPG", "c.WebP", "d.tiff", "notes.txt", "png", "e.png.bak")
    listing = source(folder).list()
    assert [entry.path for entry in listing.entries] == [b"B.JPG", b"a.png", b"c.WebP", b"d.tiff"]
    assert listing.n_ignored == 3


@pytest.mark.parametrize(
    ("globs", "exclude", "expected"),
    [
        (["*.png"], [], ["a/deep/two.png", "a/one.png", "b/four.png", "top.png"]),
        (["a/**"], [], ["a/deep/two.png", "a/one.png", "a/three.jpg"]),
        (["a/*"], [], ["a/one.png", "a/three.jpg"]),
        (["**/deep/*.png"], [], ["a/deep/two.png"]),
        (["*.jpg", "b/*.png"], [], ["a/three.jpg", "b/four.png"]),
        (["*.md"], [], ["b/readme.md"]),
        ([], ["a/**"], ["b/four.png", "top.png"]),
        ([], ["t*.png"], ["a/one.png", "a/three.jpg", "b/four.png"]),
        (["a/**"], ["**/deep/**", "*.jpg"], ["a/one.png"]),
        (["nothing/*"], [], []),
    ],
)
def test_globs_choose_and_excludes_leave_out(make_files, paths, globs, exclude, expected):
    assert paths(make_files(*TREE), globs, exclude) == expected


def test_what_a_glob_or_an_exclude_leaves_out_is_counted(make_files, source):
    assert source(make_files(*TREE), ["a/**"], ["*.jpg"]).list().n_ignored == 4


@pytest.mark.parametrize(("glob", "expected"), [("?.png", ["a.png", "ü.png"]), ("[äü].png", ["ü.png"])])
def test_a_glob_counts_letters_and_not_bytes(make_files, paths, glob, expected):
    assert paths(make_files("a.png", "ü.png", "ab.png"), [glob]) == expected


@pytest.mark.parametrize(
    "name", ["it's.png", 'say "hi".png', "two\nlines.png", "a b.png", "[x]*?.png", "ünï.png", "%20.png"]
)
@pytest.mark.parametrize("glob", [(), ("*.png",)])
def test_odd_names_are_listed_and_read(make_files, source, name, glob):
    opened = source(make_files(name), glob)
    (entry,) = opened.list().entries
    assert entry.path == name.encode()
    assert opened.read(entry.path) == name.encode()


def test_names_that_are_not_utf8_survive_as_bytes(tmp_path, source, manifest_of, png):
    folder = os.fsencode(tmp_path) + b"/folder"
    os.makedirs(folder + b"/f\xff")
    with open(folder + b"/f\xff/caf\xe9.png", "wb") as file:
        file.write(png())
    opened = source("folder", ["f*/*.png"])
    (row,) = manifest_of(opened).rows
    assert row.path == b"f\xff/caf\xe9.png"
    assert row.status == "ok"
    assert row.name == r"f\xff/caf\xe9.png"


def test_entries_come_sorted_by_path_whatever_the_depth(make_files, source):
    listing = source(make_files("b.png", "a/z.png", "a.png", "a/b/c.png", "a-b.png")).list()
    listed = [entry.path for entry in listing.entries]
    assert listed == sorted(listed)
    assert len(listed) == 5


def test_a_linked_folder_is_followed_once(make_files, paths, tmp_path):
    folder = make_files("own.png")
    elsewhere = make_files("x.png", "deep/y.png", under="elsewhere")
    (folder / "link").symlink_to(elsewhere)
    (folder / "second").symlink_to(elsewhere)
    assert sorted(path.partition("/")[2] for path in paths(folder) if "/" in path) == ["deep/y.png", "x.png"]


@pytest.mark.parametrize("target", [".", "..", "../..", "deep"])
def test_a_linked_folder_that_contains_itself_ends(make_files, paths, target):
    folder = make_files("one.png", "deep/two.png")
    (folder / "deep" / "again").symlink_to(folder / "deep" / target)
    listed = paths(folder)
    assert len(listed) == len(set(listed))
    assert {"one.png", "deep/two.png"} <= set(listed)
    assert max(path.count("again") for path in listed) <= 1


def test_folders_that_link_to_one_another_end(make_files, paths):
    folder = make_files("a/one.png", "b/two.png")
    (folder / "a" / "to_b").symlink_to(folder / "b")
    (folder / "b" / "to_a").symlink_to(folder / "a")
    assert len(paths(folder)) < 20


def test_a_link_to_itself_is_reported_and_the_rest_is_listed(make_files, source):
    folder = make_files("good.png")
    (folder / "loop.png").symlink_to("loop.png")
    listed = {entry.path: entry.problem for entry in source(folder).list().entries}
    assert listed[b"good.png"] is None
    assert listed[b"loop.png"]


def test_a_broken_link_is_reported_and_ends_in_quarantine(make_files, source, manifest_of):
    folder = make_files("nothing.txt")
    (folder / "broken.png").symlink_to(folder / "nowhere.png")
    opened = source(folder)
    (entry,) = opened.list().entries
    assert (entry.signature, entry.problem is None) == ("broken", False)
    (row,) = manifest_of(opened).quarantined
    assert (row.name, row.reason) == ("broken.png", "cannot be read")


def test_what_macos_writes_beside_files_is_ignored_and_counted_unless_globs_ask_for_it(make_files, source):
    folder = make_files(
        "a.png", "._a.png", "deep/._b.jpg", "deep/b.jpg", "__MACOSX/deep/._b.jpg", ".hidden.png", "x._c.png"
    )
    listing = source(folder).list()
    assert [entry.path for entry in listing.entries] == [b".hidden.png", b"a.png", b"deep/b.jpg", b"x._c.png"]
    assert listing.n_ignored == 3
    assert len(source(folder, globs=("*.png",)).list().entries) == 4


def test_a_link_that_is_repaired_changes_its_signature(make_files, source):
    folder = make_files("nothing.txt")
    (folder / "broken.png").symlink_to(folder / "later.bin")
    before = source(folder).list().entries[0].signature
    (folder / "later.bin").write_bytes(b"x")
    assert source(folder).list().entries[0].signature != before


def test_a_pipe_is_reported_and_never_opened(make_files, source, manifest_of):
    folder = make_files("good.txt")
    os.mkfifo(folder / "pipe.png")
    (row,) = manifest_of(source(folder)).rows
    assert (row.status, row.signature) == ("quarantined", "special")


@pytest.mark.skipif(not os.path.exists("/proc/self/mounts"), reason="needs a file of the kernel")
def test_a_file_of_the_kernel_is_empty_as_its_size_says(make_files, source, manifest_of):
    folder = make_files("good.txt")
    (folder / "endless.png").symlink_to("/proc/self/mounts")
    (row,) = manifest_of(source(folder)).rows
    assert (row.status, row.reason) == ("quarantined", "empty")


def test_a_folder_that_cannot_be_listed_is_reported_and_the_rest_is_listed(make_files, source, monkeypatch):
    folder = make_files("good.png", "locked/hidden.png", "open/too.png")
    scandir = os.scandir

    def refuse(folder):
        if b"locked" in folder:
            raise PermissionError(errno.EACCES, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    entries = {entry.path: entry for entry in source(folder).list().entries}
    assert {path: (entry.signature == "unlistable", entry.is_container) for path, entry in entries.items()} == {
        b"good.png": (False, False),
        b"open/too.png": (False, False),
        b"locked/": (True, True),
    }
    assert "Permission denied" in entries[b"locked/"].problem


def test_a_location_that_cannot_be_listed_at_all_is_an_error(make_files, source, monkeypatch):
    folder = make_files("good.png")

    def refuse(folder):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with raises(SourceError, "source.unreachable", uri=str(folder), error="PermissionError"):
        source(folder).list()


def test_a_missing_location_is_an_error(tmp_path, source):
    with raises(SourceError, "source.missing", uri=str(tmp_path / "nowhere")):
        source("nowhere").list()


def test_a_location_that_is_a_file_is_an_error(make_files, source):
    folder = make_files("one.png")
    with raises(SourceError, "source.unknown-kind", uri=str(folder / "one.png")):
        source(folder / "one.png").list()


def test_an_empty_folder_lists_nothing(tmp_path, source):
    (tmp_path / "folder").mkdir()
    assert source("folder").list().entries == []


@pytest.mark.parametrize("name", ["plain", "with space", "ünï", "a#b", "100%"])
def test_a_file_uri_names_the_same_location_as_its_path(make_files, paths, name):
    folder = make_files("one.png", under=name)
    assert paths(folder.as_uri()) == ["one.png"]


def test_a_signature_changes_when_the_file_does_and_only_then(make_files, source):
    folder = make_files("a.png", "b.png")
    before = {entry.path: entry.signature for entry in source(folder).list().entries}
    assert {entry.path: entry.signature for entry in source(folder).list().entries} == before
    (folder / "a.png").write_bytes(b"longer than it was")
    os.utime(folder / "b.png", ns=(1, 1))
    after = {entry.path: entry.signature for entry in source(folder).list().entries}
    assert after[b"a.png"] != before[b"a.png"]
    assert after[b"b.png"] != before[b"b.png"]


def test_a_file_that_vanishes_after_the_listing_is_quarantined(make_files, source, manifest_of, png, monkeypatch):
    folder = make_files("broken.png")
    (folder / "good.png").write_bytes(png())
    opened = source(folder)
    listing = opened.list()
    (folder / "broken.png").unlink()
    monkeypatch.setattr(opened, "list", lambda: listing)
    manifest = manifest_of(opened)
    assert [row.name for row in manifest.readable] == ["good.png"]
    assert [row.reason for row in manifest.quarantined] == ["vanished"]


def test_what_phones_write_is_listed_by_default(make_files, paths):
    assert paths(make_files("a.HEIC", "b.heif", "c.jxl", "d.doc")) == ["a.HEIC", "b.heif", "c.jxl"]


def test_a_pattern_of_many_asterisks_means_what_it_means_and_ends(make_files, paths, monkeypatch):
    folder = make_files("xaybzcwd.png", "xaybzc.png")
    assert paths(folder, ["*a*b*c*d*"]) == ["xaybzcwd.png"]
    assert paths(folder, exclude=["*a*b*c*d*"]) == ["xaybzc.png"]
    make_files(f"c{'a' * 200}.png")
    glob = "*a" * 12 + "*c*.png"
    assert paths(folder, [glob]) == []
    monkeypatch.setattr(base, "_PATIENCE_S", 0.02)
    monkeypatch.setattr(base, "glob_translate", lambda _glob: "c((a|aa)+)!")
    with raises(SourceError, "source.slow-pattern", pattern=glob, path=f"c{'a' * 200}.png"):
        paths(folder, [glob])
