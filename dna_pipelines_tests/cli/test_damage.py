"""A damaged lake and a disk that cannot be written to are messages that name the file or folder and what to do."""

import json
import os
import shutil

import pyarrow.parquet as pq
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from dna_pipelines_tests.cli.conftest import write_image


@pytest.fixture
def lake(project):
    return project / "data" / "lake"


def damaged(lake, pattern, size=700):
    """The last file of a pattern, cut off."""
    path = max(lake.glob(pattern))
    os.truncate(path, min(size, path.stat().st_size - 1))
    return path


@pytest.mark.parametrize("command", ["run", "matrix", "sql"])
@pytest.mark.parametrize(
    ("pattern", "size", "statement"),
    [
        ("dna/histogram/*.parquet", 700, "SELECT sum(mean) FROM dna"),
        ("datasets/d0/manifests/*.parquet", 700, "FROM images"),
        ("distances/layers/*.parquet", 0, "FROM layer_distances"),
    ],
)
def test_a_damaged_table_is_named_and_made_again_once_it_is_removed(
    project, lake, dna, command, pattern, size, statement
):
    for path in lake.glob(pattern):
        os.truncate(path, size)
    # What is written anew reads every table.
    (lake / "catalog.sql").unlink()
    said = dna(*({"sql": ["sql", statement]}.get(command, [command])))
    assert said.code == 1
    assert said.tells("is damaged")
    assert said.tells("remove it and run `dna run`")
    named = [path for path in lake.glob(pattern) if said.tells(str(path))]
    assert len(named) == 1
    for path in lake.glob(pattern):
        path.unlink()
    assert dna("run").code == 0
    assert dna("matrix").code == 0
    assert dna("sql", statement).code == 0


def test_a_damaged_table_among_sound_ones_is_found_when_it_is_read(project, lake, dna):
    path = damaged(lake, "dna/moments/*.parquet")
    said = dna("sql", "SELECT sum(mean) FROM dna")
    assert said.code == 1
    assert said.tells(f"{path} is damaged")


def damaged_within(path):
    """The pages of the first rows begin with other bytes; the footer is as it was."""
    with pq.ParquetFile(path) as file:
        group = file.metadata.row_group(0)
        columns = [group.column(number) for number in range(group.num_columns)]
    data = bytearray(path.read_bytes())
    for column in columns:
        start = column.dictionary_page_offset or column.data_page_offset
        data[start : start + 8] = b"\xff" * 8
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("command", [["matrix"], ["map"], ["sql", "FROM layer_distances"]])
def test_damage_within_a_table_is_a_message_that_says_how_to_find_it(project, lake, dna, command):
    path = damaged_within(min(lake.glob("distances/layers/*.parquet")))
    said = dna(*command)
    assert said.code == 1
    assert said.tells("is damaged")
    assert said.tells("`dna doctor --pages`") or said.tells(str(path))
    path.unlink()
    assert dna("run").code == 0
    assert dna(*command).code == 0


@pytest.mark.parametrize(
    "pattern",
    [
        "partials/*/blocks/*.parquet",
        "dna/covariance/*.parquet",
        "distances/layers/*.parquet",
        "ranges/builtin/*.parquet",
    ],
)
def test_the_doctor_reads_pages_where_asked_to(project, lake, dna, pattern):
    path = damaged_within(max(lake.glob(pattern)))
    assert dna("doctor").code == 0
    said = dna("doctor", "--pages")
    assert said.code == 1
    assert any(f"{path} is damaged" in line for line in said.out.splitlines() if line.startswith("BAD"))


def test_the_doctor_tells_a_damaged_manifest_once(project, lake, dna):
    path = damaged_within(max(lake.glob("datasets/*/manifests/*.parquet")))
    said = dna("doctor", "--pages")
    told = [line for line in said.out.splitlines() if line.startswith("BAD") and "pages" in line]
    assert [str(path) in line for line in told] == [True]


