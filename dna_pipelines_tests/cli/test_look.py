"""Commands that show what is there: status, compare, matrix, sql."""

import json
import shutil

import duckdb
import pytest

from dna_pipelines.errors import LakeError
from dna_pipelines_tests.cli.conftest import snapshot


def test_status_shows_every_dataset(changed, dna):
    rows = {row["dataset"]: row for row in dna("status", "--json").json}
    assert {name: row["n_images"] for name, row in rows.items()} == {"d0": 11, "d1": 10, "d2": 10, "d3": 0}
    assert {name: row["dna_states"]["builtin"] for name, row in rows.items()} == {
        "d0": "current",
        "d1": "current",
        "d2": "current",
        "d3": "empty",
    }
    assert rows["d0"]["commit"] == 2
    shown = dna("status").out
    assert all(name in shown for name in ("d0", "d1", "d2", "d3", "builtin"))


def test_status_of_what_was_never_run(tmp_path, dna):
    (tmp_path / "images").mkdir()
    dna("add", "a", "images")
    said = dna("status", "--json")
    assert said.code == 0
    (row,) = said.json
    assert (row["n_images"], row["last_change"], row["dna_states"]) == (None, None, {"builtin": "missing"})
    assert dna("status").names("dna run")


def test_status_reports_a_location_that_is_missing(project, settings, dna):
    (project / "d1").rename(project / "elsewhere")
    said = dna("status", "--json")
    assert said.code == 3
    problems = {row["dataset"]: row["problem_code"] for row in said.json}
    assert problems == {"d0": None, "d1": "source.missing", "d2": None}
    shown = dna("status")
    assert (shown.code, shown.names("d1", project / "d1")) == (3, True)
    assert shown.out.split()[0] == "2"


@pytest.mark.parametrize("location", ["s3://bucket/d1", "d1-{0..9}.tar", "*.tar"])
def test_status_asks_no_store_and_lists_no_pattern(project, settings, dna, location):
    settings("uri: d1", f"uri: '{location}'")
    assert [row["problem"] for row in dna("status", "--json").json] == [None] * 3


def test_compare_gives_the_distances_and_every_layer(project, dna):
    found = dna("compare", "d0", "d1", "--json").json
    assert {"emd_bins", "emd_range", "nfd", "fd", "layers", "extractor", "n_neurons"} <= found.keys()
    assert found["emd_bins"] > 0
    assert 0 < found["emd_range"] < 1
    assert found["n_neurons"] == sum(layer["n_neurons"] for layer in found["layers"])
    weighted = sum(layer["emd_bins"] * layer["n_neurons"] for layer in found["layers"]) / found["n_neurons"]
    assert found["emd_bins"] == pytest.approx(weighted)


def test_compare_shows_people_the_same_numbers(project, dna):
    found, shown = dna("compare", "d0", "d1", "--json").json, dna("compare", "d0", "d1").out
    assert f"{found['emd_bins']:.4g} bins" in shown
    assert all(layer["layer"] in shown for layer in found["layers"])


def test_a_dataset_is_no_distance_from_itself(project, dna):
    found = dna("compare", "d0", "d0", "--json").json
    assert (found["emd_bins"], found["nfd"]) == (0, 0)


def test_it_does_not_matter_which_of_two_comes_first(project, dna):
    there, back = dna("compare", "d0", "d1", "--json").json, dna("compare", "d1", "d0", "--json").json
    assert there["emd_bins"] == pytest.approx(back["emd_bins"])
    assert there["nfd"] == pytest.approx(back["nfd"])


@pytest.mark.parametrize("before", ["d0@-1", "d0@1"])
def test_a_dataset_is_compared_with_what_it_was_before(changed, dna, before):
    found = dna("compare", before, "d0", "--json").json
    assert found["emd_bins"] > 0
    assert dna("compare", "d0@2", "d0", "--json").json["emd_bins"] == 0


def test_a_version_is_known_by_the_beginning_of_its_id(changed, dna):
    rows = dna("sql", "SELECT version_id FROM versions WHERE dataset = 'd0' AND seq = 1", "--json").json
    found = dna("compare", f"d0@{rows[0]['version_id'][:14]}", "d0", "--json").json
    assert found["emd_bins"] == dna("compare", "d0@1", "d0", "--json").json["emd_bins"]


