"""Selections, inspect and map: the commands that steer, look at one dataset, and at all."""

import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from dna_pipelines.analysis.compare import compare_pair
from dna_pipelines.extraction.networks.builtin import TAPS
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines_tests.cli.conftest import LONG_AGO, invoke, made_once, snapshot
from dna_pipelines_tests.toy import toy_project

N_LABELLED = 80


def save(dna, *options, name="mine"):
    said = dna("select", "save", name, *options)
    assert said.code == 0, said.err
    return said


def emds(dna, *options):
    return dna("matrix", *options, "--json").json["values"]


def test_a_selection_by_hand_is_what_the_options_of_compare_are(project, dna):
    save(dna, "--layer", "stage2.between", "--neuron", "stage1.between:0,3")
    assert [(row["version"], row["n_chosen"]) for row in dna("select", "list", "--json").json] == [(1, 34)]
    steered = emds(dna, "--selection", "mine")
    chosen = dna("compare", "d0", "d1", "--layer", "stage2.between", "--neuron", "stage1.between:0,3", "--json").json
    assert steered[0][1] == pytest.approx(chosen["emd_bins"], rel=1e-9)
    for metric in ("nfd", "emd_range", "js", "ks", "psi"):
        if metric not in chosen:
            asked = ("--layer", "stage2.between", "--neuron", "stage1.between:0,3", "--metric", metric, "--json")
            chosen[metric] = dna("compare", "d0", "d1", *asked).json["metric"]["value"]
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
        "COPY (SELECT 'stage1.between' AS layer, unnest([0, 3]) AS neuron, unnest([1.0, 3.0]) AS weight) TO 'w.parquet'",
    )
    # As spreadsheets write it.
    (project / "w.csv").write_bytes(b"\xef\xbb\xbf" + (project / "w.csv").read_bytes())
    save(dna, "--weights", "w.csv", name="spreadsheet")
    assert dna("select", "show", "spreadsheet", "--json").json["weights"] == shown["weights"]
    save(dna, "--weights", "w.parquet", name="other")
    assert dna("select", "show", "other", "--json").json["weights"] == shown["weights"]


@pytest.mark.parametrize(
    ("table", "names"),
    [
        ("layer,neuron\nstage1.between,0\n", ["weight"]),
        ("layer,neuron,weight\nstage9,0,1\n", ["stage9"]),
        ("layer,neuron,weight\nstage1.between,24,1\n", ["row 1", "stage1.between", "23", "24"]),
        ("layer,neuron,weight\nstage1.between,0,-1\n", ["row 1", "-1", "1e+100"]),
        ("layer,neuron,weight\nstage1.between,0,nan\n", ["row 1", "1e+100"]),
        ("layer,neuron,weight\nstage1.between,0,1\nstage1.between,x,1\n", ["row 2"]),
        ("layer,neuron,weight\nstage1.between,0,1\nstage1.between,0,2\n", ["stage1.between:0"]),
        ("layer,neuron,weight\nstage1.between,0,0\n", []),
        (None, []),
    ],
)
def test_a_wrong_table_is_an_error_that_names_the_row(project, dna, table, names):
    if table is not None:
        (project / "w.csv").write_text(table)
    refused = dna("select", "save", "mine", "--weights", "w.csv")
    assert refused.code == 1
    assert refused.names("w.csv", *names)
    assert dna("select", "list", "--json").json == []


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["save", "mine"], []),
        (["save", "a b", "--layer", "stage1.between"], ["a b"]),
        (["save", "../x", "--layer", "stage1.between"], ["../x"]),
        (["show", "nope"], ["'nope'"]),
        (["remove", "nope"], ["'nope'"]),
        (["learn", "x", "--datasets", "d0"], []),
        (["learn", "x", "--datasets", "d0", "--ignore", "weather"], ["'weather'"]),
        (["learn", "x", "--datasets", "d0", "--respond-to", "weather"], ["weather"]),
    ],
)
def test_a_wrong_selection_is_an_error_that_names_it(project, dna, arguments, names):
    refused = dna("select", *arguments)
    assert refused.code == 1
    assert refused.error is not None
    assert refused.names(*names)


