"""Zip archives: read where they are, and one bad member spoils no other."""

import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from dna_pipelines.errors import SourceError, Unreadable
from dna_pipelines_tests.raising import raises
from dna_pipelines_tests.sources.mutations import outcomes_of_mutations

COMPRESSIONS = {
    "stored": zipfile.ZIP_STORED,
    "deflated": zipfile.ZIP_DEFLATED,
    "bzip2": zipfile.ZIP_BZIP2,
    "lzma": zipfile.ZIP_LZMA,
}


@pytest.fixture
def archive(tmp_path):
    """Write an archive of members in order, and return its path."""

    def write(members, compression=zipfile.ZIP_DEFLATED, name="images.zip"):
        with zipfile.ZipFile(tmp_path / name, "w", compression) as file:
            for member, data in members:
                file.writestr(member, data)
        return tmp_path / name

    return write


def everything_below(folder):
    return sorted(str(path) for path in folder.rglob("*"))


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_members_are_listed_and_read(archive, source, compression):
    path = archive([("b/two.png", b"22"), ("a.jpg", b"1"), ("notes.txt", b"-"), ("b/", b"")], COMPRESSIONS[compression])
    opened = source(path)
    listing = opened.list()
    assert [(entry.path, entry.size_bytes) for entry in listing.entries] == [(b"a.jpg", 1), (b"b/two.png", 2)]
    assert listing.n_ignored == 1
    assert opened.read(b"b/two.png") == b"22"


def test_globs_choose_members(archive, paths):
    path = archive([("a/one.png", b"1"), ("b/two.png", b"2")])
    assert paths(path, ["a/**"]) == ["a/one.png"]


def test_signatures_follow_the_content_and_not_the_archive(archive, source):
    before = source(archive([("a.png", b"one"), ("b.png", b"two")])).list().entries
    again = source(archive([("b.png", b"two"), ("a.png", b"one")], zipfile.ZIP_STORED)).list().entries
    changed = source(archive([("a.png", b"ONE"), ("b.png", b"two")])).list().entries
    assert [entry.signature for entry in again] == [entry.signature for entry in before]
    assert changed[0].signature != before[0].signature
    assert changed[1].signature == before[1].signature


@pytest.mark.parametrize("raw", [b"\xfc\xff.png", b"caf\xe9.png", b"\x82\xa0.png"])
def test_member_names_that_are_not_utf8_survive_as_bytes(archive, source, raw):
    stand_in = b"N" * (len(raw) - 4) + b".png"
    path = archive([(stand_in.decode(), b"data")])
    path.write_bytes(path.read_bytes().replace(stand_in, raw))
    opened = source(path)
    assert [entry.path for entry in opened.list().entries] == [raw]
    assert opened.read(raw) == b"data"


def test_utf8_member_names_are_kept(archive, source):
    opened = source(archive([("grün/ß.png", b"data")]))
    assert [entry.path for entry in opened.list().entries] == ["grün/ß.png".encode()]
    assert opened.read("grün/ß.png".encode()) == b"data"


def test_members_that_point_outside_are_never_extracted(archive, source, tmp_path, monkeypatch):
    (tmp_path / "cwd" / "deep").mkdir(parents=True)
    path = archive([("../../evil.png", b"e"), ("/abs-evil.png", b"e"), ("..\\evil.png", b"e")])
    monkeypatch.chdir(tmp_path / "cwd" / "deep")
    before = everything_below(tmp_path)
    opened = source(path)
    assert {opened.read(entry.path) for entry in opened.list().entries} == {b"e"}
    assert everything_below(tmp_path) == before


def test_an_encrypted_member_is_quarantined_and_the_others_are_read(archive, source, manifest_of, png):
    path = archive([("locked.png", png(1)), ("open.png", png(2))])
    data = bytearray(path.read_bytes())
    # The flag in the local header, and in the first entry of the directory.
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    manifest = manifest_of(source(path))
    assert [row.name for row in manifest.readable] == ["open.png"]
    assert [(row.name, row.reason) for row in manifest.quarantined] == [("locked.png", "unsupported")]
    with raises(Unreadable, "image.unsupported"):
        source(path).read(b"locked.png")


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_corrupt_member_is_quarantined_and_the_others_are_read(archive, source, manifest_of, png, compression):
    path = archive([("bad.png", png(1) * 5), ("good.png", png(2))], COMPRESSIONS[compression])
    data = bytearray(path.read_bytes())
    for offset in range(60, 100):
        data[offset] ^= 0x5A
    path.write_bytes(data)
    manifest = manifest_of(source(path))
    assert [row.name for row in manifest.readable] == ["good.png"]
    assert [(row.name, row.reason) for row in manifest.quarantined] == [("bad.png", "corrupt")]


