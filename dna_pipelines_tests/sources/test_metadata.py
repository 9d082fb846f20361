"""Tables beside the images."""

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dna_pipelines.config import MetadataConfig
from dna_pipelines.errors import SourceError
from dna_pipelines.sources.metadata import metadata_signature, read_metadata
from dna_pipelines_tests.raising import raises

WANTED = {"a.png": {"label": "cat", "score": "3"}, "b.png": {"score": "4"}}


@pytest.fixture
def table(tmp_path):
    def read(text, name="table.csv", **settings):
        (tmp_path / name).write_text(text)
        return read_metadata(MetadataConfig(uri=name, **settings), tmp_path)

    return read


def test_a_csv_table_is_text_by_path(table):
    assert table("path,label,score\na.png,cat,3\nb.png,dog,4\n") == {
        "a.png": {"label": "cat", "score": "3"},
        "b.png": {"label": "dog", "score": "4"},
    }


def test_a_tsv_table_is_read(table):
    assert table("path\tlabel\na.png\tcat, black\n", "table.tsv") == {"a.png": {"label": "cat, black"}}


def test_a_leading_dot_of_a_path_does_not_count(table):
    assert list(table("path,label\n./a.png,cat\nb/./c.png,cat\n.d.png,cat\n")) == ["a.png", "b/./c.png", ".d.png"]
    with raises(SourceError, "source.metadata-path-twice", path="a.png"):
        table("path,label\n./a.png,cat\na.png,cat\n")


def test_a_jsonl_table_is_read_and_what_is_absent_left_out(table):
    text = '{"path": "a.png", "label": "cat", "score": 3}\n{"path": "b.png", "score": 4}\n'
    assert table(text, "table.jsonl") == WANTED


def test_a_value_of_json_is_what_stands_there(table):
    lines = [
        {"path": "a.png", "day": "2024-01-01", "at": "10:00:00+02:00", "id": 12345678901234567890, "ok": True},
        {"path": "b.png", "day": 3, "tags": ["x"], "at": {"h": 10}},
    ]
    text = "\ufeff" + "\n\n".join(map(json.dumps, lines))
    assert table(text, "table.jsonl") == {
        "a.png": {"day": "2024-01-01", "at": "10:00:00+02:00", "id": "12345678901234567890", "ok": "true"},
        "b.png": {"day": "3", "tags": '["x"]', "at": '{"h": 10}'},
    }


@pytest.mark.parametrize(("text", "column"), [("[1]", None), ('{"path": }', 10), ('{"path": ' + "[" * 100_000, None)])
def test_a_line_that_is_no_object_is_named(table, tmp_path, text, column):
    uri = str(tmp_path / "table.jsonl")
    with raises(SourceError, "source.metadata-not-json", uri=uri, line=2, column=column):
        table('{"path": "a.png"}\n' + text, "table.jsonl")


@pytest.mark.parametrize(
    ("text", "name"),
    [("path,x\na.png,1\n,2\n", "t.csv"), ('{"path": "a.png"}\n{"x": 1}\n', "t.jsonl")],
)
def test_a_row_without_a_path_is_named(table, tmp_path, text, name):
    with raises(SourceError, "source.metadata-no-path", uri=str(tmp_path / name), row=2, column="path"):
        table(text, name)


def test_bytes_in_a_parquet_table_are_ignored(tmp_path):
    pq.write_table(pa.table({"path": ["a.png"], "raw": [b"\xff"], "label": ["cat"]}), tmp_path / "t.parquet")
    assert read_metadata(MetadataConfig(uri="t.parquet"), tmp_path) == {"a.png": {"label": "cat"}}
    with raises(SourceError, "source.metadata-not-text", uri=str(tmp_path / "t.parquet"), column="raw"):
        read_metadata(MetadataConfig(uri="t.parquet", columns=("raw",)), tmp_path)


def test_json_objects_may_stand_on_lines_or_in_a_list(table):
    rows = [{"path": "a.png", "x": "1"}, {"path": "b.png", "x": None}]
    expected = {"a.png": {"x": "1"}, "b.png": {}}
    assert table("\n".join(json.dumps(row, indent=1) for row in rows), "t.json") == expected
    assert table(json.dumps(rows, indent=1), "t.json") == expected


def test_a_column_without_any_value_is_a_column(table):
    assert table('{"path": "a.png", "x": null}', "t.jsonl", columns=("x",)) == {"a.png": {}}


def test_a_parquet_table_is_read_and_nulls_left_out(tmp_path):
    columns = {"path": ["a.png", "b.png"], "label": ["cat", None], "score": [3, 4]}
    pq.write_table(pa.table(columns), tmp_path / "table.parquet")
    assert read_metadata(MetadataConfig(uri="table.parquet"), tmp_path) == WANTED


