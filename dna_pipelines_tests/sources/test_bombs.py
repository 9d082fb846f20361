"""Files that unpack to far more than they have: noticed before they take memory, and quarantined as too large."""

import io
import os
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from itertools import chain

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dna_pipelines.config import MetadataConfig
from dna_pipelines.errors import SourceError, Unreadable
from dna_pipelines.manifests import file_rows
from dna_pipelines.sources import arrow_messages, memory, tar
from dna_pipelines.sources.base import Entry, Listing
from dna_pipelines.sources.listings_cache import Member
from dna_pipelines.sources.memory import ByteBudget
from dna_pipelines.sources.metadata import read_metadata
from dna_pipelines.sources.webdataset import PROBLEM_COLUMN, with_descriptions
from dna_pipelines_tests.raising import raises

COMPRESSIONS = [None, "zstd", "lz4"]


def arrow_bytes(table, form, compression=None, rows=20):
    buffer, options = io.BytesIO(), pa.ipc.IpcWriteOptions(compression=compression)
    opened = {"file": pa.ipc.new_file, "stream": pa.ipc.new_stream}[form](buffer, table.schema, options=options)
    with opened as writer:
        writer.write_table(table, max_chunksize=rows)
    return buffer.getvalue()


def messages(data, form):
    """The headers of all dictionaries and batches."""
    file = io.BytesIO(data)
    if form == "file":
        return [arrow_messages.header_at(file, at) for at in chain(*arrow_messages.messages_of_file(file))]
    found, offset = [], 0
    while header := arrow_messages.header_at(file, offset):
        found.append(header)
        offset = header.end
    return [header for header in found if header.kind in (arrow_messages.DICTIONARY, arrow_messages.BATCH)]


@pytest.mark.parametrize("form", ["file", "stream"])
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_the_header_of_a_message_says_what_it_unpacks_to(form, compression):
    words = pa.array(["p", None, "q"] * 16).dictionary_encode()
    table = pa.table({"image": [bytes(row * 100) for row in range(48)], "words": words, "n": range(48)})
    headers = messages(arrow_bytes(table, form, compression), form)
    plain = messages(arrow_bytes(table, form), form)
    assert [header.n_rows for header in headers] == [2, 20, 20, 8]
    assert [header.n_bytes for header in headers] == [header.n_bytes for header in plain]
    assert sum(header.n_bytes for header in headers) >= sum(len(value) for value in table["image"].to_pylist())


@pytest.mark.parametrize("form", ["file", "stream"])
def test_a_damaged_header_is_an_error_of_arrow(form):
    data = bytearray(arrow_bytes(pa.table({"image": [b"x"] * 3}), form))
    n_refused = 0
    for position in range(len(data)):
        damaged = data.copy()
        damaged[position] ^= 0xFF
        try:
            messages(damaged, form)
        except pa.ArrowInvalid:
            n_refused += 1
    assert n_refused > 20


@pytest.fixture
def no_floor(monkeypatch):
    """Small files are held to the ratio, too."""
    monkeypatch.setattr(memory, "_IN_MEMORY_FLOOR", 0)


def bomb(form, images):
    """Images as a table that is compressed more than 100 times."""
    table = pa.table({"image": images})
    if form == "parquet":
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd", use_dictionary=False)
        return buffer.getvalue(), "t.parquet"
    return arrow_bytes(table, form, "zstd", rows=len(images)), "t.arrow"


@pytest.mark.parametrize("form", ["parquet", "file", "stream"])
def test_rows_that_unpack_to_far_more_than_their_bytes_are_too_large(tmp_path, source, no_floor, form):
    data, name = bomb(form, [bytes(100_000)] * 20)
    (tmp_path / name).write_bytes(data)
    opened = source(name)
    entries = opened.list().entries
    assert len(entries) == 20
    with raises(Unreadable, "image.too-large"):
        opened.read(entries[0].path)


@pytest.mark.parametrize("form", ["parquet", "file", "stream"])
def test_small_files_may_unpack_to_more(tmp_path, source, form):
    data, name = bomb(form, [bytes(100_000)] * 20)
    (tmp_path / name).write_bytes(data)
    opened = source(name)
    assert opened.read(opened.list().entries[7].path) == bytes(100_000)


