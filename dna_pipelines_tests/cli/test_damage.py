"""A damaged lake and a disk that cannot be written are errors that name the file or folder and the remedy."""

import os
import shutil

import pyarrow.parquet as pq
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from dna_pipelines_tests.cli.conftest import write_image


def campaign(*values):
    """Further values, for the campaign."""
    return [pytest.param(value, marks=pytest.mark.campaign) for value in values]


@pytest.fixture
def lake(project):
    return project / "data" / "lake"


def damaged(lake, pattern, size=700):
    """The last file of a pattern, cut off."""
    path = max(lake.glob(pattern))
    os.truncate(path, min(size, path.stat().st_size - 1))
    return path


@pytest.mark.parametrize(
    ("pattern", "size", "view"),
    [
        ("dna/histogram/*.parquet", 700, "dna"),
        ("datasets/d0/manifests/*.parquet", 700, "images"),
        ("distances/layers/*.parquet", 0, "layer_distances"),
    ],
)
def test_damaged_tables_stop_no_statement_and_are_recomputed_once_they_are_removed(
    project, lake, dna, pattern, size, view
):
    statement = f"SELECT count(*) AS n FROM {view}"
    before = dna("sql", statement, "--json").json
    paths = list(lake.glob(pattern))
    for path in paths:
        os.truncate(path, size)
    # Writing it again reads every table.
    (lake / "catalog.sql").unlink()
    said = dna("sql", statement, "--json")
    assert (said.code, said.json == before) == (0, False)
    assert said.names(*paths)
    said = dna("sql", "SELECT 1")
    assert (said.code, said.names(*paths)) == (0, False)
    bad = [row["message"] for row in dna("doctor", "--json").json if not row["ok"]]
    assert all(any(str(path) in message for message in bad) for path in paths)
    for path in paths:
        path.unlink()
    assert dna("run").code == 0
    said = dna("sql", statement, "--json")
    assert (said.json, said.names("left out")) == (before, False)


def test_a_run_recomputes_damaged_distances(project, lake, dna):
    (path,) = lake.glob("distances/layers/*.parquet")
    content = path.read_bytes()
    os.truncate(path, 700)
    assert dna("run", "--json").json["pairs"]["builtin"]["n_pairs_computed"] == 3
    assert path.read_bytes() == content


def test_a_damaged_table_among_sound_ones_is_left_out(project, lake, dna):
    path = damaged(lake, "dna/moments/*.parquet")
    said = dna("sql", "SELECT dna_id, sum(mean) IS NULL AS missing FROM dna GROUP BY ALL", "--json")
    assert said.code == 0
    assert said.names(path)
    assert [row["dna_id"] for row in said.json if row["missing"]] == [path.stem]


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
def test_damage_within_a_table_is_noticed(project, lake, dna, command):
    path = damaged_within(min(lake.glob("distances/layers/*.parquet")))
    said = dna(*command)
    assert said.names(path, "`dna run`")
    assert said.code == (0 if command[0] == "sql" else 1)
    path.unlink()
    assert dna("run").code == 0
    assert dna(*command).code == 0


@pytest.mark.parametrize(
    "pattern",
    [
        "partials/*/blocks/*.parquet",
        "dna/covariance/*.parquet",
    ],
)
def test_the_doctor_reads_pages_where_asked_to(project, lake, dna, pattern):
    path = damaged_within(max(lake.glob(pattern)))
    assert dna("doctor").code == 0
    said = dna("doctor", "--pages", "--json")
    assert said.code == 1
    assert any(str(path) in row["message"] for row in said.json if not row["ok"])


def test_the_doctor_reports_a_damaged_manifest_once(project, lake, dna):
    path = damaged_within(max(lake.glob("datasets/*/manifests/*.parquet")))
    bad = [row for row in dna("doctor", "--pages", "--json").json if not row["ok"] and "pages" in row["what"]]
    assert [str(path) in row["message"] for row in bad] == [True]


