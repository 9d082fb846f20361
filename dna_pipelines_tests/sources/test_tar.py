"""Tar archives: read in place, many at once, with what WebDataset puts beside the images."""

import io
import json
import os
import random
import tarfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from dna_pipelines.config import DatasetConfig
from dna_pipelines.errors import SourceError, Unreadable
from dna_pipelines.manifests.sampling import sample
from dna_pipelines.sources import open_source, tar

COMPRESSIONS = {"plain": "", "gzip": "gz", "bzip2": "bz2", "xz": "xz"}


@pytest.fixture
def archive(tmp_path, tar_bytes):
    """Write an archive of members in order, and return its path."""

    def write(members, compression="", name=None):
        path = tmp_path / (name or f"images.tar{'.' if compression else ''}{compression}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tar_bytes(members, compression))
        return path

    return write


def header(name, kind=tarfile.REGTYPE, link="", size=0):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


def everything_below(folder):
    return sorted(str(path) for path in folder.rglob("*"))


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
def test_the_compression_is_told_by_the_bytes(archive, paths, name):
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
    ("name", "data", "said"),
    [
        ("1.json", b"{", "JSONDecodeError"),
        ("1.json", b"[" * 100_000, "RecursionError"),
        ("1.txt", b"\xff\xfe", "UnicodeDecodeError"),
        ("1.txt", b"x" * (2**20 + 1), "1,048,577 bytes"),
    ],
)
def test_a_description_that_cannot_be_read_is_told_and_the_image_is_kept(archive, source, name, data, said):
    (entry,) = source(archive({"1.png": b"1", name: data, "1.cls": b"7"})).list().entries
    assert entry.metadata["cls"] == "7"
    assert said in entry.metadata["metadata_problem"]
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


def test_a_kind_that_is_said_needs_no_suffix(archive, source):
    assert source(archive({"a.png": b"1"}, name="blob"), kind="tar").read(b"a.png") == b"1"


def test_a_shard_that_is_named_and_missing_is_reported(archive, source, manifest_of, png):
    archive({"a.png": png(1)}, name="t-0.tar")
    manifest = manifest_of(source("t-{0..2}.tar"))
    assert [row.name for row in manifest.readable] == ["t-0.tar/a.png"]
    assert [row.name for row in manifest.quarantined] == ["t-1.tar", "t-2.tar"]
    assert manifest.n_to_retry == 0


@pytest.mark.parametrize("uri", ["none.tar", "none-{0..3}.tar", "none*.tar", "{0..99999999}.tar"])
def test_archives_that_are_not_there_are_an_error(source, uri):
    with pytest.raises(SourceError):
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

    def put(self, place, data):
        self.n_put += 1
        self[place] = data


def test_an_archive_is_looked_into_once_for_each_of_its_states(tar_bytes, source, memory, monkeypatch):
    looked, look = [], tar._look
    monkeypatch.setattr(tar, "_look", lambda part: looked.append(part.place) or look(part))
    memory("1.tar", tar_bytes({"a.png": b"1", "a.json": b'{"x": 1}', "l.txt": b""}))
    cache = Kept()

    def entries():
        return source(f"{memory.uri}/*.tar", cache=cache).list()

    first = entries()
    assert entries() == first
    assert len(looked) == cache.n_put == 1
    memory("1.tar", tar_bytes({"a.png": b"2", "a.json": b'{"x": 2}', "l.txt": b""}))
    (changed,) = entries().entries
    assert changed.metadata == {"x": "2"}
    assert changed.signature != first.entries[0].signature
    assert len(looked) == 2
    for place in cache:
        cache[place] = b"damaged"
    assert entries().entries == [changed]


def test_what_a_fresh_archive_holds_is_not_kept(archive, source):
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
        found = list(pool.map(lambda name: opened.read(name.encode()), names))
    assert found == [members[name] for name in names]


def test_members_that_point_outside_are_only_read_in_place(archive, source, tmp_path, monkeypatch):
    (tmp_path / "cwd" / "deep").mkdir(parents=True)
    path = archive([("../../evil.png", b"e"), ("/abs-evil.png", b"e"), ("..\\evil.png", b"e")], "gz")
    monkeypatch.chdir(tmp_path / "cwd" / "deep")
    before = everything_below(tmp_path)
    opened = source(path)
    assert {opened.read(entry.path) for entry in opened.list().entries} == {b"e"}
    assert everything_below(tmp_path) == before


