"""A project from Python: the same numbers as the command line, and errors by code."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import dna_pipelines as dna
import dna_pipelines.cli.main
from dna_pipelines.analysis.significance.result import ALIASES
from dna_pipelines.cli.app import app
from dna_pipelines_tests.api.conftest import pixels, write_folder
from dna_pipelines_tests.raising import raises


def printed(project, *arguments):
    """What a command prints with --json."""
    result = CliRunner().invoke(app, ["--root", str(project.root), *arguments, "--json"])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return json.loads(result.stdout)


def test_a_project_is_created_with_extractors(tmp_path):
    chosen = ["scattering", {"name": "own", "network": "local:weights", "layers": ("a", "b")}]
    made = dna.create_project(tmp_path / "made", extractors=chosen)
    assert [(one.name, one.loads, one.layers) for one in made.folder.config().extractors] == [
        ("scattering", "scattering", ()),
        ("own", "local:weights", ("a", "b")),
    ]
    text = made.folder.file.path.read_text()
    assert dna.create_project(made.root, extractors=chosen).folder.file.path.read_text() == text
    assert dna.create_project(made.root).folder.file.path.read_text() == text
    with raises(dna.ConfigError, "api.other-extractors", extractors=["scattering", "own"]):
        dna.create_project(made.root, extractors=["builtin"])


def test_wrong_extractors_make_no_project(tmp_path):
    with raises(dna.ConfigError, "api.extractor", type="int"):
        dna.create_project(tmp_path / "made", extractors=[3])
    with pytest.raises(dna.ConfigError) as caught:
        dna.create_project(tmp_path / "made", extractors=[{"name": "a", "layer": "b"}])
    assert caught.value.code.startswith("config.")
    assert not (tmp_path / "made" / "data").exists()


def test_old_keys_are_in_json_and_not_in_tables(project):
    result = project.matrix(test=True)
    pairs = result.to_json()["pairs"]
    assert all(pair["differs"] == pair["significant"] for pair in pairs)
    assert all(pair["doubts"] == [caveat["message"] for caveat in pair["caveats"]] for pair in pairs)
    assert {"differs", "doubts", "why_not"}.isdisjoint(result.tests.columns)
    explanation, new = project.compare("d0", "d1").explain(), "bias_corrected_bins"
    (old,) = [old for old, name in ALIASES.items() if name == new]
    assert all(layer[old] == layer[new] for layer in explanation.to_json()["layers"])
    assert old not in explanation.layers.columns


def test_status_names_the_error_of_a_dataset_as_a_run_does(project):
    for path in project.folder.lake.layout.commits("d0").iterdir():
        path.write_bytes(b"no commit")
    (row,) = [row for row in dna.open_project(project.root).status().to_json() if row["dataset"] == "d0"]
    assert row["problem_code"].startswith("lake.")
    assert "code" not in row


@pytest.mark.parametrize(
    ("command", "ask"),
    [
        (("status",), lambda project: project.status()),
        (("list",), lambda project: project.list()),
        (("scan",), lambda project: project.scan()),
        (("matrix",), lambda project: project.matrix()),
        (("matrix", "--metric", "ks"), lambda project: project.matrix(metric="ks")),
        (("matrix", "--significance"), lambda project: project.matrix(test=True)),
        (("map",), lambda project: project.map()),
        (("inspect", "d0"), lambda project: project.inspect("d0")),
        (("inspect", "d0", "d1"), lambda project: project.inspect("d0", "d1")),
        (("compare", "d0", "d1", "--no-test"), lambda project: project.compare("d0", "d1")),
        (("images", "d1", "d0", "--top", "5"), lambda project: project.images("d1", "d0", n=5)),
        (("images", "d1", "d0", "--by", "shard"), lambda project: project.image_groups("d1", "d0", "shard")),
        (("duplicates", "d0", "d1"), lambda project: project.duplicates("d0", "d1")),
        (("duplicates",), lambda project: project.duplicates()),
        (("sql", "FROM quarantine"), lambda project: project.sql("FROM quarantine")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_results_are_what_the_command_line_prints(project, command, ask):
    assert json.loads(json.dumps(ask(project).to_json())) == printed(project, *command)


def test_a_test_is_the_one_of_the_command_line(project):
    compared = project.compare("d0", "d1")
    result = compared.test()
    theirs = printed(project, "compare", "d0", "d1")["significance"]
    assert json.loads(json.dumps(result.to_json())) == theirs
    assert result.p_value == theirs["p"]
    assert result.significant is True
    assert bool(result)
    assert result.ci[0] < result.bias_corrected < result.ci[1]
    assert np.isclose(result.emd - result.null_mean, result.bias_corrected)
    assert [row["layer"] for row in result.layers] == [row["layer"] for row in compared.layers]
    assert result.n_permutations == 1000
    assert result.sampling_unit == "image"


def test_an_explanation_is_the_one_of_the_command_line(project):
    theirs = printed(project, "compare", "d0", "d1", "--explain")["explanations"]
    assert json.loads(json.dumps(project.compare("d0", "d1").explain().to_json())) == theirs


def test_an_update_says_what_it_did(project):
    write_folder(project.root / "d3", 12, 7000)
    project.add("d3", project.root / "d3", tags={"team": "a"})
    assert project.forecast().table.column("n_to_extract") == [0, 0, 0, 12]
    report = project.update()
    assert report.ok
    assert report.problems == {}
    assert report.n_images_extracted == 12
    assert report.n_quarantined == 1
    assert report.table.column("n_images") == [40, 40, 40, 12]
    assert project.list()["d3"]["tags"] == {"team": "a"}
    again = project.update()
    assert again.n_images_extracted == 0
    assert again.to_json()["datasets"] == printed(project, "run")["datasets"]


def test_a_dataset_that_fails_is_reported_and_stops_no_other(project):
    write_folder(project.root / "d3", 12, 7000)
    project.add("d3", project.root / "d3")
    (project.root / "d1").rename(project.root / "elsewhere")
    report = project.update()
    assert not report.ok
    assert set(report.problems) == {"d1"}
    assert report.n_images_extracted == 12


def test_history_has_a_row_for_each_version(project):
    write_folder(project.root / "more", 1, 8000)
    (project.root / "more" / "0.png").rename(project.root / "d1" / "new.png")
    project.update()
    history = project.history("d1")
    assert history.table.column("n_images") == [40, 41]
    assert history.table[-1]["changes"]["added"] == 1
    assert project.compare("d1@-1", "d1").test().result.n_shared == 40


def test_selections_by_hand_and_in_a_comparison(project):
    made = project.select("early", layers=["stage1.between"])
    assert made.names == project.selections().names == ("early",)
    chosen = project.compare("d0", "d1", selection="early")
    assert chosen.n_neurons == 24
    assert chosen.layers.column("layer") == ["stage1.between"]
    by_layer = {row["layer"]: row["emd_bins"] for row in project.compare("d0", "d1").layers}
    assert np.isclose(chosen.emd, by_layer["stage1.between"])
    with raises(dna.UserError, "api.selection"):
        project.select("both", neurons=["stage1.between:0"], datasets=["d0"])


def test_pictures_are_figures_and_images(project, tmp_path):
    from matplotlib.figure import Figure
    from PIL import Image

    compared = project.compare("d1", "d0")
    for figure in (compared.figure(), project.matrix(test=True).figure(), project.map().figure()):
        assert isinstance(figure, Figure)
        assert figure._repr_png_().startswith(b"\x89PNG")
    sheet = compared.top_images(3)
    with Image.open(sheet.save(tmp_path / "sheet.png")) as saved:
        assert saved.size == sheet.sheet().size
    assert len(sheet.table) == 3
    with raises(dna.UserError, "api.file", path=str(project.root / "d0")):
        sheet.save(project.root / "d0")


def test_image_fits_name_what_cannot_be_read(project):
    found = project.image_fits([project.root / "d1" / "0.png", project.root / "d0" / "broken.png"], ["d0", "d1"])
    assert len(found.fits) == 2
    assert len(found.quarantined) == 1


def test_an_export_is_compared_as_the_dataset_is(project, tmp_path):
    written = project.export("d0", tmp_path / "d0.json")
    assert written.path.exists()
    assert len(written.table) == 5
    again = project.compare(str(written.path), "d1")
    assert again.emd == project.compare("d0", "d1").emd


def test_a_removed_dataset_is_no_longer_listed(project):
    project.remove("d2")
    assert project.list().names == ("d0", "d1")


@pytest.mark.parametrize(
    "ask",
    [
        lambda project: project.compare("d0", "nothing"),
        lambda project: project.history("nothing"),
        lambda project: project.remove("nothing"),
        lambda project: project.inspect("nothing"),
    ],
)
def test_unknown_names_are_refused(project, ask):
    with pytest.raises(dna.UnknownName):
        ask(project)


def test_a_folder_that_is_no_project_is_refused(tmp_path):
    with raises(dna.ConfigError, "api.no-project", path=str(tmp_path)):
        dna.open_project(tmp_path)
    assert dna.create_project(tmp_path).root == dna.open_project(tmp_path).root == dna.open_project().root
    (tmp_path / "file").touch()
    with raises(dna.ConfigError, "api.file"):
        dna.create_project(tmp_path / "file" / "project")


def test_nothing_to_compare_before_the_first_update(tmp_path):
    project = dna.create_project(tmp_path)
    project.add("one", [pixels(seed) for seed in range(3)])
    with pytest.raises(dna.NothingToCompare):
        project.duplicates()


def test_too_few_permutations_are_refused(project):
    with raises(dna.UserError, "api.permutations", n_permutations=10, fewest=99):
        project.compare("d0", "d1").test(n_permutations=10)


def test_two_columns_of_one_name_stay_rows_and_become_no_table(project):
    found = project.sql("SELECT 1 AS n, 2 AS n")
    assert found.rows == ((1, 2),)
    for turn in (found.to_arrow, found.to_pandas, found.to_json):
        with raises(dna.UserError, "api.columns", column="n"):
            turn()
