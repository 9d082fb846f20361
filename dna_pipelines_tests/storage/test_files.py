"""Files that are wholly there or not there at all."""

import errno
import os
import stat
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from dna_pipelines.errors import LakeError
from dna_pipelines.storage import Catalog, Lake, files
from dna_pipelines.storage.files import remove_drafts, replace, replace_by_link, write_new
from dna_pipelines.storage.tables import read_parquet, to_parquet
from dna_pipelines_tests.raising import raises


def test_the_first_writer_wins_and_the_second_changes_nothing(tmp_path):
    path = tmp_path / "deep" / "file"
    assert write_new(path, b"first")
    assert not write_new(path, b"second")
    assert path.read_bytes() == b"first"
    assert [item.name for item in path.parent.iterdir()] == ["file"]


def without_links(monkeypatch):
    """A file system that has none."""

    def refuse(*_arguments):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)


@pytest.mark.parametrize("round_number", range(10))
@pytest.mark.parametrize("has_links", [True, False])
def test_of_many_writers_exactly_one_wins(tmp_path, monkeypatch, has_links, round_number):
    if not has_links:
        without_links(monkeypatch)
        # A writer that checks for the file before it owns the claim sees no file for long enough.
        rename = Path.rename
        monkeypatch.setattr(Path, "rename", lambda draft, path: (time.sleep(0.005), rename(draft, path))[1])
        # The clock of a server may be behind.
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + 3600)
    barrier, won = threading.Barrier(16), []

    def write(number):
        barrier.wait()
        if write_new(tmp_path / "file", b"%d" % number * 10_000):
            won.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert (tmp_path / "file").read_bytes() == b"%d" % won[0] * 10_000
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_writer_that_was_killed_between_its_claim_and_the_name_delays_no_other_writer_for_long(tmp_path, monkeypatch):
    without_links(monkeypatch)
    monkeypatch.setattr(files, "_CLAIM_S", 0.05)
    (tmp_path / ".file.claim.draft").write_bytes(b"killed")
    assert write_new(tmp_path / "file", b"data")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("refused", [None, errno.ENOTSUP, errno.EXDEV, errno.EPERM])
def test_a_name_stands_for_one_file_and_then_for_another(tmp_path, monkeypatch, refused):
    def refuse(*_):
        raise OSError(refused, "no links here")

    if refused:
        monkeypatch.setattr("os.link", refuse)
    name, one, other = (tmp_path / each for each in ("name", "one", "other"))
    one.write_bytes(b"one")
    other.write_bytes(b"other")
    for of in (one, one, other):
        replace_by_link(name, of)
        assert name.read_bytes() == of.read_bytes()
    assert one.read_bytes() == b"one"
    assert name.samefile(other) == (refused is None)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["name", "one", "other"]


def test_readers_of_a_replaced_file_never_see_half_of_it(tmp_path):
    path, torn, done = tmp_path / "file", [], threading.Event()
    replace(path, b"0" * 100_000)

    def read():
        while not done.is_set():
            data = path.read_bytes()
            if len(data) != 100_000 or len(set(data)) != 1:
                torn.append(data[:10])

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(50):
        replace(path, b"%d" % (number % 10) * 100_000)
    done.set()
    reader.join()
    assert torn == []


def test_a_folder_that_cannot_be_written_is_a_lake_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with raises(LakeError, "lake.io"):
        write_new(tmp_path / "file" / "below", b"")


@pytest.mark.parametrize("name", [".file.parquet.0123.draft", ".catalog.duckdb.0123.draft.wal"])
def test_drafts_of_killed_writers_are_removed_once_they_are_old(tmp_path, name):
    draft = tmp_path / "deep" / name
    draft.parent.mkdir()
    draft.write_bytes(b"half")
    assert remove_drafts(tmp_path) == 0
    assert remove_drafts(tmp_path, older_than_s=-1) == 1
    assert not draft.exists()


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_a_damaged_table_is_never_a_wrong_number(tmp_path, damage):
    table = pa.table({"x": pa.array(np.random.default_rng(0).integers(0, 2**40, 5000))})
    data = bytearray(to_parquet(table, {}, split=["x"]))
    if damage == "truncated":
        data = data[:-50]
    elif damage == "flipped":
        data[len(data) // 2] ^= 0x10
    else:
        data = bytearray()
    (tmp_path / "t.parquet").write_bytes(data)
    with raises(LakeError, "lake.damaged"):
        read_parquet(tmp_path / "t.parquet")


def test_tables_of_a_newer_format_are_refused(tmp_path):
    (tmp_path / "t.parquet").write_bytes(to_parquet(pa.table({"x": [1]}), {"dna_format": 99}))
    with raises(LakeError, "lake.newer"):
        read_parquet(tmp_path / "t.parquet")


def test_a_lake_of_another_format_is_refused(tmp_path):
    Lake(tmp_path).prepare()
    marker = tmp_path / "lake.json"
    marker.write_text('{"format": 7}')
    with raises(LakeError, "lake.format", format=7):
        Lake(tmp_path)


@pytest.mark.parametrize("write", [write_new, replace])
def test_a_full_disk_is_a_lake_error_and_leaves_nothing_behind(tmp_path, monkeypatch, write):
    def fsync(_handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    with raises(LakeError, "lake.io", problem="No space left on device"):
        write(tmp_path / "file", b"data")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("write", [write_new, replace])
@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EIO])
def test_a_folder_that_cannot_be_synced_does_not_undo_what_was_written(tmp_path, monkeypatch, write, number):
    sync = os.fsync

    def fsync(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(number, os.strerror(number))
        sync(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    if number == errno.EIO:
        with raises(LakeError, "lake.not-synced"):
            write(tmp_path / "file", b"data")
    else:
        write(tmp_path / "file", b"data")
    assert (tmp_path / "file").read_bytes() == b"data"


def test_a_name_that_is_too_long_is_a_message(tmp_path):
    with raises(LakeError, "lake.io", problem="File name too long"):
        write_new(tmp_path / ("x" * 300), b"")


def test_a_catalog_that_cannot_be_written_is_a_message_and_leaves_no_draft(tmp_path):
    lake = Lake(tmp_path)
    lake.prepare()
    (tmp_path / "catalog.duckdb").mkdir()
    with raises(LakeError, "lake.catalog-unwritable"):
        Catalog(lake.layout).export()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["catalog.duckdb", "lake.json"]