def test_links_and_devices_are_listed_and_quarantined(archive, source, manifest_of, png):
    members = [
        ("real.png", png(1)),
        (header("soft.png", tarfile.SYMTYPE, "/etc/passwd"), b""),
        (header("loop.png", tarfile.SYMTYPE, "loop.png"), b""),
        (header("device.png", tarfile.CHRTYPE), b""),
        (header("pipe.png", tarfile.FIFOTYPE), b""),
        (header("hard.png", tarfile.LNKTYPE, "real.png"), b""),
        (header("lost.png", tarfile.LNKTYPE, "nowhere.png"), b""),
        (header("folder.png", tarfile.DIRTYPE), b""),
    ]
    manifest = manifest_of(source(archive(members)))
    assert [row.name for row in manifest.readable] == ["hard.png", "real.png"]
    assert {row.name: row.detail.split(" in an")[0] for row in manifest.quarantined} == {
        "soft.png": "a link",
        "loop.png": "a link",
        "device.png": "a special file",
        "pipe.png": "a special file",
        "lost.png": "a link",
    }
    assert manifest.n_to_retry == 0


@pytest.mark.parametrize(
    "name", ["it's.png", 'say "hi".png', "two\nlines.png", "[x]*?.png", "caf\udce9.png", "x" * 300 + ".png"]
)
def test_odd_names_are_listed_and_read(archive, source, name):
    opened = source(archive({name: b"data"}))
    (entry,) = opened.list().entries
    assert entry.path == name.encode("utf-8", "surrogateescape")
    assert opened.read(entry.path) == b"data"


@pytest.mark.parametrize(
    "data", [b"", b"no archive", b"\0" * 100, b"x" * 2000, b"\x1f\x8b\x08broken", b"BZh9", b"\xfd7zXZ\x00"]
)
def test_a_file_that_is_no_archive_is_an_error(tmp_path, source, data):
    (tmp_path / "images.tar").write_bytes(data)
    with pytest.raises(SourceError, match="cannot be opened as a tar archive"):
        source("images.tar").list()


@pytest.mark.parametrize("compression", ["", "gz", "xz"])
@pytest.mark.parametrize("n_lost", [1100, 11_000])
def test_of_a_truncated_archive_the_beginning_is_read_and_the_rest_reported(
    archive, source, manifest_of, compression, n_lost
):
    pixels = random.Random(1)
    members = {f"{number:02d}.ppm": b"P6 50 40 255\n" + pixels.randbytes(6000) for number in range(20)}
    path = archive(members, compression)
    whole = path.read_bytes().rstrip(b"\0") if not compression else path.read_bytes()
    path.write_bytes(whole[:-n_lost])
    manifest = manifest_of(source(path))
    names = [row.name for row in manifest.readable]
    assert 1 <= len(names) <= 19
    assert names == sorted(members)[: len(names)]
    assert path.name in [row.name for row in manifest.quarantined]
    assert all(row.detail for row in manifest.quarantined)


def test_a_header_that_is_overwritten_is_no_end(archive, source):
    """The standard library takes it for the end of the archive, and the rest would be lost without a word."""
    path = archive({f"{number}.png": b"x" * 600 for number in range(5)})
    data = bytearray(path.read_bytes())
    data[2 * 1536 : 2 * 1536 + 512] = b"\xaa" * 512
    path.write_bytes(data)
    listing = source(path).list()
    assert [entry.path for entry in listing.entries] == [b"0.png", b"1.png", b"images.tar"]
    assert "damaged at byte 3,072" in listing.entries[-1].problem


def test_a_damaged_shard_spoils_no_other(archive, source, manifest_of, png, tmp_path):
    archive({"a.png": png(1)}, name="t-0.tar")
    (tmp_path / "t-1.tar").write_bytes(b"no archive at all")
    manifest = manifest_of(source("t-*.tar"))
    assert [row.name for row in manifest.readable] == ["t-0.tar/a.png"]
    assert [row.name for row in manifest.quarantined] == ["t-1.tar"]


