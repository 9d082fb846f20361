"""Commands that exchange files: export, compare with files, ranges, calibrate --on."""

import json

import numpy as np
import pytest

from dna_pipelines_tests.cli.conftest import snapshot, write_image
from dna_pipelines_tests.golden.make_vdna_files import FILES


def states(dna):
    return {row["dataset"]: row["dna_states"]["builtin"] for row in dna("status", "--json").json}


def ranges_id(project):
    return json.loads((project / "data/lake/extractors/builtin.json").read_text())["ranges_id"]


def as_the_reference_writes(path, **changes):
    facts = json.loads(path.read_text())
    facts.pop("dna_pipelines")
    path.write_text(json.dumps({**facts, **changes}))


# export and compare


@pytest.mark.parametrize("kind", ["histogram", "gaussian", "layer-gaussian"])
def test_what_is_exported_is_no_distance_from_where_it_came_from(project, dna, kind):
    (project / "out").mkdir(exist_ok=True)
    said = dna("export", "d0", "out/d0.json", "--type", kind)
    assert said.code == 0
    assert all(text in said.out for text in ("out/d0.json", "out/d0.npz", kind))
    found = dna("compare", "d0", "out/d0.json", "--json").json
    values = {metric: found[metric] for metric in ("emd_bins", "emd_range", "nfd", "fd")}
    there = {"histogram": {"emd_bins", "emd_range"}, "gaussian": {"nfd"}, "layer-gaussian": {"nfd", "fd"}}[kind]
    assert {metric for metric, value in values.items() if value is not None} == there
    assert all(values[metric] == pytest.approx(0, abs=1e-9) for metric in there)
    assert found["extractor"] == "builtin"


def test_histograms_are_exported_unless_another_type_is_asked_for(project, dna):
    assert dna("export", "d0", "d0.json").code == 0
    assert json.loads((project / "d0.json").read_text())["name"] == "histogram-1000"


def test_a_layer_gaussian_lists_what_it_leaves_out(project, dna):
    said = dna("export", "d0", "d0.json", "--type", "layer-gaussian", "--json").json
    assert (said["layers"], said["n_images"]) == (["stage4.between"], 10)
    assert "stage1.between" in said["left_out"]
    assert dna("export", "d0", "again.json", "--type", "layer-gaussian").names("stage1.between")


def test_versions_can_be_exported(changed, dna):
    assert dna("export", "d0@-1", "before.json").code == 0
    assert dna("compare", "before.json", "d0@-1", "--json").json["emd_bins"] == 0
    there, back = (dna("compare", *pair, "--json").json for pair in (("before.json", "d0"), ("d0", "before.json")))
    assert there["emd_bins"] == pytest.approx(back["emd_bins"])
    assert there["emd_bins"] == pytest.approx(dna("compare", "d0@-1", "d0", "--json").json["emd_bins"])


def test_comparing_with_a_file_shows_people_the_same_and_keeps_nothing(project, dna):
    dna("export", "d0", "d0.json")
    before = snapshot(project / "data" / "lake")
    said = dna("compare", "d0.json", "d1")
    found = dna("compare", "d0.json", "d1", "--json").json
    assert f"{found['emd_bins']:.4g} bins" in said.out
    assert "NFD  –" in said.out
    assert snapshot(project / "data" / "lake") == before


def test_what_a_file_does_not_have_is_shown_as_a_dash(project, dna):
    dna("export", "d0", "d0.json", "--type", "gaussian")
    said = dna("compare", "d0.json", "d1")
    assert "EMD  –" in said.out
    assert "nan" not in said.out
    assert said.code == 0
    refused = dna("compare", "d0.json", "d1", "--picture", "p.png")
    assert (refused.code, refused.error) == (1, "api.no-histograms")