def test_a_selection_of_layers_and_neurons_counts_only_those(project, dna):
    layers = {layer["layer"]: layer for layer in dna("compare", "d0", "d1", "--json").json["layers"]}
    first = dna("compare", "d0", "d1", "--layer", "stage1.between", "--json").json
    assert first["emd_bins"] == pytest.approx(layers["stage1.between"]["emd_bins"])
    whole = dna("compare", "d0", "d1", "--neuron", "stage1.between:0-23", "--json").json
    assert whole["emd_bins"] == pytest.approx(first["emd_bins"])
    one = dna(
        "compare", "d0", "d1", "--neuron", f"stage1.between:{layers['stage1.between']['top_neuron']}", "--json"
    ).json
    assert one["emd_bins"] == pytest.approx(layers["stage1.between"]["top_neuron_emd_bins"])
    both = dna("compare", "d0", "d1", "--layer", "stage2.between", "--neuron", "stage1.between:3,5-6", "--json").json
    assert both["n_neurons"] == layers["stage2.between"]["n_neurons"] + 3


@pytest.mark.parametrize(
    ("options", "code", "names"),
    [
        (["--layer", "stage9"], "name.layer", ["stage9", "stage1.between", "stage1.after", "stage2.between"]),
        (["--neuron", "stage9:1"], "name.layer", ["stage9"]),
        (["--neuron", "stage1.between:24"], "name.neuron", ["stage1.between", "23", "24"]),
        (["--neuron", "stage1.between"], "name.neuron-syntax", ["stage1.between"]),
        (["--neuron", "stage1.between:"], "name.neuron-syntax", ["stage1.between:"]),
        (["--neuron", "stage1.between:a-b"], "name.neuron-syntax", ["stage1.between:a-b"]),
        (["--neuron", "stage1.between:9-3"], "name.neuron-syntax", ["stage1.between:9-3"]),
        (["--extractor", "nope"], "name.extractor", ["nope", "builtin"]),
    ],
)
def test_a_wrong_selection_is_an_error_that_names_it(project, dna, options, code, names):
    refused = dna("compare", "d0", "d1", *options)
    assert (refused.code, refused.error) == (1, code)
    assert refused.names(*names)
    assert refused.out == ""


@pytest.mark.parametrize(
    ("reference", "name", "code"),
    [
        ("nope", "nope", "name.dataset"),
        ("d0@9", "9", "name.version"),
        ("d0@-9", "-9", "name.version"),
        ("d0@--1", "--1", "name.version"),
        ("d0@²", "²", "name.version"),
        ("d0@zzz", "zzz", "name.version"),
        ("@1", "", "name.dataset"),
    ],
)
def test_a_wrong_reference_is_an_error_that_names_it(project, dna, reference, name, code):
    refused = dna("compare", reference, "d1")
    assert refused.code == 1
    assert refused.error == code
    assert refused.names(f"'{name}'")


def test_an_empty_dataset_cannot_be_compared(changed, dna):
    found = dna("compare", "d3", "d0")
    assert found.code == 1
    assert found.error == "compare.empty"
    assert found.names("d3")


def test_the_matrix_holds_what_compare_says(project, dna):
    found = dna("matrix", "--json").json
    assert found["datasets"] == ["d0", "d1", "d2"]
    assert found["values"] == [list(column) for column in zip(*found["values"], strict=True)]
    assert found["values"][0][1] == pytest.approx(dna("compare", "d0", "d1", "--json").json["emd_bins"])
    assert "d2" in dna("matrix").out


@pytest.mark.parametrize("metric", ["emd_range", "nfd", "fd"])
def test_the_matrix_has_other_metrics(project, dna, metric):
    found = dna("matrix", "--metric", metric, "--json").json
    assert found["values"][0][1] == pytest.approx(dna("compare", "d0", "d1", "--json").json[metric])


