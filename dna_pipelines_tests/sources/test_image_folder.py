"""The layouts of Hugging Face's ImageFolder: tables among the images join by themselves."""

import json
import os
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dna_pipelines.config import DatasetConfig
from dna_pipelines.errors import SourceError
from dna_pipelines.manifests import build_manifest, scan_source, with_folder_tables
from dna_pipelines.sources import image_folder
from dna_pipelines_tests.raising import raises


@pytest.fixture
def described(source):
    """The metadata of each image of a location, and the remarks of its scan."""

    def scanned(location, **settings):
        config = DatasetConfig(name="d", uri=str(location), **settings)
        opened = source(location, config.globs, config.exclude)
        scan = scan_source(opened, config, lambda: None, 0)
        scan = with_folder_tables(scan, opened, config)
        return {entry.path.decode(): entry.metadata for entry in scan.entries}, scan

    return scanned


def written(path, rows):
    """A table in the format that its suffix tells."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        path.write_text("\n".join(",".join(map(str, row)) for row in ([*rows[0]], *(row.values() for row in rows))))


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize(
    ("table", "beginning"), [("metadata", "train/"), ("train/metadata", ""), ("train/metadata", "./")]
)
def test_a_table_beside_the_images_or_above_them_joins(make_files, described, suffix, table, beginning):
    folder = make_files("train/1.png", "train/2.png", "train/sub/3.png")
    names = ["1.png", "sub/3.png"]
    rows = [{"file_name": beginning + name, "label": f"of {name}"} for name in names]
    written(folder / f"{table}.{suffix}", rows)
    metadata, scan = described(folder)
    assert metadata == {
        "train/1.png": {"label": "of 1.png"},
        "train/2.png": None,
        "train/sub/3.png": {"label": "of sub/3.png"},
    }
    assert (scan.remarks, scan.n_ignored) == ((), 0)


def test_images_of_one_name_all_stay(make_files, source):
    folder = make_files("a.png", "\\x8b.png")
    paths = sorted([b"a.png", b"\\x8b.png", b"\x8b.png"])
    (folder / os.fsdecode(paths[-1])).write_bytes(b"")
    written(folder / "metadata.csv", [{"file_name": "a.png", "label": "cat"}])
    config, opened = DatasetConfig(name="d", uri=str(folder)), source(folder)
    scan = with_folder_tables(scan_source(opened, config, lambda: None, 0), opened, config)
    assert [entry.path for entry in scan.entries] == paths


def test_each_split_may_have_its_own_table_and_inner_ones_override(make_files, described):
    folder = make_files("train/1.png", "test/1.png")
    written(
        folder / "metadata.csv", [{"file_name": f"{split}/1.png", "a": split, "b": 0} for split in ("train", "test")]
    )
    written(folder / "test/metadata.jsonl", [{"file_name": "1.png", "b": 1, "c": 2}])
    assert described(folder)[0] == {
        "test/1.png": {"a": "test", "b": "1", "c": "2"},
        "train/1.png": {"a": "train", "b": "0"},
    }


def test_a_table_beside_a_split_describes_it(make_files, described):
    folder = make_files("train/1.png", "test/1.png")
    written(folder / "metadata.csv", [{"file_name": f"{split}/1.png", "label": split} for split in ("train", "test")])
    metadata, scan = described(folder / "train")
    assert metadata == {"1.png": {"label": "train"}}
    assert scan.remarks == ()
    (folder.parent / "link").symlink_to(folder / "train")
    assert described(folder.parent / "link")[0] == {"1.png": None}


def test_a_zip_may_hold_a_table(tmp_path, described):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("train/1.png", b"1")
        archive.writestr("train/metadata.csv", "file_name,label\n1.png,cat\n")
    assert described(tmp_path / "a.zip")[0] == {"train/1.png": {"label": "cat"}}


def test_a_store_may_hold_a_table(memory, described):
    memory("train/1.png", b"1")
    memory("train/metadata.csv", b"file_name,label\n1.png,cat\n")
    metadata, scan = described(memory.uri)
    assert metadata == {"train/1.png": {"label": "cat"}}
    memory("train/metadata.csv", b"file_name,label\n1.png,dog\n")
    assert described(memory.uri)[1].raw_version != scan.raw_version


def test_a_change_of_a_table_is_a_change_of_the_location(make_files, described):
    folder = make_files("1.png")
    before = described(folder)[1].raw_version
    written(folder / "metadata.csv", [{"file_name": "1.png", "label": "cat"}])
    with_table = described(folder)[1].raw_version
    written(folder / "metadata.csv", [{"file_name": "1.png", "label": "horse"}])
    assert len({before, with_table, described(folder)[1].raw_version}) == 3


def test_rows_that_describe_nothing_are_remarked_on(make_files, described):
    folder = make_files("1.png", "2.png")
    rows = [{"file_name": name, "n": row} for row, name in enumerate(["1.png", "1.png", "none.png", "../out.png"])]
    written(folder / "metadata.csv", rows)
    metadata, scan = described(folder)
    assert metadata["1.png"] == {"n": "0"}
    assert ["1 rows" in remark or "2 of 3 rows" in remark for remark in scan.remarks] == [True, True]


def test_a_table_that_is_not_used_is_remarked_on(make_files, described):
    folder = make_files("1.png", "sub/2.png")
    written(folder / "metadata.csv", [{"file_name": "1.png", "label": "cat"}])
    written(folder / "metadata.jsonl", [{"file_name": "1.png", "label": "dog"}])
    written(folder / "sub/metadata.csv", [{"file_name": "2.png", "label": "cow"}])
    metadata, scan = described(folder)
    assert metadata["1.png"] == {"label": "cat"}
    assert [("metadata.jsonl" in remark) for remark in scan.remarks] == [True]
    assert scan.n_ignored == 1
    declared, scan = described(folder, metadata={"uri": f"{folder}/metadata.csv", "path_column": "file_name"})
    assert set(declared.values()) == {None}
    assert [("2 metadata files" in remark) for remark in scan.remarks] == [True]
    assert scan.n_ignored == 3


def test_a_declared_table_that_is_the_only_one_is_no_remark(make_files, described):
    folder = make_files("1.png")
    written(folder / "metadata.csv", [{"file_name": "1.png", "label": "cat"}])
    assert described(folder, metadata={"uri": f"{folder}/metadata.csv", "path_column": "file_name"})[1].remarks == ()


def test_an_excluded_table_is_left_alone(make_files, described):
    folder = make_files("1.png")
    written(folder / "metadata.csv", [{"file_name": "1.png", "label": "cat"}])
    metadata, scan = described(folder, exclude=["metadata.csv"])
    assert (metadata, scan.remarks, scan.n_ignored) == ({"1.png": None}, (), 1)


@pytest.mark.parametrize(
    "text", ["path,label\n1.png,cat\n", "file_name,label\n1.png\n", "", "file_name,a,a\n1.png,1,2\n"]
)
def test_a_table_of_another_kind_costs_no_image(make_files, described, text):
    folder = make_files("1.png")
    (folder / "metadata.csv").write_text(text)
    metadata, scan = described(folder)
    assert metadata == {"1.png": None}
    assert len(scan.remarks) == 1
    with pytest.raises(SourceError):
        described(folder, group_by="column:label")


def test_a_table_that_cannot_be_reached_is_an_error(make_files, source):
    folder = make_files("1.png")
    written(folder / "metadata.csv", [{"file_name": "1.png", "label": "cat"}])
    config, opened = DatasetConfig(name="d", uri=str(folder)), source(folder)
    scan = scan_source(opened, config, lambda: None, 0)
    (folder / "metadata.csv").unlink()
    with raises(SourceError, "source.missing", uri=f"{folder}/metadata.csv"):
        with_folder_tables(scan, opened, config)


def test_images_are_grouped_by_a_column_of_such_a_table(make_files, source, png):
    folder = make_files("1.png", "2.png")
    for number in (1, 2):
        (folder / f"{number}.png").write_bytes(png(number))
    written(folder / "metadata.csv", [{"file_name": f"{number}.png", "patient": f"p{number}"} for number in (1, 2)])
    config, opened = DatasetConfig(name="d", uri=str(folder), group_by="column:patient"), source(folder)
    scan = with_folder_tables(scan_source(opened, config, lambda: None, 0), opened, config)
    assert [row.group for row in build_manifest(scan, opened, config).rows] == ["p1", "p2"]


@pytest.mark.parametrize(
    ("table", "within", "name", "path"),
    [
        (b"metadata.csv", b"", "a.png", "a.png"),
        (b"metadata.csv", b"", ".\\sub\\a.png", "sub/a.png"),
        (b"train/metadata.csv", b"", "../images/a.png", "images/a.png"),
        (b"metadata.csv", b"", "../a.png", None),
        (b"metadata.csv", b"", "/a.png", None),
        (b"../metadata.csv", b"train/", "train/a.png", "a.png"),
        (b"../metadata.csv", b"train/", "training/a.png", None),
        (b"../metadata.csv", b"train/", "test/a.png", None),
    ],
)
def test_a_name_in_a_table_is_relative_to_its_folder(table, within, name, path):
    assert image_folder.image_path(image_folder.TableFile(table, 1, "", within), name) == path
