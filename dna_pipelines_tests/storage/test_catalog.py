"""The catalog: its views open in any duckdb shell, and every column says what it means."""

import duckdb
import pytest

from dna_pipelines.errors import UserError
from dna_pipelines.storage.catalog import Catalog, _meanings, meaning
from dna_pipelines.storage.distances import LAYER_SCHEMA
from dna_pipelines.storage.layout import Layout
from dna_pipelines.storage.manifest_table import SCHEMA as MANIFEST_SCHEMA


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


def test_a_view_may_mean_something_else_by_a_column(catalog):
    (of_neurons,) = (column for column in catalog.columns("neuron_significance") if column.name == "p")
    (of_verdict,) = (column for column in catalog.columns("significance") if column.name == "p")
    assert (of_neurons.type, of_verdict.type) == ("DOUBLE[]", "DOUBLE")
    assert of_neurons.meaning != of_verdict.meaning


def test_the_file_for_duckdb_shells_says_what_columns_mean(catalog):
    catalog.export()
    with duckdb.connect(str(catalog.database), read_only=True) as shell:
        told = dict(
            shell.execute("SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'dna'").fetchall()
        )
        assert shell.execute("SELECT count(*) FROM images").fetchone() == (0,)
    assert told == {column.name: column.meaning for column in catalog.columns("dna")}


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


def test_an_unknown_view_is_told_with_those_there_are(catalog):
    with pytest.raises(UserError, match=r"there is no view 'nope'; there are: .*images"):
        catalog.columns("nope")