@pytest.mark.parametrize("command", [["matrix"], ["compare", "d0", "d1"]])
def test_pictures_are_saved_where_one_says(project, dna, command):
    said = dna(*command, "--picture", "new/folder/picture.png")
    assert said.code == 0
    assert (project / "new" / "folder" / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_that_cannot_be_written_is_a_message(project, dna):
    (project / "folder.png").mkdir()
    said = dna("matrix", "--picture", "folder.png", "--json")
    assert said.code == 1
    assert said.error == "cli.not-written"
    assert said.facts["path"] == "folder.png"


@pytest.mark.parametrize("name", ["picture.xyz", "picture.jpg", "picture"])
@pytest.mark.parametrize(
    "command", [["matrix"], ["map"], ["compare", "d0", "d1"], ["images", "d0", "d1"], ["duplicates"]]
)
def test_pictures_of_another_format_are_refused_before_any_work(tmp_path, dna, command, name):
    """Even the missing project is not noticed."""
    said = dna(*command, "--picture", name, "--json")
    assert (said.code, said.error) == (1, "cli.picture-ending")
    assert said.facts["known"] == [".png"]
    assert list(tmp_path.iterdir()) == []


def test_a_comparison_is_shown_where_the_lake_cannot_be_written(project, dna, monkeypatch):
    def refuse(path, *_):
        raise LakeError(f"{path} cannot be written", code="lake.io", path=str(path))

    lake = project / "data" / "lake"
    before = snapshot(lake)
    with monkeypatch.context() as patched:
        for module in ("distances", "significance"):
            patched.setattr(f"dna_pipelines.storage.{module}.put_table", refuse)
        said = dna("compare", "d0", "d2", "--json")
    assert (said.code, said.names("cannot be written")) == (0, True)
    assert snapshot(lake) == before
    assert dna("compare", "d0", "d2", "--json").json == said.json


def test_sql_answers(project, dna):
    query = "SELECT dataset, count(*) AS n FROM images GROUP BY ALL ORDER BY ALL"
    assert dna("sql", query, "--json").json == [{"dataset": f"d{number}", "n": 10} for number in range(3)]
    shown = dna("sql", query)
    assert shown.out.splitlines()[0].split() == ["dataset", "n"]
    assert shown.names(3)


def test_every_view_can_be_read_and_is_valid_json(project, dna):
    listed = [line.split()[0] for line in dna("sql").out.splitlines() if not line.startswith(" ")]
    assert {"images", "quarantine", "matrix", "dna", "versions"} <= set(listed)
    for view in listed:
        found = dna("sql", f"FROM {view} LIMIT 2", "--json")
        assert found.code == 0
        assert isinstance(json.loads(found.out, parse_constant=pytest.fail), list)


def test_sql_shows_as_many_rows_as_asked_for(project, dna):
    said = dna("sql", "FROM images", "--limit", "5")
    assert len(said.out.splitlines()) == 6
    assert all(text in said.err for text in ("30 rows", "5 "))


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("SELEC 1", "SELEC"),
        ("FROM nothing", "nothing"),
        ("SELECT colour FROM images", "colour"),
        ("DELETE FROM images", ""),
        ("SELECT 'a'::INT", "'a'"),
    ],
)
def test_wrong_sql_is_an_error(project, dna, query, name):
    found = dna("sql", query)
    assert (found.code, found.error) == (1, "sql.statement")
    assert found.names(name)


@pytest.mark.parametrize("query", ["", ";", " ", "/* nothing */"])
def test_sql_that_asks_for_nothing_is_no_stack_trace(project, dna, query):
    assert dna("sql", query).code in {0, 1}


def test_numbers_that_are_none_become_null(project, dna):
    said = dna("sql", "SELECT 'nan'::DOUBLE AS a, 'inf'::DOUBLE AS b, [1.5, 'nan'::DOUBLE] AS c", "--json")
    assert said.json == [{"a": None, "b": None, "c": [1.5, None]}]


@pytest.mark.parametrize("name", ["it's", "a [b] c", "st*r", "{x,y}", "ünï", "50%"])
def test_a_project_may_lie_in_a_folder_of_any_name(project, tmp_path, dna, name):
    shutil.copytree(project, tmp_path / name)
    root = ("--root", tmp_path / name)
    assert dna(*root, "run", "--json").json["pairs"]["builtin"]["n_pairs_reused"] == 3
    assert dna(*root, "sql", "SELECT count(*) AS n FROM images", "--json").json == [{"n": 30}]
    assert len(dna(*root, "matrix", "--json").json["datasets"]) == 3


def test_looking_moves_no_fingerprint(project, dna):
    before = snapshot(project / "data" / "lake" / "dna")
    for command in (["status"], ["compare", "d0", "d1"], ["matrix"], ["sql", "FROM dna LIMIT 1"]):
        assert dna(*command).code == 0
    assert snapshot(project / "data" / "lake" / "dna") == before


def test_sql_without_a_statement_lists_the_views_in_json_too(project, dna):
    views = {view["view"]: view["columns"] for view in dna("sql", "--json").json}
    assert views["matrix"][:3] == ["extractor", "dataset_a", "dataset_b"]