@pytest.mark.parametrize("content", ["{", *campaign("", "{}", '{"extractor": "another"}', "[]", "\xff")])
def test_damaged_keys_are_recomputed(project, lake, dna, content):
    paths = list(lake.glob("keys/*.json"))
    before = [path.read_bytes() for path in paths]
    for path in paths:
        path.write_text(content, encoding="latin-1")
    said = dna("compare", "d0", "d1")
    assert said.code == 1
    assert said.error == "lake.extractor-record"
    assert said.names("builtin", lake, "`dna run`")
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


def requires_a_writable_dagster_home(said, project, reason):
    assert said.code == 1
    assert said.error == "dagster.home-not-writable"
    # The reason is the database's or the operating system's.
    assert said.names(project / "data" / "dagster", reason)


@pytest.mark.parametrize("new", [True, *campaign(False)])
@pytest.mark.parametrize("command", [["run"], ["calibrate", "builtin", "--yes"]])
def test_a_full_disk_is_an_error_that_names_the_folder(project, dna, full_disk, command, new):
    write_image(project / "d0" / "new.png", 99)
    if new:
        shutil.rmtree(project / "data" / "dagster")
    requires_a_writable_dagster_home(dna(*command), project, "database or disk is full")
    assert not list((project / "data").glob(".dagster.*"))


@pytest.mark.campaign
@pytest.mark.parametrize("command", [["run"], ["calibrate", "builtin", "--yes"]])
def test_a_database_that_cannot_be_opened_is_an_error_that_names_the_folder(project, dna, command):
    write_image(project / "d0" / "new.png", 99)
    runs = project / "data" / "dagster" / "history" / "runs.db"
    runs.unlink()
    runs.mkdir()
    requires_a_writable_dagster_home(dna(*command), project, "unable to open database file")


def test_a_folder_that_cannot_be_created_is_an_error_that_names_it(project, dna):
    write_image(project / "d0" / "new.png", 99)
    shutil.rmtree(project / "data" / "dagster")
    (project / "data" / "dagster").write_text("in the way")
    requires_a_writable_dagster_home(dna("run"), project, "Not a directory")
    assert not list((project / "data").glob(".dagster.*"))


@pytest.mark.parametrize("content", ["{", *campaign("", '{"name": 1}')])
@pytest.mark.parametrize(
    "pattern", ["dna/records/*.json", "extractors/*.json", "datasets/*/looked.json", "datasets/*/seen.json", "*/*.json"]
)
def test_records_that_can_be_recomputed_are(project, lake, dna, pattern, content):
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
    assert dna("run", "--json").json["datasets"][0]["state"] == "unchanged"


def test_sql_leaves_out_a_record_that_is_damaged(project, lake, dna):
    path = max(lake.glob("dna/records/*.json"))
    path.write_text("{")
    said = dna("sql", "FROM dnas", "--json")
    assert (said.code, len(said.json)) == (0, 2)
    assert said.names(path, "`dna run`")


@pytest.mark.parametrize("content", ["{", *campaign("")])
def test_a_damaged_commit_blocks_its_own_dataset_alone(project, lake, dna, content):
    commit = lake / "datasets" / "d0" / "commits" / "00000001.json"
    commit.write_text(content)
    write_image(project / "d1" / "new.png", 99)
    said = dna("run", "--json")
    assert said.code == 3
    first, *others = said.json["datasets"]
    assert str(commit) in first["problem"]
    assert first["problem_kind"] == "failed"
    assert [(one["n_images"], one["problem"]) for one in others] == [(11, None), (10, None)]
    assert said.json["pairs"]["builtin"]["left_out"] == ["d0"]
    assert said.json["problems"] == []
    assert dna("matrix").code == 0
    said = dna("run")
    assert str(commit) not in said.out
    assert said.names("d0: ", commit)
    # The remedy in the message.
    shutil.rmtree(commit.parents[1])
    said = dna("run", "--json")
    assert said.code == 0
    assert said.json["datasets"][0]["fingerprints"]["builtin"]["n_images_extracted"] == 0