def test_values_of_metadata_that_unpack_to_far_more_are_left_out(tmp_path, source, no_floor, parquet_bytes):
    (tmp_path / "t.parquet").write_bytes(parquet_bytes([b"x"] * 500, 500, text=["y" * 10_000] * 500, n=range(500)))
    listing = source("t.parquet").list()
    assert [entry.metadata["n"] for entry in listing.entries] == [str(row) for row in range(500)]
    assert all("text" not in entry.metadata for entry in listing.entries)
    assert ["text" in remark for remark in listing.remarks] == [True]


def test_a_metadata_table_that_unpacks_to_far_more_is_refused(tmp_path, no_floor):
    pq.write_table(
        pa.table({"path": [f"{row}.png" for row in range(500)], "x": ["y" * 10_000] * 500}), tmp_path / "t.parquet"
    )
    with raises(SourceError, "source.metadata-unreadable", uri=str(tmp_path / "t.parquet")):
        read_metadata(MetadataConfig(uri="t.parquet"), tmp_path)


def test_a_description_of_many_images_is_left_out_where_it_would_take_too_much():
    members = [Member(b"v1.%d.png" % number, number, 1) for number in range(5)]
    described = with_descriptions(members, {b"v1.txt": b"y" * 100}, most_characters=330)
    assert ["txt" in member.metadata for member in described] == [True, True, True, False, False]
    assert all(PROBLEM_COLUMN in member.metadata for member in described[3:])


def test_no_more_descriptions_are_read_than_fit(archive, source, monkeypatch):
    monkeypatch.setattr(tar, "MOST_CHARACTERS", 150)
    files = {f"{number}.{suffix}": b"y" * 100 for number in range(4) for suffix in ("png", "txt")}
    entries = source(archive(files)).list().entries
    assert ["txt" in entry.metadata for entry in entries] == [True, True, False, False]
    assert all(PROBLEM_COLUMN in entry.metadata for entry in entries[2:])


def test_a_lack_of_memory_is_not_kept_as_damage(tmp_path, source, monkeypatch, parquet_bytes):
    (tmp_path / "t.parquet").write_bytes(parquet_bytes([b"x"], label=["cat"]))

    class Kept(dict):
        put = dict.__setitem__

    kept, module = Kept(), sys.modules["dna_pipelines.sources.table"]

    def lacking(*_arguments):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(module, "metadata_of", lacking)
        with raises(SourceError, "source.damaged"):
            source("t.parquet", cache=kept).list()
    assert not kept
    assert len(source("t.parquet", cache=kept).list().entries) == 1


def test_the_readers_together_hold_no_more_than_the_budget():
    budget, lock, held, most = ByteBudget(10), threading.Lock(), [0], [0]

    def work(n_bytes):
        with budget.reserved(n_bytes):
            with lock:
                held[0] += n_bytes
                most[0] = max(most[0], held[0])
            time.sleep(0.001)
            with lock:
                held[0] -= n_bytes

    threads = [threading.Thread(target=work, args=(n_bytes,)) for n_bytes in [3, 4, 5, 10, 1, 7] * 5]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    assert 0 < most[0] <= 10
    # What is larger than the budget is alone.
    with budget.reserved(1000):
        assert budget._taken == 10
    assert budget._taken == 0


class Counting:
    """Files of one size, and how many of them are read at one time."""

    def __init__(self, n_files, size_bytes):
        self._entries = [Entry(b"%d.png" % number, size_bytes, "1") for number in range(n_files)]
        self._lock, self._now, self.most = threading.Lock(), 0, 0

    def list(self):
        return Listing(self._entries)

    def read(self, path):
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(0.002)
        with self._lock:
            self._now -= 1
        return path


@pytest.mark.parametrize(("size_bytes", "most"), [(400, 2), (600, 1), (5000, 1)])
def test_a_scan_reads_no_more_at_one_time_than_the_budget(manifest_of, monkeypatch, size_bytes, most):
    monkeypatch.setattr(file_rows, "IN_FLIGHT", ByteBudget(1000))
    counting = Counting(12, size_bytes)
    assert len(manifest_of(counting).quarantined) == 12
    assert counting.most == most


# What follows writes gigabytes of zeros in a few hundred kilobytes, and reads them with two gigabytes of memory.