def test_sql_has_the_features_of_every_image_however_the_dataset_came_by_it(project, dna):
    (project / "later").mkdir()
    for number in range(5):
        shutil.copy(project / "d0" / f"{number}.png", project / "later")
    assert dna("add", "later", "later").code == 0
    assert dna("run").code == 0
    for number in range(5, 10):
        shutil.copy(project / "d0" / f"{number}.png", project / "later")
    (project / "d0" / "twice.png").write_bytes((project / "d0" / "3.png").read_bytes())
    assert dna("run").code == 0
    query = (
        "SELECT path, signs, pooled FROM image_features WHERE dataset = '{}' AND layer = 'stage1.after' ORDER BY path"
    )
    one, other = (dna("sql", query.format(name), "--json").json for name in ("d0", "later"))
    assert [row["path"] for row in one] == [*(f"{number}.png" for number in range(10)), "twice.png"]
    assert one[:10] == other
    assert one[10]["pooled"] == one[3]["pooled"]


@pytest.mark.parametrize("command", [["run"], ["sql", "SELECT 1"]])
def test_sql_sees_the_last_commit_though_its_writer_was_killed_after_it(project, dna, command):
    seen = project / "data" / "lake" / "current" / "d0.parquet"
    before = seen.read_bytes()
    (project / "d0" / "0.png").unlink()
    assert dna("run").code == 0
    for lags in (lambda: seen.write_bytes(before), lambda: None):
        seen.unlink()
        lags()
        assert dna(*command).code == 0
        with duckdb.connect(str(project / "data" / "lake" / "catalog.duckdb"), read_only=True) as shell:
            assert shell.execute("SELECT count(*) FROM images WHERE dataset = 'd0'").fetchone() == (9,)


def test_a_copy_of_a_lake_that_cannot_be_written_answers(project, dna, monkeypatch):
    """Copying takes hard links apart."""
    lake = project / "data" / "lake"
    dna("sql", "SELECT 1")
    for path in (lake / "current").iterdir():
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data)

    def refuse(path, *_):
        raise LakeError(f"{path} cannot be written", code="lake.not-written", path=str(path))

    monkeypatch.setattr("dna_pipelines.storage.versions.replace_by_link", refuse)
    assert dna("sql", "SELECT count(*) AS n FROM images", "--json").json == [{"n": 30}]
    (lake / "current" / "d0.parquet").write_bytes((lake / "current" / "d1.parquet").read_bytes())
    assert dna("sql", "SELECT 1").error == "lake.not-written"


@pytest.mark.parametrize("writable", [True, False])
def test_a_read_only_copy_at_another_path_answers(project, dna, monkeypatch, writable):
    def refuse(catalog):
        raise LakeError(f"{catalog.database} cannot be written", code="lake.catalog-unwritable")

    monkeypatch.setattr("dna_pipelines.storage.catalog.Catalog.export", refuse)
    monkeypatch.setattr("dna_pipelines.project.current.os.access", lambda _path, _mode: writable)
    for command in (["sql", "FROM matrix"], ["matrix"], ["map"]):
        said = dna(*command)
        assert (said.code, said.error) == ((1, "lake.catalog-unwritable") if writable else (0, None))


def test_sql_explains_the_columns_of_a_view(project, dna):
    shown = " ".join(dna("sql", "--about", "layer_traits").out.split())
    rows = dna("sql", "--about", "layer_traits", "--json").json
    assert all(row["meaning"] for row in rows)
    assert all(f"{row['name']} {row['type']} {row['meaning']}" in shown for row in rows)
    assert dna("sql", "FROM images", "--about", "images").error == "cli.options-conflict"
    wrong = dna("sql", "--about", "imges")
    assert (wrong.code, wrong.error, wrong.names("imges")) == (1, "name.view", True)


def test_sql_drops_no_column(project, dna):
    refused = dna("sql", "--json", "SELECT 1 AS a, 2 AS a")
    assert refused.code == 1
    assert refused.error == "cli.column-repeated"
    assert refused.facts == {"column": "a"}
    assert dna("sql", "CREATE TABLE mine (a INTEGER)").code == 0
    answer = dna("sql", "--json", "CREATE TEMP TABLE mine AS SELECT 7 AS a; SELECT a, 'x'::BLOB AS b FROM mine")
    assert answer.json == [{"a": 7, "b": "x"}]


def test_help_shows_how_a_slice_is_written(project, dna):
    assert "NAME[weather=rain,camera!=front]" in " ".join(dna("compare", "--help").out.split())


def test_values_steer_no_terminal_and_keep_their_lines(project, dna):
    said = dna("sql", "SELECT 'one' || chr(10) || 'two' || chr(27) AS x").out
    assert [line.strip() for line in said.splitlines()][1:3] == ["one", r"two\x1b"]
