"""Tar archives that are damaged, or made to do harm."""

import gzip
import io
import random
import tarfile

import pytest

from dna_pipelines.errors import SourceError
from dna_pipelines.sources import temporary_files
from dna_pipelines_tests.raising import raises
from dna_pipelines_tests.sources.mutations import outcomes_of_mutations

COMPRESSIONS = {"plain": "", "gzip": "gz", "bzip2": "bz2", "xz": "xz"}


def header(name, kind=tarfile.REGTYPE, link="", size=0):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


def everything_below(folder):
    return sorted(str(path) for path in folder.rglob("*"))


def test_members_that_point_outside_are_never_extracted(archive, source, tmp_path, monkeypatch):
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
    names = {"soft.png", "loop.png", "device.png", "pipe.png", "lost.png"}
    assert {(row.name, row.signature) for row in manifest.quarantined} == {(name, "special") for name in names}
    targets = {row.name: row.detail for row in manifest.quarantined}
    assert "/etc/passwd" in targets["soft.png"]
    assert "nowhere.png" in targets["lost.png"]
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
    with raises(SourceError, "source.damaged", format="tar", uri=str(tmp_path / "images.tar")):
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
    assert "3,072" in listing.entries[-1].problem


@pytest.mark.parametrize("compression", ["", "gz"])
def test_an_archive_without_an_end_mark_may_have_been_cut(source, tar_bytes, tmp_path, compression):
    """A cut between two members leaves an archive that the standard library and GNU tar read without a word."""
    whole = tar_bytes({f"{number}.png": b"x" * 600 for number in range(5)})
    path = tmp_path / "images.tar"
    pack = gzip.compress if compression else bytes
    path.write_bytes(pack(whole[: 3 * 1536]))
    listing = source(path).list()
    assert [entry.path for entry in listing.entries] == [b"0.png", b"1.png", b"2.png", b"images.tar"]
    assert (listing.entries[-1].signature, listing.entries[-1].is_container) == ("broken", True)
    # One block of zeros is enough.
    path.write_bytes(pack(whole[: 5 * 1536 + 512]))
    assert [entry.problem for entry in source(path).list().entries] == [None] * 5


def test_data_after_the_end_mark_are_reported(source, tar_bytes, tmp_path):
    path = tmp_path / "images.tar"
    path.write_bytes(tar_bytes({"a.png": b"1"}) + tar_bytes({"b.png": b"2"}))
    listing = source(path).list()
    assert [entry.path for entry in listing.entries] == [b"a.png", b"images.tar"]
    assert "1,024" in listing.entries[-1].problem


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
    offset = data.index(b"bomb.png")
    # The size in binary, as GNU tar writes what octal digits cannot hold; then the checksum of the header.
    data[offset + 124 : offset + 136] = b"\x80" + (2**50).to_bytes(11, "big")
    data[offset + 148 : offset + 156] = b" " * 8
    data[offset + 148 : offset + 156] = b"%06o\0 " % sum(data[offset : offset + 512])
    path.write_bytes(data)
    manifest = manifest_of(source(path))
    assert [row.name for row in manifest.readable] == ["a.png"]
    assert ("bomb.png", "too large") in [(row.name, row.reason) for row in manifest.quarantined]


def test_a_header_that_leads_back_ends_the_reading(archive, source):
    path = archive([("a.png", b"1"), (header("back.png"), b""), ("c.png", b"3")])
    data = bytearray(path.read_bytes())
    offset = data.index(b"back.png")
    data[offset + 124 : offset + 136] = b"\xff" + (2**88 - 1536).to_bytes(11, "big")
    data[offset + 148 : offset + 156] = b" " * 8
    data[offset + 148 : offset + 156] = b"%06o\0 " % sum(data[offset : offset + 512])
    path.write_bytes(data)
    listing = source(path).list()
    assert b"a.png" in [entry.path for entry in listing.entries]
    assert any(entry.problem for entry in listing.entries)


def test_a_compressed_archive_that_never_ends_is_not_read_further(tmp_path, source, monkeypatch, tar_bytes):
    monkeypatch.setattr(temporary_files, "_BOMB_FLOOR", 2**20)
    path = tmp_path / "bomb.tar.gz"
    path.write_bytes(tar_bytes({"a.png": b"1", "zeros.png": b"\0" * 2**23, "c.png": b"3"}, "gz"))
    listing = source(path).list()
    problems = {entry.path: entry.problem for entry in listing.entries}
    assert b"c.png" not in problems
    assert str(temporary_files.BOMB_RATIO) in problems[b"bomb.tar.gz"]


def test_a_header_that_claims_to_be_huge_takes_no_memory(tmp_path, source):
    """A pax header of 8 GiB of zeros is 8 MB when compressed; it is refused by its size."""
    info = header("././@PaxHeader", tarfile.XHDTYPE, size=2**33)
    buffer = io.BytesIO()
    buffer.write(info.tobuf(tarfile.GNU_FORMAT))
    buffer.write(b"\0" * 2**16)
    (tmp_path / "images.tar").write_bytes(buffer.getvalue())
    with raises(SourceError, "source.damaged", format="tar") as caught:
        source("images.tar").list()
    assert f"{2**33:,}" in caught.value.facts["damage"]


@pytest.mark.parametrize("n_archives", [60, pytest.param(1000, marks=pytest.mark.campaign)])
@pytest.mark.parametrize("compression", COMPRESSIONS.values(), ids=COMPRESSIONS)
def test_a_mutated_archive_is_refused_or_its_members_are(archive, source, tar_bytes, compression, n_archives):
    """Whatever the bytes: an archive that cannot be listed, or members that can be read or are refused."""
    whole = tar_bytes([(f"{n}.png", bytes([n]) * 200) for n in range(4)] + [("0.json", b'{"a": 1}')], compression)
    outcomes = outcomes_of_mutations(whole, archive({}, compression), source, n_archives)
    # Of so small an archive, the other compressions give all or nothing.
    assert outcomes >= ({"refused", "read", "reported"} if compression in ("", "gz") else {"refused"})