def test_versions_are_never_changed_and_outlive_the_removal(project, dna):
    save(dna, "--layer", "stage1.between")
    first = emds(dna, "--selection", "mine")
    assert "mine@2" in save(dna, "--layer", "stage4.between").out
    assert emds(dna, "--selection", "mine") != first
    assert emds(dna, "--selection", "mine@1") == first
    dna("select", "remove", "mine")
    assert dna("select", "list", "--json").json == []
    assert emds(dna, "--selection", "mine@1") == first
    removed = dna("matrix", "--selection", "mine")
    assert removed.code == 1
    assert removed.names("mine@1", "mine@2")
    assert "mine@4" in save(dna, "--layer", "stage2.between").out
    assert dna("matrix", "--selection", "mine@3").names("'3'")


def test_distances_under_a_selection_are_computed_once(project, dna):
    save(dna, "--layer", "stage1.between")
    emds(dna, "--selection", "mine")
    lake = project / "data" / "lake"
    before = snapshot(lake)
    emds(dna, "--selection", "mine")
    assert snapshot(lake) == before


def test_there_is_no_fd_of_a_selection(project, dna):
    save(dna, "--layer", "stage1.between")
    refused = dna("matrix", "--selection", "mine", "--metric", "fd")
    assert (refused.code, refused.out) == (1, "")


def test_sql_weighs_neurons_as_the_command_does(project, dna):
    save(dna, "--layer", "stage2.between", "--neuron", "stage1.between:0,3")
    dna("compare", "d0", "d1")
    rows = dna("sql", "SELECT distance FROM steered('mine') WHERE metric = 'emd_bins'", "--json").json
    # Neuron distances are kept in single precision.
    assert rows == [{"distance": pytest.approx(emds(dna, "--selection", "mine")[0][1], rel=1e-6)}]
    kept = dna("sql", "SELECT DISTINCT selection, version FROM steered_matrix", "--json").json
    assert kept == [{"selection": "mine", "version": 1}]
    assert dna("sql", "SELECT n_chosen FROM selections WHERE is_current", "--json").json == [{"n_chosen": 34}]
    assert dna("sql", "FROM steered('nope')", "--json").json == []


def test_inspect_shows_every_layer_and_agrees_with_sql(project, dna):
    found = dna("inspect", "d0", "--json").json
    assert [layer["layer"] for layer in found["layers"]] == list(TAPS)
    assert (found["n_images"], found["reference"]) == (10, "d0")
    last = found["layers"][-1]
    assert 1 <= last["participation_ratio"] <= last["effective_rank"] <= 9
    query = (
        "SELECT layer, t.n_dead, n_silent, zero_share, t.clipped_share FROM layer_traits t JOIN dnas d USING (dna_id) "
        "WHERE d.dataset = 'd0' ORDER BY layer"
    )
    by_name = sorted(found["layers"], key=lambda layer: layer["layer"])
    for row, layer in zip(dna("sql", query, "--json").json, by_name, strict=True):
        assert row == {name: pytest.approx(layer[name]) if name != "layer" else layer[name] for name in row}
    said = dna("inspect", "d0")
    assert "stage4.between" in said.out
    assert said.names("stage4.between", "10 images", "96 neurons")


def test_inspect_of_two_lists_the_neurons_that_changed(changed, dna):
    found = dna("inspect", "d0@-1", "d0", "--json").json
    assert (found["before"]["n_images"], found["after"]["n_images"]) == (10, 11)
    assert set(found["changes"]) == {"newly dead", "newly alive", "newly saturated", "no longer saturated"}
    alike = dna("inspect", "d0", "d0", "--json").json["changes"]
    assert not any(alike.values())
    assert "newly alive" in dna("inspect", "d0@-1", "d0").out