def test_two_files_need_no_project(tmp_path, dna):
    said = dna("compare", FILES / "a-histogram.json", FILES / "b-histogram.json", "--json")
    expected = json.loads((FILES / "distances.json").read_text())["theirs"]
    assert said.json["emd_bins"] == pytest.approx(expected["emd_mean"], rel=1e-12)
    assert said.json["extractor"] == "golden"
    assert list(tmp_path.iterdir()) == []
    other = dna("compare", FILES / "a-histogram.json", FILES / "b-histogram.json", "--extractor", "x")
    assert (other.code, other.error, other.names("golden", "x")) == (1, "name.other-extractor", True)
    one = dna("compare", FILES / "a-histogram.json", FILES / "b-histogram.json", "--layer", "head", "--json")
    assert one.json["emd_bins"] == pytest.approx(np.mean(expected["emd"]["head"]), rel=1e-12)


def test_what_cannot_be_compared_lists_why(project, dna):
    said = dna("compare", "d0", FILES / "a-histogram.json")
    assert said.code == 1
    assert said.error == "compare.different-keys"
    assert said.names("builtin", "golden", "stage1.between")
    assert said.out == ""


def test_a_file_of_the_reference_is_compared_once_its_ranges_are_named(project, dna):
    dna("export", "d0", "d0.json")
    dna("ranges", "export", "builtin", "ranges.json")
    as_the_reference_writes(project / "d0.json")
    refused = dna("compare", "d0", "d0.json")
    assert (refused.code, refused.error) == (1, "compare.different-keys")
    assert refused.names("d0.json")
    assert dna("compare", "d0", "d0.json", "--ranges", "ranges.json", "--json").json["emd_bins"] == 0
    missing = dna("compare", "d0", "d0.json", "--ranges", "nowhere.json")
    assert missing.error == "file.unreadable"
    assert missing.names("nowhere.json")
    as_the_reference_writes(project / "ranges.json")
    # Without our exact edges it is the same up to rounding, which is not the same.
    assert dna("compare", "d0", "d0.json", "--ranges", "ranges.json").error == "compare.different-keys"


@pytest.mark.parametrize(
    ("arguments", "code", "names"),
    [
        (["nope", "x.json"], "name.dataset", ["nope"]),
        (["d0", "x.npz"], "file.suffix", ["x.npz", ".json"]),
        (["d0", "data/datasets.yaml"], "file.suffix", ["data/datasets.yaml", ".json"]),
        (["d0", "folder.json"], "file.folder", ["folder.json"]),
        (["d0", "there.json"], "file.exists", ["there.npz", "--force"]),
        (["d0", "there.npz/x.json"], "api.no-folder", ["there.npz"]),
        (["d0", "x.json", "--extractor", "nope"], "name.extractor", ["nope", "builtin"]),
    ],
)
def test_an_export_that_fails_is_an_error_that_names_why(project, dna, arguments, code, names):
    (project / "folder.json").mkdir()
    (project / "there.npz").write_bytes(b"")
    refused = dna("export", *arguments)
    assert (refused.code, refused.error) == (1, code)
    assert refused.names(*names)


def test_ranges_in_use_are_imported_without_confirmation_and_change_nothing(project, dna):
    assert dna("ranges", "export", "builtin", "ranges.json").code == 0
    said = dna("ranges", "import", "builtin", "ranges.json", "--json")
    assert (said.code, said.json["changed"]) == (0, False)


def test_without_input_a_confirmation_is_an_error(project, dna):
    said = dna("calibrate", "builtin")
    assert (said.code, said.error) == (1, "cli.no-input")


def test_layers_that_a_file_does_not_have_are_named_and_have_no_row(project, dna):
    assert dna("export", "d0", "d0.json", "--type", "layer-gaussian").code == 0
    said = dna("compare", "d0.json", "d1")
    kept = dna("compare", "d0", "d1", "--json").json["layers"]
    missing = [row["layer"] for row in kept if row["fd"] is None]
    assert missing
    assert said.names(*missing)
    assert not any(name in said.out for name in missing)


