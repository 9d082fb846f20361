"""Commands about the datasets file: add, remove, list, scan."""

import json

import pytest

from dna_pipelines.project.project import ProjectFolder
from dna_pipelines_tests.cli.conftest import snapshot, write_image


def listed(dna):
    return {row["dataset"]: row for row in dna("list", "--json").json}


def test_adding_makes_the_file_and_counts_the_images(tmp_path, dna):
    write_image(tmp_path / "images" / "a.png", 1)
    said = dna("add", "first", "images")
    assert said.code == 0
    assert said.names(tmp_path / "data" / "datasets.yaml")
    assert listed(dna)["first"]["uri"] == "images"
    added = dna("add", "second", "images", "--json").json
    assert (added["dataset"], added["uri"], added["n_files"], added["quarantined"]) == ("second", "images", 1, [])


def test_everything_about_a_dataset_can_be_said(tmp_path, dna):
    for name in ("a/one.png", "a/two.jpg", "b/three.png"):
        write_image(tmp_path / "images" / name, 1)
    said = dna(
        "add",
        "x",
        "images",
        "--glob",
        "*.png",
        "--exclude",
        "b/**",
        "--group-by",
        "folder",
        "--tag",
        "team=night",
        "--tag",
        "old",
        "--json",
    )
    assert said.json["n_files"] == 1
    row = listed(dna)["x"]
    assert (row["tags"], row["group_by"]) == ({"team": "night", "old": ""}, "folder")
    assert "team=night, old" in dna("list").out


def test_how_files_are_read_can_be_said(tmp_path, dna):
    write_image(tmp_path / "images" / "one.png", 1)
    dna("add", "x", "images", "--value-range", "-1", "0.5", "--bands", "4,3,2", "--pages", "all")
    dna("add", "y", "images", "--bits", "12", "--bands", "1")
    x, y = ProjectFolder(tmp_path).config().datasets
    assert (x.reading, x.pages) == ({"value_range": [-1, 0.5], "bands": [4, 3, 2]}, "all")
    assert (y.reading, y.pages) == ({"bits": 12, "bands": [1]}, None)
    assert [dna("add", "z", "images", *wrong).code for wrong in (["--bands", "a"], ["--bands", "1,2"], ["--bits", "0"])] == [
        2, 1, 1,
    ]  # fmt: skip


def test_a_place_inside_the_project_is_written_relative_to_it(project, dna, monkeypatch):
    (project / "deep" / "images").mkdir(parents=True)
    monkeypatch.chdir(project / "deep")
    dna("add", "inside", "images")
    assert listed(dna)["inside"]["uri"] == "deep/images"


def test_a_place_outside_the_project_is_written_in_full(project, tmp_path, dna):
    (tmp_path / "outside").mkdir()
    dna("add", "outside", "../outside")
    assert listed(dna)["outside"]["uri"] == str((tmp_path / "outside").resolve())


def test_a_place_without_images_is_added_with_a_hint(tmp_path, dna):
    (tmp_path / "empty").mkdir()
    said = dna("add", "a", "empty")
    assert said.code == 0
    assert said.names("--glob", "--kind")


def test_a_missing_place_is_not_added_unless_forced(project, dna):
    before = (project / "data" / "datasets.yaml").read_bytes()
    said = dna("add", "later", "not-there-yet")
    assert said.code == 1
    assert said.error == "source.missing"
    assert said.names("not-there-yet", "--force")
    assert (project / "data" / "datasets.yaml").read_bytes() == before
    assert dna("add", "later", "not-there-yet", "--force").code == 0
    assert "later" in listed(dna)


