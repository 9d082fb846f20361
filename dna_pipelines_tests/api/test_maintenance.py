"""A project from Python: its networks, their activation ranges, what the doctor finds, and pruning."""

import json

import dna_pipelines as dna
from dna_pipelines_tests.api.conftest import write_folder
from dna_pipelines_tests.raising import raises


def test_the_networks_are_listed_and_one_is_shown_in_detail(project):
    listed = project.extractors()
    assert listed.names[0] == "builtin"
    assert [row["extractor"] for row in listed.table if row["used_here"]] == ["builtin"]
    assert listed.to_json() == [network.to_json() for network in listed.networks]
    one = project.extractor("builtin")
    assert sum(one.table.column("neurons")) == one.detail.listed.neurons == listed.networks[0].neurons
    with raises(dna.UnknownName, "name.network"):
        project.extractor("nonsense")


def test_ranges_in_use_are_exported_and_importing_them_changes_nothing(project):
    file = project.root / "ranges.json"
    written = project.export_ranges("builtin", file)
    assert (written.n_neurons, len(written.table)) == (written.layers.n_neurons, len(written.layers.names))
    with raises(dna.InterchangeError, "file.exists"):
        project.export_ranges("builtin", file)
    again = project.import_ranges("builtin", file)
    assert (again.changed, again.replaces, again.n_neurons) == (False, False, written.n_neurons)
    assert project.forecast().table.column("n_to_extract") == [0, 0, 0]


def test_other_ranges_make_every_dna_stale(project):
    file = project.root / "ranges.json"
    project.export_ranges("builtin", file)
    ranges = json.loads(file.read_text())
    file.write_text(json.dumps({name: value for name, value in ranges.items() if name != "dna_pipelines"}))
    planned = project.import_ranges("builtin", file, dry_run=True)
    assert (planned.changed, planned.replaces) == (True, True)
    assert set(project.status()["d0"]["dna_states"].values()) == {"current"}
    assert project.import_ranges("builtin", file).replaces
    assert set(project.status()["d0"]["dna_states"].values()) == {"missing"}


def test_ranges_are_measured_again(project):
    measured = project.calibrate("builtin", on="d1")
    assert (measured.origin, measured.replaces) == ("d1", True)
    assert (measured.minimum <= measured.maximum).all()
    with raises(dna.UnknownName, "name.dataset"):
        project.calibrate("builtin", on=["nonsense"])
    with raises(dna.UnknownName, "name.extractor"):
        project.calibrate("nonsense")


def test_the_doctor_names_what_is_wrong(project):
    seen = []
    well = project.doctor(on_finding=seen.append)
    assert (well.ok, well.problems, tuple(seen)) == (True, {}, well.findings)
    (project.root / "d1").rename(project.root / "elsewhere")
    ill = project.doctor()
    assert (ill.ok, list(ill.problems)) == (False, ["location of d1"])
    assert [row["what"] for row in ill.table if not row["ok"]] == ["location of d1"]


def test_pruning_is_planned_and_carried_out(project):
    for number in range(3):
        write_folder(project.root / "d0" / f"more{number}", 1, 5000 + number)
        assert project.update("d0").ok
    planned = project.prune(2, dry_run=True)
    assert (planned.removed, planned.table.to_json()) == (False, [{"dataset": "d0", "versions pruned": 2}])
    assert project.history("d0").table.column("n_images") == [40, 41, 42, 43]
    done = project.prune(2)
    assert (done.removed, done.n_bytes, done.to_json()) == (True, planned.n_bytes, planned.to_json())
    with raises(dna.NothingToCompare, "compare.pruned"):
        project.compare("d0@1", "d0")


def test_pruning_takes_a_number_of_versions(project):
    with raises(dna.UserError, "cli.keep-missing"):
        project.prune()
    with raises(dna.UserError, "api.settings", settings=["keep"], at_least=2):
        project.prune(1)