def test_an_unknown_type_is_a_wrong_command(project, dna):
    assert dna("export", "d0", "x.json", "--type", "cauchy").code == 2


def test_exporting_twice_takes_force(project, dna):
    assert dna("export", "d0", "x.json").code == 0
    assert dna("export", "d1", "x.json").code == 1
    assert dna("export", "d1", "x.json", "--force").code == 0
    assert dna("compare", "d1", "x.json", "--json").json["emd_bins"] == 0


# ranges


def test_ranges_that_were_exported_are_the_same_when_imported(project, dna):
    said = dna("ranges", "export", "builtin", "ranges.json")
    assert said.code == 0
    assert "ranges.json" in said.out
    facts = json.loads((project / "ranges.json").read_text())
    assert facts.keys() == {"mins_per_neuron", "maxs_per_neuron", "dna_pipelines"}
    before = ranges_id(project)
    assert dna("ranges", "import", "builtin", "ranges.json", "--yes").code == 0
    assert ranges_id(project) == before
    assert set(states(dna).values()) == {"current"}


@pytest.mark.campaign
def test_other_ranges_make_every_dna_missing(project, dna):
    dna("ranges", "export", "builtin", "ranges.json")
    as_the_reference_writes(project / "ranges.json")
    before = ranges_id(project)
    said = dna("ranges", "import", "builtin", "ranges.json", "--yes")
    assert said.code == 0
    assert all(text in said.out for text in ("builtin", "ranges.json", "sha256"))
    assert ranges_id(project) != before
    assert set(states(dna).values()) == {"missing"}
    assert dna("run").code == 0
    assert dna("export", "d0", "d0.json").code == 0
    # Now they are those of the file as the reference has it, so its own files can be compared.
    as_the_reference_writes(project / "d0.json")
    assert dna("compare", "d0", "d0.json", "--ranges", "ranges.json", "--json").json["emd_bins"] == 0


def test_importing_asks_first(project, dna):
    dna("ranges", "export", "builtin", "ranges.json")
    as_the_reference_writes(project / "ranges.json")
    before = snapshot(project)
    said = dna("ranges", "import", "builtin", "ranges.json", answer="n\n")
    assert said.code == 1
    assert snapshot(project) == before


def test_ranges_of_another_network_are_refused_and_change_nothing(project, dna):
    before = ranges_id(project)
    said = dna("ranges", "import", "builtin", FILES / "activation_ranges.json", "--yes")
    assert (said.code, said.error) == (1, "compare.other-ranges")
    assert said.names("builtin", "conv", "stage1.between")
    assert ranges_id(project) == before
    assert set(states(dna).values()) == {"current"}


@pytest.mark.parametrize(
    ("arguments", "code", "names"),
    [
        (["import", "nope", "x.json", "--yes"], "name.extractor", ["nope", "builtin"]),
        (["import", "builtin", "x.json", "--yes"], "file.unreadable", ["x.json"]),
        (["import", "builtin", "data/datasets.yaml", "--yes"], "file.no-json", ["data/datasets.yaml"]),
        (["export", "nope", "x.json"], "name.extractor", ["nope", "builtin"]),
        (["export", "builtin", "data"], "file.folder", ["data"]),
    ],
)
def test_wrong_ranges_commands_are_errors(project, dna, arguments, code, names):
    refused = dna("ranges", *arguments)
    assert (refused.code, refused.error) == (1, code)
    assert refused.names(*names)


def test_ranges_of_an_extractor_that_was_never_used_cannot_be_exported(tmp_path, dna):
    write_image(tmp_path / "images" / "a.png", 1)
    dna("add", "a", "images")
    refused = dna("ranges", "export", "builtin", "x.json")
    assert (refused.code, refused.error) == (1, "compare.extractor-unused")
    assert refused.names("builtin", "`dna run`")


