"""Tables of images: Parquet and Arrow, one file or many, in the layout of Hugging Face's datasets and in others."""

import datetime as dt
import json
import random
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from dna_pipelines.errors import SourceError, Unreadable
from dna_pipelines.sources import table as table_source
from dna_pipelines.sources import table_formats, temporary_files
from dna_pipelines_tests.raising import raises

IMAGES = [bytes([65 + number]) * (number + 1) for number in range(10)]


def struct_column(images):
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.array([{"bytes": data, "path": f"in/{row}.png"} for row, data in enumerate(images)], kind)


def write_parquet(table, path):
    pq.write_table(table, path, row_group_size=3)


def write_feather(table, path):
    pyarrow.feather.write_feather(table, path, chunksize=3)


def write_stream(table, path):
    with pa.ipc.new_stream(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=3)


FORMATS = {"t.parquet": write_parquet, "t.feather": write_feather, "t.arrow": write_stream}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("column", [struct_column(IMAGES), pa.array(IMAGES), pa.array(IMAGES, pa.large_binary())])
def test_every_row_is_an_image_in_order(tmp_path, source, name, column):
    FORMATS[name](pa.table({"image": column, "label": range(10)}), tmp_path / name)
    opened = source(name)
    entries = opened.list().entries
    assert [entry.path.decode() for entry in entries] == [f"{name}/{row:09d}" for row in range(10)]
    assert [opened.read(entry.path) for entry in entries] == IMAGES
    assert [entry.metadata["label"] for entry in entries] == [str(row) for row in range(10)]


@pytest.mark.parametrize("name", FORMATS)
def test_columns_of_one_value_become_metadata(tmp_path, source, name):
    names = {
        "info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}, "image": {"_type": "Image"}}}
    }
    table = pa.table(
        {
            "image": struct_column(IMAGES[:2]),
            "label": [1, 0],
            "caption": ["grün", None],
            "when": [dt.datetime(2024, 1, 2, tzinfo=dt.UTC), None],
            "good": [True, False],
            "mask": [b"m", b"m"],
            "boxes": [[1, 2], []],
        }
    ).replace_schema_metadata({"huggingface": json.dumps(names)})
    FORMATS[name](table, tmp_path / name)
    first, second = (entry.metadata for entry in source(name).list().entries)
    expected = {
        "label": "dog",
        "caption": "grün",
        "when": "2024-01-02 00:00:00Z",
        "good": "true",
        "image.path": "in/0.png",
    }
    assert first == expected
    assert second == {"label": "cat", "good": "false", "image.path": "in/1.png"}


def test_an_image_is_asked_for_by_its_row_and_read_in_any_order(tmp_path, source, parquet_bytes):
    (tmp_path / "t.parquet").write_bytes(parquet_bytes(IMAGES * 30, rows_per_group=7))
    opened, order = source("t.parquet"), list(range(300))
    random.Random(3).shuffle(order)
    with ThreadPoolExecutor(8) as pool:
        contents = list(pool.map(lambda row: opened.read(b"t.parquet/%09d" % row), order))
    assert contents == [IMAGES[row % 10] for row in order]


@pytest.mark.parametrize(
    "path", [b"t.parquet/000000010", b"t.parquet/x", b"other.parquet/000000000", b"t.parquet", b""]
)
def test_a_row_that_is_not_there_is_a_missing_file(tmp_path, source, parquet_bytes, path):
    (tmp_path / "t.parquet").write_bytes(parquet_bytes(IMAGES))
    with pytest.raises(FileNotFoundError):
        source("t.parquet").read(path)


def test_files_of_a_pattern_or_a_folder_are_one_dataset(source, make_files, parquet_bytes):
    folder = make_files("data/train-0.parquet", "data/train-1.parquet", "data/test-0.parquet", "data/README.md")
    for number, file in enumerate(sorted(folder.rglob("*.parquet"))):
        file.write_bytes(parquet_bytes(IMAGES[number : number + 1]))
    names = ["data/test-0.parquet", "data/train-0.parquet", "data/train-1.parquet"]
    opened = source(folder, kind="parquet")
    assert [entry.path.decode() for entry in opened.list().entries] == [f"{name}/000000000" for name in names]
    assert [opened.read(entry.path) for entry in opened.list().entries] == IMAGES[:3]
    chosen = source(folder, ["train-*"], ["*-1.parquet"], kind="parquet").list()
    assert [entry.path for entry in chosen.entries] == [b"data/train-0.parquet/000000000"]
    assert chosen.n_ignored == 2
    assert len(source(f"{folder}/data/train-*.parquet").list().entries) == 2
    assert len(source(f"{folder}/data/train-{{0..1}}.parquet").list().entries) == 2


