"""Tar archives: read by offset, many at once, with the metadata of WebDataset shards."""

import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from dna_pipelines.config import DatasetConfig
from dna_pipelines.errors import SourceError
from dna_pipelines.manifests.sampling import sample
from dna_pipelines.sources import open_source, tar
from dna_pipelines_tests.raising import raises

COMPRESSIONS = {"plain": "", "gzip": "gz", "bzip2": "bz2", "xz": "xz"}


@pytest.mark.parametrize("compression", COMPRESSIONS.values(), ids=COMPRESSIONS)
def test_members_are_listed_and_read(archive, source, compression):
    members = [("b/two.png", b"22" * 700), ("./a.jpg", b"1"), ("notes.md", b"-"), ("empty.png", b"")]
    opened = source(archive(members, compression))
    listing = opened.list()
    assert [(entry.path, entry.size_bytes) for entry in listing.entries] == [
        (b"a.jpg", 1),
        (b"b/two.png", 1400),
        (b"empty.png", 0),
    ]
    assert listing.n_ignored == 1
    assert [opened.read(entry.path) for entry in listing.entries] == [b"1", b"22" * 700, b""]


@pytest.mark.parametrize("name", ["images.tgz", "images.TAR", "archive.tbz2"])
def test_the_bytes_tell_the_compression(archive, paths, name):
    assert paths(archive({"a.png": b"1"}, "gz", name)) == ["a.png"]


def test_a_member_is_read_without_being_listed_first(archive, source):
    assert source(archive({"a.png": b"1", "b.png": b"2"})).read(b"b.png") == b"2"


def test_globs_and_excludes_choose_members(archive, source):
    path = archive({"a/one.png": b"1", "b/two.png": b"2", "b/three.png": b"3"})
    listing = source(path, ["b/**"], ["*three*"]).list()
    assert [entry.path for entry in listing.entries] == [b"b/two.png"]
    assert listing.n_ignored == 2


def test_of_members_of_one_name_the_last_counts(archive, source):
    opened = source(archive([("a.png", b"old"), ("b.png", b"b"), ("a.png", b"new"), ("./a.png", b"newest")]))
    listing = opened.list()
    assert [entry.path for entry in listing.entries] == [b"a.png", b"b.png"]
    assert listing.n_ignored == 2
    assert opened.read(b"a.png") == b"newest"


def test_what_describes_a_sample_becomes_its_metadata(archive, source):
    described = {"weather": "rain", "speed": 3, "night": True, "none": None, "box": [1, 2]}
    members = {
        "x/1.left.png": b"l",
        "x/1.right.png": b"r",
        "x/1.json": json.dumps(described).encode(),
        "x/1.cls": b"7\n",
        "x/1.pose.json": b'{"yaw": 0.5}',
        "x/2.png": b"2",
        "x/2.txt": "a grün caption".encode(),
        "3.png": b"3",
        "stray.txt": b"describes nothing",
    }
    listing = source(archive(members)).list()
    first = {"weather": "rain", "speed": "3", "night": "true", "box": "[1, 2]", "cls": "7", "pose.yaw": "0.5"}
    assert {entry.path.decode(): entry.metadata for entry in listing.entries} == {
        "3.png": None,
        "x/1.left.png": first,
        "x/1.right.png": first,
        "x/2.png": {"txt": "a grün caption"},
    }
    assert listing.n_ignored == 1


def test_a_description_that_globs_ask_for_is_no_ignored_file(archive, source):
    listing = source(archive({"1.txt": b"t", "1.png": b"1", "2.txt": b"u"}), ["1.*"]).list()
    assert [entry.path for entry in listing.entries] == [b"1.png", b"1.txt"]
    assert listing.n_ignored == 1


def test_a_file_of_its_own_says_more_than_a_field(archive, source):
    (entry,) = source(archive({"1.cls": b"own", "1.png": b"1", "1.json": b'{"cls": "field"}'})).list().entries
    assert entry.metadata == {"cls": "own"}


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("1.json", b"{", "JSONDecodeError"),
        ("1.json", b"[" * 100_000, "RecursionError"),
        ("1.txt", b"\xff\xfe", "UnicodeDecodeError"),
        ("1.txt", b"x" * (2**20 + 1), "1,048,577 bytes"),
    ],
)
def test_a_description_that_cannot_be_read_is_reported_and_the_image_is_kept(archive, source, name, data, problem):
    (entry,) = source(archive({"1.png": b"1", name: data, "1.cls": b"7"})).list().entries
    assert entry.metadata["cls"] == "7"
    assert problem in entry.metadata["metadata_problem"]
    assert entry.metadata["metadata_problem"].startswith(name)


@pytest.mark.parametrize(
    "uri",
    ["shards/t-{0000..0002}.tar", "shards/t-000[0-2].tar", "shards/*.tar", "shards/t-{0000,0001,0002}.tar"],
)
def test_shards_are_one_dataset(archive, source, uri):
    for shard in range(3):
        archive({"a.png": b"%d" % shard, "a.cls": b"%d" % shard}, name=f"shards/t-{shard:04d}.tar")
    opened = source(uri)
    listing = opened.list()
    assert [entry.path for entry in listing.entries] == [b"t-000%d.tar/a.png" % shard for shard in range(3)]
    assert [entry.metadata for entry in listing.entries] == [{"cls": str(shard)} for shard in range(3)]
    assert [opened.read(entry.path) for entry in listing.entries] == [b"0", b"1", b"2"]
    assert listing.n_ignored == 0