@pytest.mark.parametrize(
    ("arguments", "code", "names"),
    [
        (["d0", "d1"], "config.name-taken", ["d0"]),
        (["D0", "d1"], "config.name-taken", ["D0"]),
        (["bad name", "d1"], "config.bad-name", ["bad name"]),
        (["x", "d1", "--group-by", "regex:("], "config.bad-regex", ["group_by"]),
        (["x", "d1", "--glob", "a**"], "config.bad-pattern", ["a**"]),
        (["x", "data/datasets.yaml"], "source.unknown-kind", ["datasets.yaml", ".txt", ".zip", ".tar"]),
        (["x", "nope://bucket"], "source.unknown-scheme", ["nope"]),
    ],
)
def test_a_wrong_add_changes_nothing(project, dna, arguments, code, names):
    before = snapshot(project)
    refused = dna("add", *arguments)
    assert (refused.code, refused.error) == (1, code)
    assert refused.names(*names)
    assert snapshot(project) == before


@pytest.mark.parametrize("arguments", [["d0", "d1"], ["bad name", "d1"], ["x", "d1", "--group-by", "regex:("]])
def test_force_adds_no_entry_that_is_wrong_itself(project, dna, arguments):
    before = snapshot(project)
    assert dna("add", *arguments, "--force").code == 1
    assert snapshot(project) == before


def test_what_was_added_is_shown_by_its_whole_name(tmp_path, dna):
    write_image(tmp_path / "photos [old]" / "a.png", 1)
    assert "photos [old]" in dna("add", "a", "photos [old]").out


def test_a_dataset_that_is_the_projects_folder_leaves_out_what_the_project_keeps_there(project, dna):
    dna("add", "all", ".")
    (row,) = dna("scan", "all", "--json").json
    assert row["n_images"] == 30
    assert not [path for path in row["added"] if path.startswith("data/")]


def test_removing_keeps_the_images_and_the_fingerprints(project, dna):
    images, fingerprints = snapshot(project / "d1"), snapshot(project / "data" / "lake")
    assert dna("remove", "d1", "--json").json == {"removed": "d1"}
    assert list(listed(dna)) == ["d0", "d2"]
    assert snapshot(project / "d1") == images
    assert snapshot(project / "data" / "lake") == fingerprints
    assert dna("compare", "d1", "d0").code == 0


def test_a_removed_dataset_leaves_the_matrix_at_once(project, dna):
    dna("remove", "d1")
    assert dna("matrix", "--json").json["datasets"] == ["d0", "d2"]
    assert [row["dataset"] for row in dna("sql", "FROM datasets ORDER BY dataset", "--json").json] == ["d0", "d2"]


def test_what_is_removed_and_added_again_costs_nothing(project, dna):
    dna("remove", "d1")
    dna("add", "d1", "d1")
    (report,) = dna("run", "d1", "--json").json["datasets"]
    assert report["fingerprints"]["builtin"]["n_images_extracted"] == 0


def test_a_list_of_nothing_says_what_to_do(tmp_path, dna):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "datasets.yaml").write_text("datasets: []\n")
    said = dna("list")
    assert (said.code, said.error) == (1, "cli.no-datasets")
    assert dna("list", "--json").json == []


def test_a_scan_shows_every_kind_of_change_and_writes_nothing(project, dna):
    place = project / "d0"
    write_image(place / "new.png", 50)
    write_image(place / "1.png", 51)
    (place / "2.png").unlink()
    (place / "3.png").rename(place / "moved.png")
    (place / "bad.png").write_text("no image")
    (place / "notes.txt").write_text("ignored")
    before = snapshot(project)
    (found,) = dna("scan", "d0", "--json").json
    assert {what: found[what] for what in ("added", "removed", "changed", "renamed")} == {
        "added": ["new.png"],
        "removed": ["2.png"],
        "changed": ["1.png"],
        "renamed": ["3.png -> moved.png"],
    }
    assert (found["n_images"], found["n_ignored"]) == (10, 1)
    assert [(row["path"], row["reason"]) for row in found["quarantined"]] == [("bad.png", "not an image")]
    shown = dna("scan").out
    assert all(f"1 {what}" in shown for what in ("ignored", "added", "removed", "changed", "renamed"))
    assert snapshot(project) == before


def test_a_scan_of_a_new_project_writes_nothing(tmp_path, dna):
    write_image(tmp_path / "images" / "a.png", 1)
    dna("add", "a", "images")
    before = snapshot(tmp_path)
    assert dna("scan", "--json").json[0]["added"] == ["a.png"]
    assert snapshot(tmp_path) == before