def test_a_folder_without_tables_is_an_error(source, make_files):
    with raises(SourceError, "source.no-files", suffixes=[".parquet", ".parq"]):
        source(make_files("a.png"), kind="parquet").list()


def test_of_several_columns_of_bytes_one_has_to_be_named(tmp_path, source):
    pq.write_table(pa.table({"left": IMAGES, "right": IMAGES[::-1], "id": range(10)}), tmp_path / "t.parquet")
    columns = ["left (binary)", "right (binary)", "id (int64)"]
    with raises(SourceError, "source.several-image-columns", candidates=["left", "right"], columns=columns):
        source("t.parquet").list()
    assert source("t.parquet", image_column="right").read(b"t.parquet/000000000") == IMAGES[-1]
    with raises(SourceError, "source.no-image-column", column="middle", columns=columns):
        source("t.parquet", image_column="middle").list()


def test_a_column_of_bytes_and_paths_is_preferred_to_one_of_bytes(tmp_path, source):
    table = pa.table({"hash": [b"h"] * 10, "image": struct_column(IMAGES)})
    pq.write_table(table, tmp_path / "t.parquet")
    assert source("t.parquet").read(b"t.parquet/000000004") == IMAGES[4]


def test_a_table_without_images_is_an_error_that_lists_its_columns(tmp_path, source):
    pq.write_table(pa.table({"id": [1], "text": ["x"]}), tmp_path / "t.parquet")
    columns = ["id (int64)", "text (string)"]
    with raises(SourceError, "source.no-image-column", column=None, columns=columns):
        source("t.parquet").list()


def test_rows_without_an_image_are_quarantined(tmp_path, source, manifest_of, parquet_bytes, png):
    data = parquet_bytes([png(1), None, b"", png(2)])
    (tmp_path / "t.parquet").write_bytes(data)
    manifest = manifest_of(source("t.parquet"))
    assert [row.name[-1] for row in manifest.readable] == ["0", "3"]
    assert [(row.name[-1], row.reason) for row in manifest.quarantined] == [("1", "empty"), ("2", "empty")]
    assert manifest.readable[0].size_bytes == len(png(1))


def test_a_row_that_only_names_a_file_says_which(tmp_path, source):
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({"image": pa.array([{"bytes": None, "path": "far/a.png"}], kind)}), tmp_path / "t.parquet")
    with raises(Unreadable, "image.empty", path="far/a.png"):
        source("t.parquet").read(b"t.parquet/000000000")


def test_unchanged_files_are_not_read_again(tmp_path, source, memory, parquet_bytes, monkeypatch):
    for number in range(3):
        memory(f"{number}.parquet", parquet_bytes(IMAGES[:4], label=pa.array(["x"] * 4)))
    opened_tables = []
    monkeypatch.setattr(
        table_source, "open_table", lambda file: opened_tables.append(1) or table_formats.open_table(file)
    )
    cache = {}
    cache_of = type("Kept", (), {"get": cache.get, "put": cache.__setitem__})
    first = source(f"{memory.uri}/*.parquet", cache=cache_of).list()
    assert len(opened_tables) == 3
    memory("1.parquet", parquet_bytes(IMAGES[:5], label=pa.array(["y"] * 5)))
    second = source(f"{memory.uri}/*.parquet", cache=cache_of).list()
    assert len(opened_tables) == 4
    assert len(second.entries) == len(first.entries) + 1
    same = [entry for entry in second.entries if not entry.path.startswith(b"1.")]
    assert same == [entry for entry in first.entries if not entry.path.startswith(b"1.")]
    assert {entry.metadata["label"] for entry in second.entries} == {"x", "y"}


@pytest.mark.parametrize("name", FORMATS)
def test_a_truncated_table_is_an_error_by_itself_and_quarantined_among_others(tmp_path, source, manifest_of, png, name):
    table = pa.table({"image": [png(number) for number in range(9)]})
    (tmp_path / "many").mkdir()
    FORMATS[name](table, tmp_path / "many" / f"good-{name}")
    FORMATS[name](table, tmp_path / name)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    with raises(SourceError, "source.damaged", format="table"):
        source(name).list()
    (tmp_path / name).rename(tmp_path / "many" / f"bad-{name}")
    manifest = manifest_of(source(f"many/*-{name}"))
    assert len(manifest.readable) == 9
    assert [row.name for row in manifest.quarantined] == [f"bad-{name}"]