def test_an_empty_cell_of_a_csv_is_left_out(table):
    assert table("path,label,score\na.png,cat,3\nb.png,,4\n") == WANTED


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbfpath,label\r\na.png,cat\r\n",
        b"path;label\na.png;cat\n",
        b"sep=;\r\npath;label\r\na.png;cat\r\n",
        b"path\tlabel\na.png\tcat\n",
        "path,label\na.png,cat\n".encode("utf-16"),
        b"path,label\ra.png,cat\r",
        b"\r\npath,label\r\n\r\na.png,cat",
        b'path,label\n"a.png","cat"',
    ],
    ids=["bom", "semicolon", "excel", "tabs", "utf-16", "mac", "blank-lines", "quoted"],
)
def test_a_csv_is_read_as_spreadsheets_write_it(tmp_path, data):
    (tmp_path / "table.csv").write_bytes(data)
    assert read_metadata(MetadataConfig(uri="table.csv"), tmp_path) == {"a.png": {"label": "cat"}}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_quoted_line_break_is_part_of_a_value_wherever_it_stands(tmp_path, end):
    """Line ends fall on the edges of any blocks by which a reader may divide three megabytes."""
    captions = [f"caption {row} {'x' * (row % 41)}{end}{row + 10**6}.png,stolen" for row in range(50_000)]
    with open(tmp_path / "table.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "caption"])
        rows.writerows((f"{row}.png", caption) for row, caption in enumerate(captions))
    read = read_metadata(MetadataConfig(uri="table.csv"), tmp_path)
    assert read == {f"{row}.png": {"caption": caption} for row, caption in enumerate(captions)}


@pytest.mark.parametrize(
    "data", [b'path,label\na.png,"cat\nb.png,dog\n', "path,label\na.png,Zürich\n".encode("latin-1")]
)
def test_a_csv_with_an_open_quote_or_in_another_encoding_is_an_error(tmp_path, data):
    (tmp_path / "table.csv").write_bytes(data)
    with raises(SourceError, "source.metadata-unreadable", uri=str(tmp_path / "table.csv")):
        read_metadata(MetadataConfig(uri="table.csv"), tmp_path)


@pytest.mark.parametrize("value", ["007", "1.50", "true", "2024-01-02 00:00:00", "1e3", "NA"])
def test_a_value_of_a_csv_is_the_text_that_stands_there(table, value):
    assert table(f"path,patient\na.png,{value}\n") == {"a.png": {"patient": value}}


def test_only_the_columns_asked_for_are_kept(table):
    text = "file,label,score\na.png,cat,3\n"
    assert table(text, path_column="file", columns=("label",)) == {"a.png": {"label": "cat"}}


@pytest.mark.parametrize(
    ("settings", "missing"), [({"path_column": "file"}, "file"), ({"columns": ("colour",)}, "colour")]
)
def test_a_missing_column_is_an_error_that_lists_the_columns(table, settings, missing):
    with raises(SourceError, "source.metadata-no-column", missing=[missing], columns=["path", "label"]):
        table("path,label\na.png,cat\n", **settings)


def test_a_path_that_is_named_twice_is_an_error(table):
    with raises(SourceError, "source.metadata-path-twice", path="a.png"):
        table("path,label\nb.png,x\na.png,cat\na.png,dog\n")


def test_a_column_that_is_there_twice_is_an_error(table):
    with raises(SourceError, "source.metadata-column-twice", column="label"):
        table("path,label,label\na.png,cat,dog\n")


@pytest.mark.parametrize(
    ("text", "name", "code"),
    [
        ("", "table.csv", "metadata-unreadable"),
        ("path,label\na.png\n", "table.csv", "metadata-unreadable"),
        ("{", "table.jsonl", "metadata-not-json"),
        ("x", "table.parquet", "metadata-unreadable"),
        ("x", "table.xlsx", "metadata-unknown-format"),
    ],
)
def test_a_table_that_cannot_be_read_is_an_error_that_names_it(table, tmp_path, text, name, code):
    with raises(SourceError, f"source.{code}", uri=str(tmp_path / name)):
        table(text, name)


def test_a_table_that_is_missing_is_an_error(tmp_path):
    for read in (read_metadata, metadata_signature):
        with raises(SourceError, "source.missing", uri=str(tmp_path / "none.csv")):
            read(MetadataConfig(uri="none.csv"), tmp_path)


def test_the_signature_changes_when_the_table_does(table, tmp_path):
    config = MetadataConfig(uri="table.csv")
    table("path,label\na.png,cat\n")
    before = metadata_signature(config, tmp_path)
    assert metadata_signature(config, tmp_path) == before
    table("path,label\na.png,horse\n")
    assert metadata_signature(config, tmp_path) != before


def test_images_are_grouped_by_a_column(make_files, source, manifest_of, table, png):
    folder = make_files("1.png", "2.png", "3.png", "4.png")
    for number in (1, 2, 3, 4):
        (folder / f"{number}.png").write_bytes(png(number))
    metadata = table("path,patient\n1.png,p1\n2.png,p2\n3.png,p1\n")
    rows = manifest_of(
        source(folder), metadata, group_by="column:patient", metadata=MetadataConfig(uri="table.csv")
    ).rows
    assert [row.group for row in rows] == ["p1", "p2", "p1", None]
    assert rows[0].block == rows[2].block
    assert rows[1].metadata == {"patient": "p2"}