def test_the_status_shows_what_is_sound_beside_a_damaged_commit(project, lake, dna):
    commit = lake / "datasets" / "d0" / "commits" / "00000001.json"
    commit.write_text("{")
    said = dna("status", "--json")
    assert said.code == 3
    assert [(row["n_images"], row["dna_states"]["builtin"]) for row in said.json] == [
        (None, ""),
        (10, "current"),
        (10, "current"),
    ]
    assert [row["problem"] is None for row in said.json] == [False, True, True]
    said = dna("status")
    assert said.code == 3
    assert said.names("d0: ", commit)


def test_a_damaged_commit_that_is_past_stops_no_run(changed, dna):
    commit = changed / "data" / "lake" / "datasets" / "d0" / "commits" / "00000001.json"
    commit.write_text("{")
    (changed / "elsewhere").rename(changed / "d2")
    assert dna("run").code == 0
    said = dna("compare", "d0@-1", "d0")
    assert said.code == 1
    assert said.error == "lake.damaged"
    assert said.names(commit)


@pytest.mark.parametrize(
    ("pattern", "size", "remedy"),
    [
        ("partials/*/blocks/*.parquet", 700, ""),
        ("partials/*/images/*.parquet", 0, ""),
        ("ranges/builtin/*.parquet", 100, "`dna calibrate builtin`"),
        ("dna/covariance/*.parquet", 700, "`dna run`"),
        ("distances/layers/*.parquet", 700, "`dna run`"),
    ],
)
def test_the_doctor_finds_a_damaged_file(project, lake, dna, pattern, size, remedy):
    path = damaged(lake, pattern, size)
    said = dna("doctor")
    assert said.code == 1
    assert any(str(path) in line and remedy in line for line in said.out.splitlines() if line.startswith("BAD"))


def test_the_doctor_finds_damaged_records(changed, dna):
    records = changed / "data" / "lake"
    commit, record = records / "datasets" / "d0" / "commits" / "00000001.json", max(records.glob("dna/records/*"))
    for path in (commit, record):
        path.write_text("{")
    said = dna("doctor", "--json")
    assert said.code == 1
    assert any("d0" in row["what"] and str(commit) in row["message"] for row in said.json if not row["ok"])


@pytest.mark.campaign
def test_the_doctors_remedy_for_lost_partials_restores_them(project, lake, dna):
    shutil.rmtree(lake / "partials")
    said = dna("doctor", "--json")
    assert said.code == 1
    bad = [row for row in said.json if not row["ok"]]
    assert [row["what"].split()[-1] for row in bad] == ["d0", "d1", "d2"]
    for record in lake.glob("dna/records/*.json"):
        assert any(str(record) in row["message"] for row in bad)
        record.unlink()
    assert dna("run").code == 0
    assert dna("doctor").code == 0


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"[]"])
def test_the_doctor_finds_a_damaged_note_and_a_run_goes_on(project, lake, dna, content):
    attempt = lake / "attempts" / "builtin" / "dna" / "d0.json"
    attempt.parent.mkdir(parents=True, exist_ok=True)
    for path in (lake / "datasets" / "d0" / "seen.json", lake / "datasets" / "d0" / "looked.json", attempt):
        path.write_bytes(content)
        bad = [row for row in dna("doctor", "--json").json if not row["ok"]]
        assert [(row["what"], str(path) in row["message"]) for row in bad] == [("notes", True)]
        assert dna("run").code == 0
        path.unlink(missing_ok=True)


@pytest.mark.parametrize("content", [b"", b"[" * 9999, *campaign(b"\xff\x00", b"[]", b"{}", b"1", b"null")])
def test_a_damaged_marker_of_the_lake_is_named(project, lake, dna, content):
    (lake / "lake.json").write_bytes(content)
    for command in ("run", "status"):
        said = dna(command)
        assert said.code == 1
        assert said.error == "lake.damaged"
        assert said.names(lake / "lake.json")