def test_a_project_may_take_its_ranges_from_a_file(project, tmp_path, dna):
    dna("ranges", "export", "builtin", tmp_path / "ranges.json")
    new = tmp_path / "new"
    write_image(new / "images" / "a.png", 1)
    write_image(new / "images" / "b.png", 2)
    (new / "data").mkdir()
    file = new / "data" / "datasets.yaml"
    file.write_text("extractors: [{name: builtin, ranges: r.json}]\ndatasets: [{name: a, uri: images}]\n")
    missing = dna("--root", new, "run")
    assert (missing.code, missing.names("r.json")) == (1, True)
    (new / "r.json").write_bytes((tmp_path / "ranges.json").read_bytes())
    said = dna("--root", new, "run")
    assert said.code == 0
    assert ranges_id(new) == ranges_id(project)
    # DNAs of two projects with the same ranges can be compared through files.
    dna("--root", new, "export", "a", "a.json")
    assert dna("compare", "d0", "a.json", "--json").json["emd_bins"] > 0
    # Measuring contradicts the datasets file, and so do other ranges.
    refused = dna("--root", new, "calibrate", "builtin", "--yes", "--json")
    assert refused.error == "cli.ranges-from-file"
    assert refused.facts == {"extractor": "builtin", "file": "r.json"}
    as_the_reference_writes(tmp_path / "ranges.json")
    other = dna("--root", new, "ranges", "import", "builtin", tmp_path / "ranges.json", "--yes")
    assert (other.code, other.error) == (1, "config.other-ranges")
    assert other.names("builtin", "r.json", tmp_path / "ranges.json")
    assert ranges_id(new) == ranges_id(project)


def test_ranges_named_later_do_not_replace_frozen_ones_unasked(project, settings, dna):
    dna("ranges", "export", "builtin", "r.json")
    before = ranges_id(project)
    settings("datasets:\n", "extractors: [{name: builtin, ranges: r.json}]\ndatasets:\n")
    assert dna("run").code == 0
    as_the_reference_writes(project / "r.json")
    (project / "r.json").rename(project / "s.json")
    settings("ranges: r.json", "ranges: s.json")
    assert "`dna ranges import builtin s.json`" in dna("doctor").out
    said = dna("run")
    assert said.code == 1
    assert said.names("`dna ranges import builtin s.json`")
    assert ranges_id(project) == before
    assert dna("ranges", "import", "builtin", "s.json", "--yes").code == 0
    assert ranges_id(project) != before


def test_a_file_of_ranges_that_changes_is_noticed(project, settings, dna):
    dna("ranges", "export", "builtin", "r.json")
    settings("datasets:\n", "extractors: [{name: builtin, ranges: r.json}]\ndatasets:\n")
    assert dna("run").code == 0
    as_the_reference_writes(project / "r.json")
    said = dna("run")
    assert said.code == 1
    assert said.names("`dna ranges import builtin r.json`")


def test_ranges_come_from_one_source(project, settings, dna):
    settings("datasets:\n", "extractors: [{name: builtin, ranges: r.json, calibrate_on: [d0]}]\ndatasets:\n")
    assert dna("status").error == "config.ranges-twice"


def test_ranges_are_measured_on_the_datasets_that_are_named(project, dna):
    before = ranges_id(project)
    said = dna("calibrate", "builtin", "--on", "d0", "--on", "d1", "--yes")
    assert said.code == 0
    after = ranges_id(project)
    assert after != before
    dna("ranges", "export", "builtin", "r.json")
    assert json.loads((project / "r.json").read_text())["dna_pipelines"]["datasets"] == ["d0", "d1"]
    assert dna("calibrate", "builtin", "--on", "nope", "--yes").error == "name.dataset"
    assert ranges_id(project) == after


def test_ranges_cannot_be_measured_on_what_was_never_scanned(project, dna):
    write_image(project / "d9" / "a.png", 1)
    dna("add", "d9", "d9")
    said = dna("calibrate", "builtin", "--on", "d9", "--yes")
    assert (said.code, said.error) == (1, "ranges.no-manifest")
    assert said.names("d9", "`dna run`")