def test_a_folder_of_archives_has_to_be_asked_for(archive, source):
    archive({"a.png": b"1"}, name="shards/one.tar")
    archive({"a.png": b"2"}, "gz", name="shards/deep/two.tgz")
    assert source("shards").list().entries == []
    opened = source("shards", kind="tar")
    assert [entry.path for entry in opened.list().entries] == [b"deep/two.tgz/a.png", b"one.tar/a.png"]
    assert opened.read(b"deep/two.tgz/a.png") == b"2"


def test_a_kind_that_is_given_needs_no_suffix(archive, source):
    assert source(archive({"a.png": b"1"}, name="blob"), kind="tar").read(b"a.png") == b"1"


def test_a_shard_that_is_named_and_missing_is_reported(archive, source, manifest_of, png):
    archive({"a.png": png(1)}, name="t-0.tar")
    manifest = manifest_of(source("t-{0..2}.tar"))
    assert [row.name for row in manifest.readable] == ["t-0.tar/a.png"]
    assert [row.name for row in manifest.quarantined] == ["t-1.tar", "t-2.tar"]
    assert manifest.n_to_retry == 0


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("none.tar", "source.missing"),
        ("none-{0..3}.tar", "source.no-files"),
        ("none*.tar", "source.no-files"),
        ("{0..99999999}.tar", "source.too-many-files"),
        ("{0..999}{0..9999}.tar", "source.too-many-files"),
    ],
)
def test_archives_that_do_not_exist_are_an_error(source, uri, code):
    with raises(SourceError, code):
        source(uri).list()


def test_names_with_brackets_and_braces_are_names_where_they_exist(archive, source):
    for name in ("a[1].tar", "a{1..3}.tar", "a*.tar"):
        assert source(archive({"x.png": name.encode()}, name=name)).read(b"x.png") == name.encode()


def test_an_archive_may_lie_on_another_file_system(tar_bytes, source, memory):
    memory("far-1.tar", tar_bytes({"a.png": b"far"}))
    memory("far-2.tar", tar_bytes({"a.png": b"farther"}, "gz"))
    opened = source(f"{memory.uri}/far-{{1..2}}.tar")
    assert [opened.read(entry.path) for entry in opened.list().entries] == [b"far", b"farther"]


class Kept(dict):
    """A cache that counts."""

    n_put = 0

    def put(self, key, data):
        self.n_put += 1
        self[key] = data


def test_an_archive_is_listed_once_for_each_of_its_states(tar_bytes, source, memory, monkeypatch):
    listed, list_file = [], tar._list_file
    monkeypatch.setattr(tar, "_list_file", lambda file: listed.append(file.uri) or list_file(file))
    memory("1.tar", tar_bytes({"a.png": b"1", "a.json": b'{"x": 1}', "l.txt": b""}))
    cache = Kept()

    def entries():
        return source(f"{memory.uri}/*.tar", cache=cache).list()

    first = entries()
    assert entries() == first
    assert len(listed) == cache.n_put == 1
    memory("1.tar", tar_bytes({"a.png": b"2", "a.json": b'{"x": 2}', "l.txt": b""}))
    (changed,) = entries().entries
    assert changed.metadata == {"x": "2"}
    assert changed.signature != first.entries[0].signature
    assert len(listed) == 2
    for key in cache:
        cache[key] = b"damaged"
    assert entries().entries == [changed]


def test_the_listing_of_a_fresh_archive_is_not_kept(archive, source):
    """Its time would not show a change within the clock's tick."""
    cache = Kept()
    source(archive({"a.png": b"1"}), cache=cache).list()
    assert cache.n_put == 0


@pytest.mark.parametrize("compression", ["", "gz"])
def test_many_threads_read_the_right_members(archive, source, compression):
    members = {f"{number}.png": bytes([number]) * 3000 for number in range(60)}
    opened = source(archive(members, compression))
    names = list(members) * 5
    with ThreadPoolExecutor(8) as pool:
        contents = list(pool.map(lambda name: opened.read(name.encode()), names))
    assert contents == [members[name] for name in names]


@pytest.mark.parametrize("pattern", ["*.tar", "{0..1}.tar", "**/?.tar"])
def test_a_linked_shard_is_the_file_it_leads_to(archive, tmp_path, pattern):
    home = tmp_path / "pro[j]*ect"
    (home / "shards").mkdir(parents=True)
    opened = open_source(f"shards/{pattern}", base=home)
    for number in range(2):
        target = archive({f"{number}.png": b"x"}, name=f"elsewhere{number}.tar")
        (home / "shards" / f"{number}.tar").symlink_to(target)
    before = opened.list().entries
    assert [entry.path for entry in before] == [b"0.tar/0.png", b"1.tar/1.png"]
    os.utime(tmp_path / "elsewhere1.tar", (1, 1))
    assert [one.signature == other.signature for one, other in zip(before, opened.list().entries, strict=True)] == [
        True,
        False,
    ]
    (tmp_path / "elsewhere0.tar").unlink()
    (missing, _) = opened.list().entries
    assert (missing.path, missing.signature, missing.is_container) == (b"0.tar", "missing", True)


def test_a_damaged_or_missing_shard_is_never_sampled_away(archive, tmp_path):
    archive({f"{number}.png": b"x" for number in range(50)}, name="0.tar")
    (tmp_path / "1.tar").write_bytes(b"damage" * 200)
    listed = open_source("{0..2}.tar", base=tmp_path).list().entries
    taken = sample(listed, DatasetConfig(name="d", uri="u", limit=3, every=2))
    assert len(taken) == 5
    assert [entry.path for entry in taken if entry.problem] == [b"1.tar", b"2.tar"]