@pytest.mark.parametrize("n_tables", [60, pytest.param(1000, marks=pytest.mark.campaign)])
@pytest.mark.parametrize("name", FORMATS)
def test_a_mutated_table_is_refused_or_its_rows_are(tmp_path, source, name, n_tables):
    """Whatever the bytes: a table that cannot be listed, or rows that can be read or are refused."""
    FORMATS[name](pa.table({"image": struct_column(IMAGES), "label": range(10)}), tmp_path / name)
    whole, chance, outcomes = (tmp_path / name).read_bytes(), random.Random(20), set()
    for _ in range(n_tables):
        data = bytearray(whole)
        for _ in range(chance.choice((1, 2, 8))):
            data[chance.randrange(len(data))] = chance.randrange(256)
        (tmp_path / name).write_bytes(data)
        opened = source(name)
        try:
            entries = opened.list().entries[:40]
        except SourceError:
            outcomes.add("refused")
            continue
        for entry in entries:
            try:
                opened.read(entry.path)
                outcomes.add("read")
            except Unreadable:
                outcomes.add("unreadable")
    assert {"refused", "read"} <= outcomes


def test_a_table_that_claims_more_rows_than_it_has_bytes_is_an_error(tmp_path, source):
    """A hundred million rows without an image take no space, and would take all memory once they are listed."""
    table = pa.table({"image": pa.nulls(10**6, pa.binary())})
    pq.write_table(table, tmp_path / "t.parquet")
    with raises(SourceError, "source.damaged", format="table") as caught:
        source("t.parquet").list()
    assert f"{10**6:,}" in caught.value.facts["damage"]


def test_a_large_group_is_read_in_pieces(tmp_path, source):
    """One row group of 64 MB: neither listing it nor reading a row takes that much memory."""
    images = [bytes([number]) * 2**18 for number in range(256)]
    options = {"compression": "none", "use_dictionary": False, "write_batch_size": 4}
    pq.write_table(pa.table({"image": images}), tmp_path / "big.parquet", row_group_size=10**6, **options)
    opened = source("big.parquet")
    assert len(opened.list().entries) == 256
    tracemalloc.start()
    assert opened.read(b"big.parquet/000000200") == images[200]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40 * 2**20


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
@pytest.mark.parametrize(
    ("column", "text", "remarked"),
    [
        (pa.array([UUID(int=7).bytes] * 2, pa.uuid()), str(UUID(int=7)), False),
        (pa.FixedShapeTensorArray.from_numpy_ndarray(np.ones((2, 2, 2), np.float32)), None, False),
        (pa.array([[1, 2]] * 2, pa.list_(pa.int64(), 2)), None, False),
        (pa.array([b"1234"] * 2, pa.binary(4)), None, False),
        (pa.array([b"x"] * 2, pa.binary_view()).cast(pa.binary()).dictionary_encode(), None, False),
        (pa.Array.from_buffers(pa.string(), 2, pa.array([b"\xff\xfe"] * 2).buffers()), None, True),
        (pa.array(["x" * 20_000] * 2), "x" * 2**14, True),
    ],
    ids=["uuid", "tensor", "list", "fixed-bytes", "bytes-in-dictionary", "not-utf8", "long"],
)
def test_a_column_that_is_odd_costs_no_image(tmp_path, source, png, suffix, column, text, remarked):
    table = pa.table({"image": [png(0), png(1)], "odd": column, "label": ["a", "b"]})
    path = tmp_path / f"table.{suffix}"
    if suffix == "parquet":
        pq.write_table(table, path)
    else:
        with pa.ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table)
    opened = source(path)
    listing = opened.list()
    assert [opened.read(entry.path) for entry in listing.entries] == [png(0), png(1)]
    odd = {} if text is None else {"odd": text}
    assert [entry.metadata for entry in listing.entries] == [{**odd, "label": "a"}, {**odd, "label": "b"}]
    assert ["odd" in remark for remark in listing.remarks] == ([True] if remarked else [])


