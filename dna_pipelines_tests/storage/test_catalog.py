"""The catalog: its views open in any duckdb shell, and every column says what it means."""

import json
import re

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dna_pipelines.comparison import LayerMeasures, Selection, emd_bins, layer_distances, nfd
from dna_pipelines.distributions import Histogram, Layer, Layers, Moments
from dna_pipelines.errors import DamagedFileWarning, UserError
from dna_pipelines.storage import Commit, Lake
from dna_pipelines.storage.catalog import Catalog, _meanings, meaning
from dna_pipelines.storage.distances import LAYER_SCHEMA
from dna_pipelines.storage.layout import Layout
from dna_pipelines.storage.manifest_table import SCHEMA as MANIFEST_SCHEMA
from dna_pipelines.storage.records import ShardRecord
from dna_pipelines_tests.raising import raises


@pytest.fixture
def catalog(tmp_path):
    return Catalog(Layout(tmp_path))


def test_every_column_has_a_meaning_and_every_meaning_a_column(catalog):
    columns = {view: [column.name for column in catalog.columns(view)] for view, _, _ in catalog.views()}
    shown = {name for names in columns.values() for name in names}
    shown |= {f"{view}.{name}" for view, names in columns.items() for name in names}
    shown |= {*MANIFEST_SCHEMA.names, *LAYER_SCHEMA.names}
    assert set(_meanings()) <= shown
    for name in (*MANIFEST_SCHEMA.names, *LAYER_SCHEMA.names):
        assert meaning(name)


def test_an_alias_is_documented_and_its_column_is_in_the_same_view(catalog):
    aliases = {
        (view, column.name): column.meaning.removeprefix("alias of ").removesuffix(", removed in the next release")
        for view, _, names in catalog.views()
        for column in catalog.columns(view)
        if column.meaning.startswith("alias of ")
        for known in [names]
        if column.meaning.removeprefix("alias of ").partition(",")[0] in known
    }
    assert len(aliases) == sum(
        column.meaning.startswith("alias of ") for view, _, _ in catalog.views() for column in catalog.columns(view)
    )
    assert aliases["significance", "more_than_chance"] == "significant"
    assert aliases["neuron_significance", "n_resamples"] == "n_permutations"
    assert len(aliases) == 11


def test_a_view_may_mean_something_else_by_a_column(catalog):
    (of_neurons,) = (column for column in catalog.columns("neuron_significance") if column.name == "p")
    (of_pair,) = (column for column in catalog.columns("significance") if column.name == "p")
    assert (of_neurons.type, of_pair.type) == ("DOUBLE[]", "DOUBLE")
    assert of_neurons.meaning != of_pair.meaning


def test_the_file_for_duckdb_shells_says_what_columns_mean(catalog):
    catalog.export()
    with duckdb.connect(str(catalog.database), read_only=True) as shell:
        comments = dict(
            shell.execute("SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'dna'").fetchall()
        )
        assert shell.execute("SELECT count(*) FROM images").fetchone() == (0,)
    assert comments == {column.name: column.meaning for column in catalog.columns("dna")}


def test_it_is_written_again_only_where_it_is_not_as_it_should_be(catalog):
    catalog.export()
    script, before = catalog.database.with_suffix(".sql"), catalog.database.stat().st_ino
    catalog.export()
    assert catalog.database.stat().st_ino == before
    text = script.read_text(encoding="utf-8")
    script.write_text("-- of an older version" + text, encoding="utf-8")
    catalog.export()
    assert catalog.database.stat().st_ino != before
    assert script.read_text(encoding="utf-8") == text


def test_an_unknown_view_is_an_error_that_lists_the_views(catalog):
    with raises(UserError, "name.view", view="nope", known=[name for name, _, _ in catalog.views()]):
        catalog.columns("nope")


@pytest.fixture(params=["dataset=evil", "neuron=1"])
def beside(request, tmp_path):
    """A lake below a folder that looks like a Hive partition, with a commit and neuron distances."""
    lake = Lake(tmp_path / request.param / "lake")
    lake.prepare()
    commit(lake, n_shards=3)
    path = lake.layout.root / "distances" / "neurons" / "x.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    row = {"dna_a": "a", "dna_b": "b", "metric": "emd_bins", "layer": "l", "values": [1.0]}
    pq.write_table(pa.Table.from_pylist([row]), path)
    names = lake.layout.root / "names" / "k.parquet"
    names.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        pa.table({"comparability_key": ["k"], "layer": ["l"], "neuron": pa.array([7], pa.int32()), "name": ["wide"]}),
        names,
    )
    return Catalog(lake.layout)


