"""The commands select, inspect and map."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dna_pipelines.analysis.compare import compare_pair
from dna_pipelines.analysis.selections.goal import LearningGoal
from dna_pipelines.analysis.selections.learned import learn_selection
from dna_pipelines.analysis.selections.stored import save_selection
from dna_pipelines.errors import NothingToCompare, UserError
from dna_pipelines.extraction.networks.builtin import TAPS
from dna_pipelines.project.image_set import resolve_image_set
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines_tests.cli.conftest import LONG_AGO, invoke, made_once, snapshot
from dna_pipelines_tests.raising import raises
from dna_pipelines_tests.toy import toy_project

N_LABELLED = 80


def save(dna, *options, name="mine"):
    saved = dna("select", "save", name, *options)
    assert saved.code == 0, saved.err
    return saved


def emds(dna, *options):
    return dna("matrix", *options, "--json").json["values"]


def test_a_selection_by_hand_has_the_effect_of_the_options_of_compare(project, dna):
    save(dna, "--layer", "stage2.between", "--neuron", "stage1.between:0,3")
    assert [(row["version"], row["n_chosen"]) for row in dna("select", "list", "--json").json] == [(1, 34)]
    steered = emds(dna, "--selection", "mine")
    chosen = dna("compare", "d0", "d1", "--layer", "stage2.between", "--neuron", "stage1.between:0,3", "--json").json
    assert steered[0][1] == pytest.approx(chosen["emd_bins"], rel=1e-9)
    for metric in ("nfd", "emd_range", "js", "ks", "psi"):
        if metric not in chosen:
            options = ("--layer", "stage2.between", "--neuron", "stage1.between:0,3", "--metric", metric, "--json")
            chosen[metric] = dna("compare", "d0", "d1", *options).json["metric"]["value"]
        assert emds(dna, "--selection", "mine", "--metric", metric)[0][1] == pytest.approx(chosen[metric], rel=1e-9)


def test_weights_come_from_a_table(project, dna):
    (project / "w.csv").write_text("layer,neuron,weight\nstage1.between,0,1\nstage1.between,3,3\n")
    save(dna, "--weights", "w.csv")
    one, other = (
        dna("compare", "d0", "d1", "--neuron", f"stage1.between:{neuron}", "--json").json["emd_bins"]
        for neuron in (0, 3)
    )
    assert emds(dna, "--selection", "mine")[0][1] == pytest.approx((one + 3 * other) / 4, rel=1e-9)
    shown = dna("select", "show", "mine", "--json").json
    assert shown["how"]["file"] == "w.csv"
    assert shown["weights"]["stage1.between"][:4] == [1, 0, 0, 3]
    dna(
        "sql",
        "--unsafe",
        "COPY (SELECT 'stage1.between' AS layer, unnest([0, 3]) AS neuron, unnest([1.0, 3.0]) AS weight) TO 'w.parquet'",
    )
    # Spreadsheets write a byte order mark.
    (project / "w.csv").write_bytes(b"\xef\xbb\xbf" + (project / "w.csv").read_bytes())
    save(dna, "--weights", "w.csv", name="spreadsheet")
    assert dna("select", "show", "spreadsheet", "--json").json["weights"] == shown["weights"]
    save(dna, "--weights", "w.parquet", name="other")
    assert dna("select", "show", "other", "--json").json["weights"] == shown["weights"]


@pytest.mark.parametrize(
    ("table", "code", "facts"),
    [
        ("layer,neuron\nstage1.between,0\n", "selection.missing-columns", {"columns": ["weight"]}),
        ("layer,neuron,weight\nstage1.between,0,1\nstage9,0,1\n", "name.layer", {"row": 2, "name": "stage9"}),
        ("layer,neuron,weight\nstage1.between,24,1\n", "name.neuron", {"row": 1, "neuron": 24, "n_neurons": 24}),
        ("layer,neuron,weight\nstage1.between,0,nan\n", "selection.weight-range", {"row": 1}),
        ("layer,neuron,weight\nstage1.between,0,-1\n", "selection.weight-range", {"row": 1, "weight": -1}),
        ("layer,neuron,weight\nstage1.between,0,inf\n", "selection.weight-range", {"row": 1, "weight": np.inf}),
        ("layer,neuron,weight\nstage1.between,0,1\nstage1.between,x,1\n", "selection.weight-row", {"row": 2}),
        (
            "layer,neuron,weight\nstage1.between,0,1\nstage1.between,0,2\n",
            "selection.duplicate-neuron",
            {"row": 2, "layer": "stage1.between", "neuron": 0},
        ),
        ("layer,neuron,weight\nstage1.between,0,0\n", "selection.no-weight", {}),
        (None, "selection.unreadable-file", {}),
    ],
)
def test_a_wrong_table_is_an_error_that_names_the_row(project, dna, table, code, facts):
    if table is not None:
        (project / "w.csv").write_text(table)
    with raises(UserError, code, path="w.csv", **facts):
        save_selection(ProjectFolder(project), "mine", weights=Path("w.csv"))
    failed = dna("select", "save", "mine", "--weights", "w.csv")
    assert (failed.code, failed.error) == (1, code)
    assert failed.names("w.csv")
    assert dna("select", "list", "--json").json == []


@pytest.mark.parametrize(
    ("arguments", "code", "names"),
    [
        (["save", "mine"], "selection.no-neurons", []),
        (["save", "a b", "--layer", "stage1.between"], "selection.bad-name", ["a b"]),
        (["save", "../x", "--layer", "stage1.between"], "selection.bad-name", ["../x"]),
        (["show", "nope"], "name.selection", ["'nope'"]),
        (["remove", "nope"], "name.selection", ["'nope'"]),
        (["learn", "x", "--datasets", "d0"], "selection.goal", []),
        (["learn", "x", "--datasets", "d0", "--ignore", "weather"], "name.column", ["'weather'"]),
        (["learn", "x", "--datasets", "d0", "--respond-to", "weather!=sun"], "selection.attribute-syntax", ["weather"]),
        (["learn", "x", "--datasets", "d0", "--respond-to", "weather=sun"], "name.column", ["'weather'"]),
    ],
)
def test_a_wrong_selection_is_an_error_that_names_it(project, dna, arguments, code, names):
    failed = dna("select", *arguments)
    assert (failed.code, failed.error) == (1, code)
    assert failed.names(*names)


def test_versions_are_never_changed_and_outlive_the_removal(project, dna):
    save(dna, "--layer", "stage1.between")
    first = emds(dna, "--selection", "mine")
    assert "mine@2" in save(dna, "--layer", "stage4.between").out
    assert emds(dna, "--selection", "mine") != first
    assert emds(dna, "--selection", "mine@1") == first
    dna("select", "remove", "mine")
    assert dna("select", "list", "--json").json == []
    assert emds(dna, "--selection", "mine@1") == first
    removed = dna("matrix", "--selection", "mine", "--json")
    assert (removed.code, removed.error) == (1, "name.selection-removed")
    assert removed.facts == {"name": "mine", "known": [1, 2]}
    assert "mine@4" in save(dna, "--layer", "stage2.between").out
    missing = dna("matrix", "--selection", "mine@3", "--json")
    assert missing.error == "name.selection-version"
    assert missing.facts == {"name": "mine", "version": "3", "known": [1, 2, 4]}


def test_distances_under_a_selection_are_computed_once(project, dna):
    save(dna, "--layer", "stage1.between")
    emds(dna, "--selection", "mine")
    lake = project / "data" / "lake"
    before = snapshot(lake)
    emds(dna, "--selection", "mine")
    assert snapshot(lake) == before


def test_there_is_no_fd_of_a_selection(project, dna):
    save(dna, "--layer", "stage1.between")
    failed = dna("matrix", "--selection", "mine", "--metric", "fd")
    assert (failed.code, failed.out, failed.error) == (1, "", "selection.fd")


def test_sql_weighs_neurons_as_the_command_does(project, dna):
    save(dna, "--layer", "stage2.between", "--neuron", "stage1.between:0,3")
    dna("compare", "d0", "d1")
    rows = dna("sql", "SELECT distance FROM steered('mine') WHERE metric = 'emd_bins'", "--json").json
    # Distances of neurons are stored in single precision.
    assert rows == [{"distance": pytest.approx(emds(dna, "--selection", "mine")[0][1], rel=1e-6)}]
    stored = dna("sql", "SELECT DISTINCT selection, version FROM steered_matrix", "--json").json
    assert stored == [{"selection": "mine", "version": 1}]
    assert dna("sql", "SELECT n_chosen FROM selections WHERE is_current", "--json").json == [{"n_chosen": 34}]
    assert dna("sql", "FROM steered('nope')", "--json").json == []


def test_inspect_shows_every_layer_and_agrees_with_sql(project, dna):
    inspected = dna("inspect", "d0", "--json").json
    assert [layer["layer"] for layer in inspected["layers"]] == list(TAPS)
    assert (inspected["n_images"], inspected["reference"]) == (10, "d0")
    last = inspected["layers"][-1]
    assert 1 <= last["participation_ratio"] <= last["effective_rank"] <= 9
    query = (
        "SELECT layer, t.n_dead, n_silent, zero_share, t.clipped_share FROM layer_traits t JOIN dnas d USING (dna_id) "
        "WHERE d.dataset = 'd0' ORDER BY layer"
    )
    by_name = sorted(inspected["layers"], key=lambda layer: layer["layer"])
    for row, layer in zip(dna("sql", query, "--json").json, by_name, strict=True):
        assert row == {name: pytest.approx(layer[name]) if name != "layer" else layer[name] for name in row}
    shown = dna("inspect", "d0")
    assert "stage4.between" in shown.out
    assert shown.names("stage4.between", 10, 96)


@pytest.mark.usefixtures("changed")
def test_inspect_of_two_lists_the_neurons_that_changed(dna):
    changed = dna("inspect", "d0@-1", "d0", "--json").json
    assert (changed["before"]["n_images"], changed["after"]["n_images"]) == (10, 11)
    assert set(changed["changes"]) == {"newly dead", "newly alive", "newly saturated", "no longer saturated"}
    alike = dna("inspect", "d0", "d0", "--json").json["changes"]
    assert not any(alike.values())
    assert "newly alive" in dna("inspect", "d0@-1", "d0").out


def test_the_map_is_of_the_matrix(project, dna):
    value = dna("map", "--from-mean", "--json").json
    matrix = np.array(emds(dna))
    positions = np.array([[dataset["x"], dataset["y"]] for dataset in value["datasets"]])
    # Three points always fit a plane if their distances satisfy the triangle inequality, as EMD does.
    np.testing.assert_allclose(np.sqrt(((positions[:, None] - positions) ** 2).sum(axis=2)), matrix, rtol=1e-6)
    assert value["stress"] == pytest.approx(0, abs=1e-6)
    assert value["joins"][0]["height"] == pytest.approx(matrix[matrix > 0].min())
    means = {dataset["dataset"]: dataset["from_mean_bins"] for dataset in value["datasets"]}
    assert all(0 < distance < matrix.max() for distance in means.values())
    assert "100%" in dna("map").out


def test_a_matrix_without_current_datasets_is_an_error_whatever_the_metric(project, dna):
    save(dna, "--layer", "stage1.between")
    file = project / "data" / "datasets.yaml"
    file.write_text(file.read_text().replace("d0", "e0").replace("d1", "e1").replace("d2", "e2"))
    for command in ("matrix", "map"):
        for metric in ("ks", "nfd"):
            failed = dna(command, "--selection", "mine", "--metric", metric)
            assert failed.code == 1
            assert failed.error in ("api.no-fingerprint", "compare.too-few-datasets")


def test_how_far_datasets_are_from_their_mean_is_over_the_neurons_that_count(project, dna):
    def means(*options):
        datasets = dna("map", "--from-mean", *options, "--json").json["datasets"]
        return {dataset["dataset"]: dataset["from_mean_bins"] for dataset in datasets}

    whole, (first, n) = means(), (f"{TAPS[0]}", 24)
    save(dna, "--layer", first)
    save(dna, *(f"--layer={name}" for name in TAPS[1:]), name="others")
    own, others = means("--selection", "mine", "--metric", "js"), means("--selection", "others")
    for name, distance in whole.items():
        assert distance == pytest.approx((n * own[name] + (240 - n) * others[name]) / 240)


def test_a_dataset_without_any_such_distance_is_left_out_of_the_map_and_named(project, dna):
    (project / "single").mkdir()
    shutil.copy(project / "d0" / "0.png", project / "single")
    (project / "more").mkdir()
    for number in range(4):
        shutil.copy(project / "d1" / f"{number}.png", project / "more")
    dna("add", "single", "single")
    dna("add", "more", "more")
    assert dna("run").code == 0
    shown = dna("map", "--metric", "fd")
    assert shown.code == 0
    assert shown.names("fd", "single")
    value = dna("map", "--metric", "fd", "--json").json
    assert value["left_out"] == ["single"]
    assert [dataset["dataset"] for dataset in value["datasets"]] == ["d0", "d1", "d2", "more"]


def test_the_map_has_a_picture_options_and_errors(project, dna):
    save(dna, "--layer", "stage1.between")
    value = dna("map", "--selection", "mine", "--clusters", "2", "--picture", "map.png", "--json").json
    assert {dataset["cluster"] for dataset in value["datasets"]} == {0, 1}
    assert value["selection"] == "mine@1"
    with Image.open(project / "map.png") as picture:
        assert picture.width > 1000
    failed = dna("map", "--clusters", "9", "--json")
    assert (failed.code, failed.error) == (1, "compare.n-clusters")
    assert failed.facts == {"n_datasets": 3, "n_clusters": 9}


def test_a_map_needs_three_datasets(tmp_path, dna):
    toy_project(tmp_path, {"a": {"0.png": 0, "1.png": 1}, "b": {"2.png": 2, "3.png": 3}})
    assert dna("run").code == 0
    failed = dna("map", "--json")
    assert (failed.code, failed.error) == (1, "compare.too-few-datasets")
    assert failed.facts == {"metric": "emd_bins", "extractor": "toy", "n_datasets": 2, "at_least": 3}


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """A project of one dataset whose images are bright or dark, red or blue, and have a number each."""

    def make(root):
        rng, lines = np.random.default_rng(5), ["path,light,colour,number"]
        for number in range(N_LABELLED):
            bright, red = number % 2, number // 2 % 2
            pixels = rng.integers(0, 60, (24, 24, 3)) + 120 * bright
            pixels[..., 0 if red else 2] += 60
            path = root / "a" / f"{number}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(path)
            os.utime(path, (LONG_AGO, LONG_AGO))
            lines.append(f"{number}.png,{'bright' if bright else 'dark'},{'red' if red else 'blue'},{number}")
        (root / "table.csv").write_text("\n".join(lines) + "\n")
        (root / "data").mkdir()
        entries = "datasets:\n- {name: a, uri: a, metadata: {uri: table.csv}}\n"
        (root / "data" / "datasets.yaml").write_text(f"workers: 2\n{entries}")
        return invoke("--root", root, "run", "--json")

    return made_once(tmp_path_factory, "labelled", make)[0]


def test_learning_responds_to_one_attribute_and_ignores_another(labelled, tmp_path, monkeypatch, dna):
    root = shutil.copytree(labelled, tmp_path / "copy")
    monkeypatch.chdir(root)
    learned = dna("select", "learn", "colour", "--respond-to", "colour=red", "--datasets", "a", "--json")
    assert learned.code == 0, learned.err
    # Every image is extracted once for each column, and the column of numbers is not an attribute.
    assert learned.names(160, "'number'")
    how = learned.json["how"]
    roles = {contrast["role"]: contrast for contrast in how["contrasts"]}
    assert roles.keys() == {"target", "other", "noise"}
    again = dna("select", "learn", "dark", "--ignore", "light", "--datasets", "a", "--json")
    assert "160" not in again.err
    pairs = ("a[light=bright]", "a[light=dark]"), ("a[colour=red]", "a[colour=blue]")
    project = ProjectFolder(root)
    (plain_light, plain_colour), (light, colour), (ignored, kept) = (
        [compare_pair(project, *pair, selection=name).to_json()["emd_bins"] for pair in pairs]
        for name in (None, "colour", "dark")
    )
    assert roles["target"]["emd_bins_equal"] == pytest.approx(plain_colour)
    assert roles["target"]["emd_bins_steered"] == pytest.approx(colour, rel=1e-5)
    assert colour / light > 3 * plain_colour / plain_light
    assert ignored / kept < 0.5 * plain_light / plain_colour
    ratio = dna(
        "select",
        "learn",
        "few",
        "--respond-to",
        "light=dark",
        "--datasets",
        "a",
        "--method",
        "ratio",
        "--share",
        "0.05",
    )
    assert ratio.code == 0
    shown = dna("select", "show", "few", "--json").json
    assert shown["n_chosen"] == pytest.approx(0.05 * 240, abs=2)
    assert {weight for weights in shown["weights"].values() for weight in weights} == {0, 1}
    assert "light=dark" in dna("select", "list").out
    unusable = dna("select", "learn", "x", "--ignore", "light", "--datasets", "a", "--against", "number", "--json")
    assert (unusable.code, unusable.error) == (1, "selection.unusable-column")
    assert unusable.facts == {"reference": "a", "column": "number", "n_values": 0, "at_least": 2, "at_most": 12}
    within = dna("select", "learn", "x", "--ignore", "light", "--datasets", "a", "--within", "colour", "--json")
    assert (within.code, within.error, within.facts) == (1, "selection.nothing-to-keep", {"ignored": ["light"]})
    with raises(UserError, "selection.no-datasets"):
        learn_selection(project, "x", LearningGoal((), ignore=("light",)))
    few = LearningGoal(("a[number=1]",), respond_to=("colour=red",))
    with raises(NothingToCompare, "compare.no-image-matches", reference="a[colour=red,number=1]"):
        learn_selection(project, "x", few)
    few = LearningGoal(("a",), respond_to=("number=1",))
    sizes = {"n_with": 1, "n_without": N_LABELLED - 1, "at_least": 16}
    with raises(NothingToCompare, "selection.too-few-images", reference="a", condition="number=1", **sizes):
        learn_selection(project, "x", few)


def test_learning_within_a_column_measures_every_stratum(labelled, tmp_path):
    project = ProjectFolder(shutil.copytree(labelled, tmp_path / "copy"))
    goal = LearningGoal(("a",), respond_to=("colour=red",), within="light")
    learned = learn_selection(project, "x", goal)
    contrasts = learned.record.how["contrasts"]
    targets = {contrast["what"] for contrast in contrasts if contrast["role"] == "target"}
    assert targets == {f"a[light={value}]: colour=red" for value in ("bright", "dark")}
    assert learned.record.how["versions"] == {"a": resolve_image_set(project, "a").id}
    assert learned.n_images_extracted == N_LABELLED


def test_a_learned_selection_fits_only_dnas_that_were_measured_the_same_way(labelled, tmp_path, monkeypatch, dna):
    root = shutil.copytree(labelled, tmp_path / "copy")
    monkeypatch.chdir(root)
    dna("select", "learn", "mine", "--respond-to", "colour=red", "--datasets", "a")
    selections = root / "data" / "lake" / "selections"
    (path,) = (selections / "records" / "mine").glob("*.json")
    record = json.loads(path.read_text())
    del record["checksum"]
    path.write_text(json.dumps({**record, "comparability_key": "another"}))
    assert dna("matrix", "--selection", "mine").error == "selection.other-key"
    (selections / "weights" / f"{record['weights_id']}.parquet").unlink()
    assert dna("select", "show", "mine").error == "lake.weights"