def test_columns_of_one_name_are_left_out_and_remarked(tmp_path, source, png):
    images, labels = pa.array([png(0)]), pa.array(["a"])
    pq.write_table(pa.Table.from_arrays([images, labels, labels], ["image", "label", "label"]), tmp_path / "t.parquet")
    listing = source(tmp_path / "t.parquet").list()
    assert [entry.metadata for entry in listing.entries] == [None]
    assert ["label" in remark for remark in listing.remarks] == [True]


@pytest.mark.parametrize("kind", [pa.binary_view(), pa.dictionary(pa.int32(), pa.binary()), "fixed"], ids=str)
def test_images_in_any_column_of_bytes_are_read(tmp_path, source, png, kind):
    images = [png(0)] * 2 if kind == "fixed" else [png(0), png(1)]
    kind = pa.binary(len(png(0))) if kind == "fixed" else kind
    column = pa.array(images).dictionary_encode() if pa.types.is_dictionary(kind) else pa.array(images, kind)
    table = pa.table({"picture": column, "label": ["a", "b"]})
    with pa.ipc.new_file(str(tmp_path / "t.arrow"), table.schema) as writer:
        writer.write_table(table)
    opened = source(tmp_path / "t.arrow")
    assert [opened.read(entry.path) for entry in opened.list().entries] == images


def test_a_digest_beside_the_images_is_no_second_column_of_images(tmp_path, source, png):
    pq.write_table(pa.table({"image": [png(0)], "sha": pa.array([b"1" * 16], pa.binary(16))}), tmp_path / "t.parquet")
    opened = source(tmp_path / "t.parquet")
    assert [opened.read(entry.path) for entry in opened.list().entries] == [png(0)]


def test_a_row_group_that_unpacks_to_far_more_than_its_file_is_damaged(tmp_path, source, monkeypatch):
    """One dictionary value that every row refers to."""
    monkeypatch.setattr(temporary_files, "_BOMB_FLOOR", 0)
    pq.write_table(pa.table({"image": [b"x" * 100_000] * 1000}), tmp_path / "t.parquet")
    opened = source(tmp_path / "t.parquet")
    entries = opened.list().entries
    assert opened.read(entries[0].path) == b"x" * 100_000
    with raises(Unreadable, "image.too-large"):
        opened.read(entries[-1].path)


@pytest.mark.parametrize("compression", [None, "zstd"])
def test_a_stream_with_dictionaries_is_read_at_any_batch(tmp_path, source, compression):
    """Of each batch the dictionary is another one, or grows."""
    words, images = ["a", "b", "a", "c", "d", None, "c", "e"], [b"%d" % row for row in range(8)]
    batches = [
        pa.record_batch(
            {
                "image": pa.array(images[start : start + 2]).dictionary_encode(),
                "words": pa.array(words[start : start + 2]).dictionary_encode(),
            }
        )
        for start in range(0, 8, 2)
    ]
    for deltas in (True, False):
        options = pa.ipc.IpcWriteOptions(compression=compression, emit_dictionary_deltas=deltas)
        with pa.ipc.new_stream(str(tmp_path / "t.arrow"), batches[0].schema, options=options) as writer:
            for batch in batches:
                writer.write_batch(batch)
        opened = source("t.arrow", image_column="image")
        entries = opened.list().entries
        assert [(entry.metadata or {}).get("words") for entry in entries] == words
        assert [opened.read(entry.path) for entry in reversed(entries)] == images[::-1]


def test_a_stream_that_is_cut_within_a_batch_is_damaged(tmp_path, source):
    table = pa.table({"image": [b"x" * 1000] * 4})
    with pa.ipc.new_stream(str(tmp_path / "t.arrow"), table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    data = (tmp_path / "t.arrow").read_bytes()
    (tmp_path / "t.arrow").write_bytes(data[:-500])
    with raises(SourceError, "source.damaged"):
        source("t.arrow").list()


def test_words_of_polars_and_runs_are_metadata(tmp_path, source):
    words = pa.DictionaryArray.from_arrays(pa.array([0, 1, None], pa.uint32()), pa.array(["x", "y"], pa.string_view()))
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array(["p", "q"]))
    table = pa.table({"image": [b"1", b"2", b"3"], "words": words, "runs": runs})
    with pa.ipc.new_file(str(tmp_path / "t.arrow"), table.schema) as writer:
        writer.write_table(table)
    assert [entry.metadata for entry in source("t.arrow").list().entries] == [
        {"words": "x", "runs": "p"},
        {"words": "y", "runs": "p"},
        {"runs": "q"},
    ]