def test_names_of_files_do_not_steer_the_terminal(tmp_path, dna):
    images = tmp_path / "images"
    write_image(images / "esc\x1b[31mred\nline.png", 1)
    (images / "broken\x1b[2J\x9b.png").write_bytes(b"x")
    dna("add", "a", "images")
    said = dna("scan")
    assert r"added       esc\x1b[31mred\nline.png" in said.out
    assert r"quarantined broken\x1b[2J\x9b.png" in said.out
    assert "\x1b" not in said.out


def test_a_long_scan_shows_ten_and_counts_the_rest(tmp_path, dna):
    for number in range(13):
        write_image(tmp_path / "images" / f"{number}.png", number)
    dna("add", "a", "images")
    shown = dna("scan").out
    assert shown.count(".png") == 10
    assert " 3 " in shown
    assert len(dna("scan", "--json").json[0]["added"]) == 13


def test_a_scan_reports_a_missing_location_and_shows_the_others(project, dna):
    (project / "d1").rename(project / "elsewhere")
    said = dna("scan", "--json")
    assert said.code == 3
    assert [row["dataset"] for row in said.json] == ["d0", "d1", "d2"]
    assert said.json[1]["problem_code"] == "source.missing"
    assert dna("scan").names("d1: ", said.json[1]["problem"])


def test_names_that_are_odd_are_shown_in_valid_json(tmp_path, dna):
    names = ["it's.png", 'say "hi".png', "two\nlines.png", "[red]x.png", "ünï.png"]
    for number, name in enumerate(names):
        write_image(tmp_path / "images" / name, number)
    with open(bytes(tmp_path / "images") + b"/caf\xe9.png", "wb") as file:
        file.write((tmp_path / "images" / "it's.png").read_bytes())
    dna("add", "a", "images")
    said = dna("scan", "--json")
    assert set(json.loads(said.out)[0]["added"]) == {*names, r"caf\xe9.png"}
    assert "[red]x.png" in dna("scan").out


def test_grouping_by_a_missing_column_is_reported(project, settings, dna):
    (project / "labels.csv").write_text("path,patient\n0.png,p1\n")
    settings("uri: d1\n", "uri: d1\n    metadata: {uri: labels.csv}\n    group_by: column:patiant\n")
    said = dna("scan", "d1", "--json")
    assert said.code == 1
    assert said.json[0]["problem_code"] == "source.group-column"
    assert "patiant" in said.json[0]["problem"]


def test_every_key_of_the_datasets_file_can_be_given(project, dna, monkeypatch):
    (project / "below").mkdir()
    (project / "below" / "labels.csv").write_text("path,weather\n")
    # Paths are relative to where the command is called, those of tables too.
    monkeypatch.chdir(project / "below")
    further = ["--set", "checks={min_images: 5}", "--set", "seed=7", "--set", "shard_size=16"]
    options = ["--metadata", "labels.csv", "--every", "2", "--scan-every", "15m", "--owner", "team:x", *further]
    assert dna("add", "x", "../d1", *options).code == 0
    (entry,) = [each for each in ProjectFolder(project).config().datasets if each.name == "x"]
    assert (entry.uri, entry.metadata.uri) == ("d1", "below/labels.csv")
    assert (entry.every, entry.scan_every, entry.owners) == (2, 900, ("team:x",))
    assert (entry.checks.min_images, entry.seed, entry.shard_size) == (5, 7, 16)


@pytest.mark.parametrize(
    ("text", "code", "error"),
    [
        ("seed", 2, None),
        ("seed=[", 2, None),
        ("seed=", 2, None),
        ("sed=7", 1, "config.unknown-key"),
        ("uri=d0", 1, "api.settings"),
        ("seed=many", 1, "config.wrong-type"),
    ],
)
def test_a_key_that_cannot_be_set_adds_nothing(project, dna, text, code, error):
    before = snapshot(project)
    refused = dna("add", "x", "d1", "--set", text)
    assert (refused.code, refused.error) == (code, error)
    assert snapshot(project) == before