@pytest.mark.parametrize("content", ["", "{", "{}", '{"extractor": "another"}', "[]", "\xff"])
def test_damaged_keys_are_made_again(project, lake, dna, content):
    paths = list(lake.glob("keys/*.json"))
    before = [path.read_bytes() for path in paths]
    for path in paths:
        path.write_text(content, encoding="latin-1")
    said = dna("compare", "d0", "d1")
    assert said.code == 1
    assert said.tells(f"what is noted of builtin in {lake} is damaged; `dna run` makes it again")
    assert dna("doctor").code == 1
    said = dna("run", "--json")
    assert said.code == 0
    assert (
        sum(done["n_images_extracted"] for one in said.json["datasets"] for done in one["fingerprints"].values()) == 0
    )
    assert [path.read_bytes() for path in paths] == before
    assert dna("compare", "d0", "d1").code == 0


@pytest.fixture
def full_disk():
    """No database can grow."""

    def bounded(connection, _record):
        connection.execute("PRAGMA max_page_count=1")

    event.listen(Engine, "connect", bounded)
    yield
    event.remove(Engine, "connect", bounded)


def says_that_dagster_cannot_write(said, project, what):
    assert said.code == 1
    assert said.tells(f"{project / 'data' / 'dagster'} cannot be written: {what}")
    assert said.tells("make room on its disk or the folder writable, and run again")


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("command", [["run"], ["calibrate", "builtin", "--yes"]])
def test_a_full_disk_is_a_message_that_names_the_folder(project, dna, full_disk, command, new):
    write_image(project / "d0" / "new.png", 99)
    if new:
        shutil.rmtree(project / "data" / "dagster")
    says_that_dagster_cannot_write(dna(*command), project, "database or disk is full")
    assert not list((project / "data").glob(".dagster.*"))


@pytest.mark.parametrize("command", [["run"], ["calibrate", "builtin", "--yes"]])
def test_a_database_that_cannot_be_opened_is_a_message_that_names_the_folder(project, dna, command):
    write_image(project / "d0" / "new.png", 99)
    runs = project / "data" / "dagster" / "history" / "runs.db"
    runs.unlink()
    runs.mkdir()
    says_that_dagster_cannot_write(dna(*command), project, "unable to open database file")


def test_a_folder_that_cannot_be_made_is_a_message_that_names_it(project, dna):
    write_image(project / "d0" / "new.png", 99)
    shutil.rmtree(project / "data" / "dagster")
    (project / "data" / "dagster").write_text("in the way")
    says_that_dagster_cannot_write(dna("run"), project, "Not a directory")
    assert not list((project / "data").glob(".dagster.*"))


@pytest.mark.parametrize("content", ["", "{", '{"name": 1}'])
@pytest.mark.parametrize(
    "pattern", ["dna/records/*.json", "extractors/*.json", "datasets/*/looked.json", "datasets/*/seen.json", "*/*.json"]
)
def test_records_that_can_be_made_again_are(project, lake, dna, pattern, content):
    (lake / "datasets" / "d0" / "seen.json").touch()
    paths = sorted(lake.glob(pattern))
    assert paths
    for path in paths:
        path.write_text(content)
    said = dna("run", "--json")
    assert said.code == 0
    assert (
        sum(done["n_images_extracted"] for one in said.json["datasets"] for done in one["fingerprints"].values()) == 0
    )
    assert dna("matrix").code == 0
    assert dna("sql", "FROM dnas").code == 0
    assert json.loads(dna("run", "--json").out)["datasets"][0]["why"] == "nothing changed since the last run"


def test_sql_names_a_record_that_is_damaged(project, lake, dna):
    path = max(lake.glob("dna/records/*.json"))
    path.write_text("{")
    said = dna("sql", "FROM dnas")
    assert said.code == 1
    assert said.tells(f"{path} is damaged, or another version wrote it; remove it and run `dna run`: it is made again")