def commit(lake, n_shards):
    shards = tuple(
        ShardRecord(shard_id=f"{number:024x}", n_images=1, parents=(), smallest=f"{number:064x}")
        for number in range(n_shards)
    )
    facts = {"n_quarantined": 0, "n_ignored": 0, "n_unsettled": 0, "n_groups": 0, "n_bytes": 1}
    texts = {"uri": "u", "version_id": "v", "manifest_id": "m", "raw_version": "r", "settings": "s"}
    made = Commit(
        dataset="a", seq=1, n_images=n_shards, shards=shards, created_at="2026-01-01T00:00:00", **facts, **texts
    )
    path = lake.layout.commit("a", 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(made.to_bytes())
    return path.stat().st_size


def test_a_folder_above_that_looks_like_a_column_is_none(beside):
    (version,) = beside.rows("SELECT dataset, n_images FROM versions")
    assert version == {"dataset": "a", "n_images": 3}
    assert beside.rows("SELECT neuron, name FROM _neuron_names") == [{"neuron": 7, "name": "wide"}]
    beside.export()
    with duckdb.connect(str(beside.database), read_only=True) as shell:
        assert shell.execute("SELECT dataset FROM versions").fetchall() == [("a",)]
        assert shell.execute("SELECT neuron FROM _neuron_names").fetchall() == [(7,)]
        assert "evil" not in str(shell.execute("FROM _neuron_rows").fetchall())


def test_a_commit_of_very_many_shards_is_read(tmp_path):
    lake = Lake(tmp_path)
    lake.prepare()
    assert commit(lake, n_shards=110_000) > 2**24
    assert Catalog(lake.layout).rows("SELECT count(*) AS n FROM shards") == [{"n": 110_000}]


def needed(catalog, sql):
    """The views that a connection for a statement has."""
    with catalog.connect(sql) as connection:
        found = connection.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal AND schema_name = 'main'")
        return {name for (name,) in found.fetchall()}


@pytest.mark.parametrize(
    ("sql", "views"),
    [
        ("SELECT 1", set()),
        ("FROM matrix", {"matrix", "layer_distances", "_layer_rows", "_current_dnas"}),
        ('SELECT count(*) FROM "Datasets"', {"datasets", "shards", "versions", "_registry", "_commits"}),
        ("WITH x AS (FROM shards) FROM x", {"shards", "versions", "_commits"}),
    ],
)
def test_a_statement_makes_only_the_views_it_needs(catalog, sql, views):
    assert needed(catalog, sql) == views
    catalog.query(sql)


@pytest.mark.parametrize(
    "sql", ["SHOW TABLES", " desc;", "FROM duckdb_views()", "FROM information_schema.tables", "pragma show_tables"]
)
def test_a_statement_that_lists_what_there_is_sees_every_view(catalog, sql):
    assert needed(catalog, sql) >= {name for name, _, _ in catalog.views()}
    assert "image_features" in {value for row in catalog.query(sql)[1] for value in row if isinstance(value, str)}


def test_a_table_that_is_named_while_a_statement_runs_is_found(catalog):
    assert catalog.query("FROM query_table('ima' || 'ges')")[1] == []
    assert catalog.query("SELECT 1; FROM query('FROM ima' || 'ges')")[1] == []
    assert catalog.query("SELECT count(*) FROM steered('rain')")[1] == [(0,)]
    with raises(UserError, "sql.statement", duckdb_error="CatalogException") as caught:
        catalog.query("FROM imagez")
    # DuckDB names a view of a similar name.
    assert {"imagez", "images"} <= set(re.findall(r"\w+", caught.value.facts["problem"]))


def test_what_comes_first_of_several_statements_happens_once(catalog, tmp_path):
    file = tmp_path / "kept.duckdb"
    catalog.query(f"ATTACH '{file}' AS kept; CREATE TABLE kept.t (x INT)", unsafe=True)
    with raises(UserError, "sql.statement"):
        catalog.query(f"ATTACH '{file}' AS kept; INSERT INTO kept.t VALUES (1); FROM nope", unsafe=True)
    with duckdb.connect(str(file)) as kept:
        assert kept.execute("SELECT count(*) FROM t").fetchone() == (1,)


def test_a_damaged_table_hinders_only_what_reads_it(tmp_path):
    path = tmp_path / "partials" / "k" / "images" / "s.parquet"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PAR1 no longer")
    catalog = Catalog(Layout(tmp_path))
    assert catalog.rows("SELECT count(*) AS n FROM versions") == [{"n": 0}]
    assert "image_features" in [name for name, _, _ in catalog.views()]
    with pytest.warns(DamagedFileWarning) as caught:
        assert catalog.rows("FROM image_features") == []
    assert [warning.message.path for warning in caught] == [str(path)]


LAYERS = Layers((Layer("a", 2), Layer("b", 2)))


def measures(without):
    """Of four neurons, some of which have no values; those of the last have one image, so that they have no NFD."""
    counts = np.zeros((4, 10), np.uint64)
    counts[np.arange(4), np.arange(4)] = 50
    counts[without] = 0
    none = np.zeros(4, np.uint64)
    histogram = Histogram(counts, *[none] * 5, np.zeros(4, np.float32), np.zeros(4, np.float32))
    return histogram, Moments(np.array([9, 9, 9, 1], np.uint64), np.arange(4.0), np.ones(4))


@pytest.mark.parametrize("without", [[], [0], [0, 1], [0, 1, 2, 3]])
@pytest.mark.parametrize("older", [False, True])
def test_a_neuron_without_values_counts_in_the_matrix_as_in_a_comparison(tmp_path, without, older):
    lake = Lake(tmp_path)
    lake.prepare()
    other = measures([])[0]
    other.counts[:] = other.counts[:, ::-1]
    known = {"x": (other, measures([])[1]), "y": measures(without)}

    def load(identity, layer):
        part = LAYERS.slices[layer]
        histogram, moments = (
            {field: value[part] for field, value in vars(one).items() if isinstance(value, np.ndarray)}
            for one in known[identity]
        )
        return LayerMeasures(Histogram(**histogram), Moments(**moments))

    lake.distances.put_layers("k", layer_distances([("x", "y")], LAYERS, load))
    if older:
        (path,) = (tmp_path / "distances" / "layers").glob("*.parquet")
        table = pq.read_table(path).drop_columns(["n_emd", "n_nfd"])
        path.unlink()
        pq.write_table(table, path)
    current = [{"extractor": "e", "comparability_key": "k", "dataset": name, "dna_id": name} for name in "xy"]
    lake.layout.current_dnas.parent.mkdir(parents=True, exist_ok=True)
    lake.layout.current_dnas.write_text(json.dumps(current))
    row = Catalog(lake.layout).rows("FROM matrix WHERE dataset_a = 'x' AND dataset_b = 'y'")[0]
    everything = Selection.everything(LAYERS)
    (hx, mx), (hy, my) = known["x"], known["y"]
    expected = everything.mean(emd_bins(hx.counts, hy.counts)), everything.mean(nfd(mx, my))
    found = [np.nan if row[name] is None else row[name] for name in ("emd_bins", "nfd")]
    if not older:
        np.testing.assert_allclose(found, expected)
    # A table of before does not tell how many neurons of a layer have values, but whether any has.
    elif len(without) != 1:
        assert found[0] == pytest.approx(expected[0], nan_ok=True)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00", b"[]", b"{}", b'{"files": 1}', b'{"files": [[]]}', b"[" * 9999]
)
def test_damaged_notes_count_as_missing(tmp_path, content):
    lake = Lake(tmp_path)
    lake.prepare()
    for path in (lake.layout.drawn("e"), lake.layout.complete_pairs("k"), lake.layout.scanned):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert lake.distances.drawn("e") != "id"
    assert lake.distances.complete("k") == (set(), set())
    assert lake.versions.scanned().keys() <= {"files"}
    lake.versions.note_scanned("a", 1.0)
    assert lake.versions.scanned()["a"] == 1.0