GIBIBYTE = 2**30
SCRIPT = """
import resource, sys
from pathlib import Path
import pyarrow.parquet
from dna_pipelines.config import DatasetConfig
from dna_pipelines.manifests import build_manifest, scan_source, with_folder_tables
from dna_pipelines.sources import open_source
[used] = [int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmSize")]
resource.setrlimit(resource.RLIMIT_AS, (used + 2 * 2**30,) * 2)
uri = sys.argv[1]
config = DatasetConfig(name="d", uri=uri)
source = open_source(uri, base=Path("/"))
scan = with_folder_tables(scan_source(source, config, lambda: None, 0), source, config)
manifest = build_manifest(scan, source, config)
print(len(manifest.readable), len(manifest.quarantined), len(scan.remarks), *sorted({row.reason for row in manifest.quarantined}), sep="|")
"""


def zeros(stream, n_bytes):
    piece = bytes(2**20)
    for _ in range(n_bytes // len(piece)):
        stream.write(piece)


def write_zip(folder, png, sizes):
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("sound.png", png)
        for number, size in enumerate(sizes):
            with archive.open(f"{number}.png", "w") as member:
                zeros(member, size)
    return folder / "a.zip"


def write_tar(folder, png):
    with tarfile.open(folder / "a.tar.gz", "w:gz", compresslevel=1) as archive:
        info = tarfile.TarInfo("sound.png")
        info.size = len(png)
        archive.addfile(info, io.BytesIO(png))
        for number in range(3):
            info = tarfile.TarInfo(f"{number}.png")
            info.size = 2**29
            with open("/dev/zero", "rb") as source:
                archive.addfile(info, source)
    return folder / "a.tar.gz"


def write_table(folder, png, form):
    """Ten thousand rows of 500 kB."""
    value = bytes(500_000)
    if form == "parquet":
        rows = pa.array([0] + [1] * 9_999, pa.int32())
        images = pa.DictionaryArray.from_arrays(rows, pa.array([png, os.urandom(500_000)]))
        pq.write_table(pa.table({"image": images}), folder / "a.parquet", compression="zstd")
        return folder / "a.parquet"
    if form == "parquet page":
        table = pa.table({"image": pa.array([png, *[value] * 1_000])})
        pq.write_table(table, folder / "a.parquet", compression="zstd", use_dictionary=False, data_page_size=2**30)
        return folder / "a.parquet"
    images = pa.array([png, *[value] * 4_000], pa.large_binary())
    data = arrow_bytes(pa.table({"image": images}), form, "zstd", rows=4_001)
    (folder / "a.arrow").write_bytes(data)
    return folder / "a.arrow"


def write_metadata(folder, png, name):
    """Ten thousand values of 500 kB beside sound images."""
    words = pa.DictionaryArray.from_arrays(pa.array([0] * 10_000, pa.int32()), pa.array(["y" * 500_000]))
    if name == "a.parquet":
        images = pa.DictionaryArray.from_arrays(pa.array([0] * 10_000, pa.int32()), pa.array([png]))
        pq.write_table(pa.table({"image": images, "words": words}), folder / name)
        return folder / name
    (folder / "images").mkdir()
    (folder / "images/0.png").write_bytes(png)
    names = [f"{row}.png" for row in range(10_000)]
    pq.write_table(pa.table({"file_name": names, "words": words}), folder / "images/metadata.parquet")
    return folder / "images"


BOMBS = {
    "one member": (lambda folder, png: write_zip(folder, png, [GIBIBYTE]), "1|1|0|not an image"),
    "members": (lambda folder, png: write_zip(folder, png, [GIBIBYTE // 2] * 8), "1|8|0|not an image"),
    "too large a member": (lambda folder, png: write_zip(folder, png, [GIBIBYTE + 2**20]), "1|1|0|too large"),
    "tar": (write_tar, "1|3|0|not an image"),
    "parquet": (lambda folder, png: write_table(folder, png, "parquet"), "1|9999|0|not an image|too large"),
    "parquet page": (lambda folder, png: write_table(folder, png, "parquet page"), "0|1001|0|too large"),
    "arrow": (lambda folder, png: write_table(folder, png, "file"), "0|4001|0|too large"),
    "arrow stream": (lambda folder, png: write_table(folder, png, "stream"), "0|4001|0|too large"),
    "values": (lambda folder, png: write_metadata(folder, png, "a.parquet"), "10000|0|1"),
    "a table beside images": (lambda folder, png: write_metadata(folder, png, "images"), "1|0|1"),
}


@pytest.mark.campaign
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit of memory is that of Linux")
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_takes_less_than_two_gigabytes(tmp_path, png, name):
    write, expected = BOMBS[name]
    location = write(tmp_path, png())
    environment = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "2", "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", SCRIPT, str(location)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=900, env={**os.environ, **environment}, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == expected