@pytest.mark.parametrize("content", ["", "{"])
def test_a_damaged_commit_holds_back_its_own_dataset_alone(project, lake, dna, content):
    commit = lake / "datasets" / "d0" / "commits" / "00000001.json"
    commit.write_text(content)
    write_image(project / "d1" / "new.png", 99)
    said = dna("run", "--json")
    assert said.code == 3
    first, *others = said.json["datasets"]
    assert first["problem"].startswith(f"{commit} is damaged, or another version wrote it; restore it from a copy, or")
    assert [(one["n_images"], one["problem"]) for one in others] == [(11, None), (10, None)]
    assert said.json["pairs"]["builtin"]["left_out"] == ["d0"]
    assert said.json["problems"] == []
    assert dna("matrix").code == 0
    said = dna("run")
    assert "failed, see below" in said.out
    assert str(commit) not in said.out
    assert said.tells(f"d0: {commit} is damaged")
    # What the message says to do.
    shutil.rmtree(commit.parents[1])
    said = dna("run", "--json")
    assert said.code == 0
    assert said.json["datasets"][0]["fingerprints"]["builtin"]["n_images_extracted"] == 0


def test_the_status_shows_what_is_sound_beside_a_damaged_commit(project, lake, dna):
    commit = lake / "datasets" / "d0" / "commits" / "00000001.json"
    commit.write_text("{")
    said = dna("status", "--json")
    assert said.code == 1
    assert [(row["n_images"], row["dna"]["builtin"]) for row in said.json] == [
        (None, ""),
        (10, "current"),
        (10, "current"),
    ]
    assert [row["problem"] is None for row in said.json] == [False, True, True]
    said = dna("status")
    assert said.code == 1
    assert said.tells(f"d0: {commit} is damaged")
    assert not said.tells("brings everything up to date")


def test_a_damaged_commit_that_is_past_stops_no_run(changed, dna):
    commit = changed / "data" / "lake" / "datasets" / "d0" / "commits" / "00000001.json"
    commit.write_text("{")
    (changed / "elsewhere").rename(changed / "d2")
    assert dna("run").code == 0
    said = dna("compare", "d0@-1", "d0")
    assert said.code == 1
    assert said.tells(f"{commit} is damaged")


@pytest.mark.parametrize(
    ("pattern", "size", "advice"),
    [
        ("partials/*/blocks/*.parquet", 700, "remove it and"),
        ("partials/*/images/*.parquet", 0, "remove it and"),
        ("ranges/builtin/*.parquet", 100, "remove it and run `dna run`"),
        ("dna/covariance/*.parquet", 700, "remove it and run `dna run`"),
        ("distances/layers/*.parquet", 700, "remove it and run `dna run`"),
    ],
)
def test_the_doctor_finds_a_damaged_file(project, lake, dna, pattern, size, advice):
    path = damaged(lake, pattern, size)
    said = dna("doctor")
    assert said.code == 1
    assert any(str(path) in line and advice in line for line in said.out.splitlines() if line.startswith("BAD"))


def test_the_doctor_finds_damaged_records(changed, dna):
    records = changed / "data" / "lake"
    commit, record = records / "datasets" / "d0" / "commits" / "00000001.json", max(records.glob("dna/records/*"))
    for path in (commit, record):
        path.write_text("{")
    bad = [line for line in dna("doctor").out.splitlines() if line.startswith("BAD")]
    assert any("manifest of d0" in line and f"{commit} is damaged" in line for line in bad)
    assert dna("doctor").code == 1


def test_what_the_doctor_says_of_lost_partials_brings_them_back(project, lake, dna):
    shutil.rmtree(lake / "partials")
    said = dna("doctor")
    assert said.code == 1
    bad = [line for line in said.out.splitlines() if line.startswith("BAD")]
    assert [line.split(":")[0] for line in bad] == [f"BAD builtin DNA of d{number}" for number in range(3)]
    for record in lake.glob("dna/records/*.json"):
        assert any(f"remove {record} and run `dna run`" in line for line in bad)
        record.unlink()
    assert dna("run").code == 0
    assert dna("doctor").code == 0