@pytest.mark.parametrize("method", [9, 97], ids=["Deflate64", "WavPack"])
def test_a_member_of_an_unknown_compression_is_quarantined(archive, source, manifest_of, png, method):
    path = archive([("odd.png", png(1)), ("good.png", png(2))])
    data = bytearray(path.read_bytes())
    data[8] = data[data.index(b"PK\x01\x02") + 10] = method
    path.write_bytes(data)
    manifest = manifest_of(source(path))
    assert [(row.name, row.reason) for row in manifest.quarantined] == [("odd.png", "unsupported")]
    assert [row.name for row in manifest.readable] == ["good.png"]


@pytest.mark.parametrize("data", [b"", b"this is no archive", b"PK\x03\x04" + b"\0" * 60])
def test_a_file_that_is_no_zip_is_an_error(tmp_path, source, data):
    (tmp_path / "images.zip").write_bytes(data)
    with raises(SourceError, "source.damaged", format="zip", uri=str(tmp_path / "images.zip")):
        source("images.zip").list()


def test_a_missing_archive_is_an_error(source, tmp_path):
    with raises(SourceError, "source.missing", uri=str(tmp_path / "nowhere.zip")):
        source("nowhere.zip").list()


def test_an_archive_below_a_folder_with_colons_is_read(archive, paths, tmp_path):
    (tmp_path / "12::30").mkdir()
    assert paths(archive([("a.png", b"1")], name="12::30/images.zip")) == ["a.png"]


def test_an_archive_may_lie_on_another_file_system(archive, source, memory):
    memory("far.zip", archive([("a.png", b"far")]).read_bytes())
    opened = source(f"{memory.uri}/far.zip")
    assert [entry.path for entry in opened.list().entries] == [b"a.png"]
    assert opened.read(b"a.png") == b"far"


def test_a_member_that_is_not_there_is_a_missing_file(archive, source):
    with pytest.raises(FileNotFoundError):
        source(archive([("a.png", b"1")])).read(b"b.png")


def test_many_threads_read_the_right_members(archive, source):
    members = {f"{number}.png": bytes([number]) * 3000 for number in range(60)}
    opened = source(archive(members.items()))
    names = list(members) * 5
    with ThreadPoolExecutor(8) as pool:
        contents = list(pool.map(lambda name: opened.read(name.encode()), names))
    assert contents == [members[name] for name in names]


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_mutated_archive_is_refused_or_its_members_are(archive, source, compression):
    """Whatever the bytes: an archive that cannot be listed, or members that can be read or are refused."""
    whole = archive([(f"{n}.png", bytes([n]) * 200) for n in range(4)], COMPRESSIONS[compression]).read_bytes()
    outcomes = outcomes_of_mutations(whole, archive([]), source, 150)
    assert outcomes == {"refused", "read", "unreadable"}


def test_a_member_that_claims_to_be_huge_is_quarantined(archive, source, manifest_of, png):
    """A zip bomb says how large it is; nothing of it is unpacked."""
    path = archive([("bomb.png", png(1)), ("good.png", png(2))])
    data = bytearray(path.read_bytes())
    offset = data.index(b"PK\x01\x02")
    data[offset + 24 : offset + 28] = (2**31).to_bytes(4, "little")
    path.write_bytes(data)
    manifest = manifest_of(source(path))
    assert [row.name for row in manifest.readable] == ["good.png"]
    assert [(row.name, row.reason) for row in manifest.quarantined] == [("bomb.png", "too large")]


def test_a_member_that_is_larger_than_it_claims_is_not_unpacked_further(archive, source, manifest_of, png):
    path = archive([("bomb.png", b"\0" * 10**7), ("good.png", png(2))])
    data = bytearray(path.read_bytes())
    offset = data.index(b"PK\x01\x02")
    data[offset + 24 : offset + 28] = (1000).to_bytes(4, "little")
    path.write_bytes(data)
    manifest = manifest_of(source(path))
    assert [row.name for row in manifest.readable] == ["good.png"]
    assert [(row.name, row.reason) for row in manifest.quarantined] == [("bomb.png", "corrupt")]


@pytest.mark.parametrize("n_lost", [10, 100, 400])
def test_a_truncated_archive_is_an_error(archive, source, png, n_lost):
    path = archive([(f"{number}.png", png(number)) for number in range(5)])
    path.write_bytes(path.read_bytes()[:-n_lost])
    with raises(SourceError, "source.damaged", format="zip", uri=str(path)):
        source(path).list()


def test_a_server_that_does_not_answer_is_not_called_a_damaged_archive(source):
    with raises(SourceError, "source.unreachable", uri="http://127.0.0.1:9/images.zip"):
        source("http://127.0.0.1:9/images.zip").list()