def test_a_member_that_claims_to_be_huge_is_quarantined(archive, source, manifest_of, png):
    info = header("bomb.png", size=2**50)
    info.size = 0
    path = archive([("a.png", png(1)), (info, b"")])
    data = bytearray(path.read_bytes())
    place = data.index(b"bomb.png")
    # The size in binary, as GNU tar writes what octal digits cannot hold; then the checksum of the header.
    data[place + 124 : place + 136] = b"\x80" + (2**50).to_bytes(11, "big")
    data[place + 148 : place + 156] = b" " * 8
    data[place + 148 : place + 156] = b"%06o\0 " % sum(data[place : place + 512])
    path.write_bytes(data)
    manifest = manifest_of(source(path))
    assert [row.name for row in manifest.readable] == ["a.png"]
    assert ("bomb.png", "too large") in [(row.name, row.reason) for row in manifest.quarantined]


def test_a_header_that_leads_back_ends_the_reading(archive, source):
    path = archive([("a.png", b"1"), (header("back.png"), b""), ("c.png", b"3")])
    data = bytearray(path.read_bytes())
    place = data.index(b"back.png")
    data[place + 124 : place + 136] = b"\xff" + (2**88 - 1536).to_bytes(11, "big")
    data[place + 148 : place + 156] = b" " * 8
    data[place + 148 : place + 156] = b"%06o\0 " % sum(data[place : place + 512])
    path.write_bytes(data)
    listing = source(path).list()
    assert b"a.png" in [entry.path for entry in listing.entries]
    assert any(entry.problem for entry in listing.entries)


def test_a_compressed_archive_that_never_ends_is_given_up(tmp_path, source, monkeypatch, tar_bytes):
    monkeypatch.setattr(tar, "_BOMB_FLOOR", 2**20)
    path = tmp_path / "bomb.tar.gz"
    path.write_bytes(tar_bytes({"a.png": b"1", "zeros.png": b"\0" * 2**23, "c.png": b"3"}, "gz"))
    listing = source(path).list()
    problems = {entry.path: entry.problem for entry in listing.entries}
    assert b"c.png" not in problems
    assert "more than 100 times" in problems[b"bomb.tar.gz"]


def test_a_header_that_claims_to_be_huge_takes_no_memory(tmp_path, source):
    """A pax header of 8 GiB of zeros is 8 MB when compressed; it is refused by its size."""
    info = header("././@PaxHeader", tarfile.XHDTYPE, size=2**33)
    buffer = io.BytesIO()
    buffer.write(info.tobuf(tarfile.GNU_FORMAT))
    buffer.write(b"\0" * 2**16)
    (tmp_path / "images.tar").write_bytes(buffer.getvalue())
    with pytest.raises(SourceError, match="a header of 8,589,934,592 bytes"):
        source("images.tar").list()


@pytest.mark.parametrize("n_archives", [60, pytest.param(1000, marks=pytest.mark.campaign)])
@pytest.mark.parametrize("compression", COMPRESSIONS.values(), ids=COMPRESSIONS)
def test_a_mutated_archive_is_refused_or_its_members_are(archive, source, tar_bytes, compression, n_archives):
    """Whatever the bytes: an archive that cannot be listed, or members that can be read or are refused."""
    whole = tar_bytes([(f"{n}.png", bytes([n]) * 200) for n in range(4)] + [("0.json", b'{"a": 1}')], compression)
    path, chance = archive({}, compression), random.Random(20)
    outcomes = set()
    for _ in range(n_archives):
        data = bytearray(whole)
        for _ in range(chance.choice((1, 2, 8))):
            data[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(data[: chance.choice((len(data), len(data), chance.randrange(len(data))))])
        opened = source(path)
        try:
            entries = opened.list().entries
        except SourceError:
            outcomes.add("refused")
            continue
        for entry in entries:
            if entry.problem:
                outcomes.add("reported")
                continue
            try:
                opened.read(entry.path)
                outcomes.add("read")
            except Unreadable:
                outcomes.add("unreadable")
    # Of so small an archive, the other compressions give all or nothing.
    assert outcomes >= ({"refused", "read", "reported"} if compression in ("", "gz") else {"refused"})


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
    (gone, _) = opened.list().entries
    assert (gone.path, gone.signature, gone.is_container) == (b"0.tar", "missing", True)


def test_a_damaged_or_missing_shard_is_never_sampled_away(archive, tmp_path):
    archive({f"{number}.png": b"x" for number in range(50)}, name="0.tar")
    (tmp_path / "1.tar").write_bytes(b"damage" * 200)
    listed = open_source("{0..2}.tar", base=tmp_path).list().entries
    taken = sample(listed, DatasetConfig(name="d", uri="u", limit=3, every=2))
    assert len(taken) == 5
    assert [entry.path for entry in taken if entry.problem] == [b"1.tar", b"2.tar"]
