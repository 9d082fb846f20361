"""Statements read the project, write nothing, and end when they are stopped."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import duckdb
import pytest

from dna_pipelines.errors import UserError
from dna_pipelines.storage.catalog import Catalog
from dna_pipelines.storage.layout import Layout
from dna_pipelines_tests.raising import raises

ENDLESS = "SELECT sum(hash(a.range * b.range)) FROM range(100000) a, range(100000000) b"


@pytest.fixture(params=["plain", "it's [a] *", "b\\s?", "new\nline"])
def catalog(request, tmp_path, monkeypatch):
    """A catalog in a project folder, beside which lies a file that is none of its business."""
    project = tmp_path / request.param
    (project / "data" / "lake").mkdir(parents=True)
    (project / "labels.csv").write_text("file,weather\n1.png,rain\n")
    (tmp_path / "secret.csv").write_text("key\nvalue\n")
    monkeypatch.chdir(project)
    return Catalog(Layout(project / "data" / "lake"), project)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('/etc/passwd')",
        "FROM read_csv('{outside}/secret.csv')",
        "FROM '{outside}/secret.csv'",
        "FROM read_csv('../secret.csv')",
        "FROM glob('/etc/*')",
        "CREATE VIEW v AS FROM read_text('/etc/passwd')",
        "SELECT 1; FROM read_text('/etc/passwd')",
        "COPY (SELECT 1) TO 'written.csv'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO 'written.csv'",
        "EXPLAIN /* */ ANALYZE COPY (SELECT 1) TO 'written.csv'",
        "SELECT 1; COPY (PIVOT (SELECT 1 AS x) ON x) TO 'written.csv'",
        "PREPARE p AS COPY (SELECT 1) TO 'written.csv'; EXECUTE p",
        "EXPORT DATABASE 'written'",
        "IMPORT DATABASE 'written'",
        "ATTACH 'written.duckdb' AS w",
        "COPY FROM DATABASE memory TO temp",
        "INSTALL httpfs",
        "LOAD httpfs",
        "UPDATE EXTENSIONS",
    ],
)
def test_a_statement_that_leaves_the_project_is_refused(catalog, tmp_path, sql):
    before = set(tmp_path.rglob("*"))
    with raises(UserError, "sql.not-allowed"):
        catalog.query(sql.replace("{outside}", str(tmp_path).replace("'", "''")))
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "sql", ["FROM sql", "FROM connection", "FROM self", "SET threads = 1", "RESET lock_configuration"]
)
def test_variables_and_settings_are_out_of_reach(catalog, sql):
    with raises(UserError, "sql.statement"):
        catalog.query(sql)


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("CREATE TABLE t (x INT); INSERT INTO t VALUES (1), (2); SELECT sum(x) FROM t", [(3,)]),
        ("CREATE MACRO double(x) AS 2 * x; SELECT double(4)", [(8,)]),
        ("SET VARIABLE a = 7; SELECT getvariable('a')", [(7,)]),
        ("SELECT 'copy' AS load", [("copy",)]),
        ("FROM read_csv('labels.csv')", [("1.png", "rain")]),
        ("FROM images", []),
    ],
)
def test_a_statement_reads_the_project_and_keeps_things_in_memory(catalog, sql, rows):
    assert catalog.query(sql)[1] == rows


def test_explain_and_pivot_are_statements_like_others(catalog):
    assert catalog.query("EXPLAIN ANALYZE SELECT 1")[1]
    assert catalog.query("PIVOT (SELECT 1 AS x, 2 AS y) ON x USING sum(y)") == (["1"], [(2,)])


def test_unsafe_lifts_the_bounds(catalog, tmp_path):
    outside = str(tmp_path).replace("'", "''")
    assert catalog.query(f"FROM read_csv('{outside}/secret.csv')", unsafe=True)[1] == [("value",)]
    catalog.query("COPY (SELECT 1) TO 'written.csv'", unsafe=True)
    assert Path("written.csv").exists()
    with raises(UserError, "sql.statement"):
        catalog.query("FROM sql", unsafe=True)


def test_a_statement_ends_at_its_limit(tmp_path):
    begun = time.monotonic()
    with raises(UserError, "sql.time-limit", limit_s=0.2):
        Catalog(Layout(tmp_path)).query(ENDLESS, limit_s=0.2)
    assert time.monotonic() - begun < 60


def test_ctrl_c_ends_a_statement_with_one_line(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "datasets.yaml").write_text("version: 1\ndatasets: []\n")
    command = [sys.executable, "-m", "dna_pipelines.cli.main", "--root", str(tmp_path), "sql", ENDLESS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        timer = threading.Timer(6, process.send_signal, [signal.SIGINT])
        timer.start()
        out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert out == ""
    assert len(err.strip().splitlines()) == 1


def test_the_pinned_duckdb_knows_the_types_that_are_refused():
    kinds = {statement.type.name for statement in duckdb.extract_statements("COPY t TO 'x'; ATTACH 'x'; LOAD x")}
    assert kinds == {"COPY", "ATTACH", "LOAD"}