def test_the_map_is_of_the_matrix(project, dna):
    found = dna("map", "--from-mean", "--json").json
    matrix = np.array(emds(dna))
    place = np.array([[one["x"], one["y"]] for one in found["datasets"]])
    # Three points always fit a plane, if they keep the triangle's inequality, as EMD does.
    np.testing.assert_allclose(np.sqrt(((place[:, None] - place) ** 2).sum(axis=2)), matrix, rtol=1e-6)
    assert found["stress"] == pytest.approx(0, abs=1e-6)
    assert found["joins"][0]["height"] == pytest.approx(matrix[matrix > 0].min())
    means = {one["dataset"]: one["from_mean_bins"] for one in found["datasets"]}
    assert all(0 < distance < matrix.max() for distance in means.values())
    assert "100%" in dna("map").out


def test_a_matrix_without_current_datasets_is_an_error_whatever_the_metric(project, dna):
    save(dna, "--layer", "stage1.between")
    file = project / "data" / "datasets.yaml"
    file.write_text(file.read_text().replace("d0", "e0").replace("d1", "e1").replace("d2", "e2"))
    for command in ("matrix", "map"):
        for metric in ("ks", "nfd"):
            said = dna(command, "--selection", "mine", "--metric", metric)
            assert (said.code, "Traceback" in said.err) == (1, False)


def test_how_far_datasets_are_from_their_mean_is_over_the_neurons_that_count(project, dna):
    def means(*options):
        found = dna("map", "--from-mean", *options, "--json").json["datasets"]
        return {one["dataset"]: one["from_mean_bins"] for one in found}

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
    said = dna("map", "--metric", "fd")
    assert said.code == 0
    assert said.names("fd", "single")
    found = dna("map", "--metric", "fd", "--json").json
    assert found["left_out"] == ["single"]
    assert [one["dataset"] for one in found["datasets"]] == ["d0", "d1", "d2", "more"]


def test_the_map_has_a_picture_options_and_refusals(project, dna):
    save(dna, "--layer", "stage1.between")
    said = dna("map", "--selection", "mine", "--clusters", "2", "--picture", "map.png", "--json")
    assert {one["cluster"] for one in said.json["datasets"]} == {0, 1}
    assert said.json["selection"] == "mine@1"
    with Image.open(project / "map.png") as picture:
        assert picture.width > 1000
    refused = dna("map", "--clusters", "9")
    assert (refused.code, refused.names(3, 9)) == (1, True)


def test_a_map_takes_three_datasets(tmp_path, dna):
    toy_project(tmp_path, {"a": {"0.png": 0, "1.png": 1}, "b": {"2.png": 2, "3.png": 3}})
    assert dna("run").code == 0
    refused = dna("map")
    assert (refused.code, refused.names(3, "emd_bins", "toy", 2)) == (1, True)


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
    # Every image is extracted once for each column, and the column of numbers is no attribute.
    assert learned.names(160, "'number'")
    how = learned.json["how"]
    roles = {one["role"]: one for one in how["contrasts"]}
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
    refused = dna("select", "learn", "x", "--ignore", "light", "--datasets", "a", "--against", "number")
    assert (refused.code, refused.names("'number'")) == (1, True)
    within = dna("select", "learn", "x", "--ignore", "light", "--datasets", "a", "--within", "colour")
    assert (within.code, within.names("light")) == (1, True)


def test_what_was_learned_is_for_dnas_measured_likewise_alone(labelled, tmp_path, monkeypatch, dna):
    root = shutil.copytree(labelled, tmp_path / "copy")
    monkeypatch.chdir(root)
    dna("select", "learn", "mine", "--respond-to", "colour=red", "--datasets", "a")
    kept = root / "data" / "lake" / "selections"
    (path,) = (kept / "records" / "mine").glob("*.json")
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "comparability_key": "another"}))
    assert dna("matrix", "--selection", "mine").code == 1
    (kept / "weights" / f"{record['weights_id']}.parquet").unlink()
    assert dna("select", "show", "mine").error.startswith("lake")
