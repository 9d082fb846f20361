"""Whole runs through Dagster."""

import hashlib

import dagster as dg
import pytest
from PIL import Image

from dna_pipelines.manifests import ManifestDiff
from dna_pipelines.orchestration import headless
from dna_pipelines.orchestration.build import build_assets, build_defs
from dna_pipelines.orchestration.headless import bring_up_to_date, replace_ranges
from dna_pipelines.orchestration.instance import open_instance
from dna_pipelines.orchestration.partitions import DATASETS, sync_partitions
from dna_pipelines.orchestration.project_resource import ProjectResource
from dna_pipelines.orchestration.registry_sensor import registry_sensor
from dna_pipelines.project.progress import Silent
from dna_pipelines.storage.attempts import ALL
from dna_pipelines.update import fingerprint
from dna_pipelines.update.calibration import ensure_ranges
from dna_pipelines.update.plan import dna_state, make_plan
from dna_pipelines.update.report import begin_report, nothing_done
from dna_pipelines_tests.toy import image_bytes, toy_project, write_image

IMAGES = {f"{number}.png": number for number in range(8)}


@pytest.fixture
def project(tmp_path):
    return toy_project(tmp_path, {"one": IMAGES, "two": {f"{n}.png": n for n in range(20, 29)}})


def run(project, only=()):
    plan = make_plan(project, only)
    return nothing_done(plan) if plan.nothing_to_do else follow(project, plan)


def follow(project, plan):
    report = begin_report(plan)
    bring_up_to_date(project, plan, report, Silent())
    return report


def by_name(report):
    return {dataset.dataset: dataset for dataset in report.datasets}


def materialized(project, key, partition=None):
    with open_instance(project) as instance:
        if partition:
            event = instance.fetch_materializations(
                dg.AssetRecordsFilter(dg.AssetKey(key), asset_partitions=[partition]), limit=9
            )
            return event.records
        return instance.fetch_materializations(dg.AssetKey(key), limit=9).records


def test_the_definitions_are_one_set_per_extractor_over_one_ingestion(project):
    definitions = build_defs(project)
    keys = {key.to_user_string() for key in definitions.resolve_all_asset_keys()}
    assert keys == {"raw", "manifest", "toy/ranges", "toy/dna", "toy/distances", "toy/matrix"}
    dg.Definitions.validate_loadable(definitions)
    for spec in definitions.resolve_all_asset_specs():
        assert spec.description, spec.key


def test_the_first_run_computes_everything_and_the_second_nothing(project):
    first = run(project)
    assert {name: one.fingerprints["toy"].n_images_extracted for name, one in by_name(first).items()} == {
        "one": 8,
        "two": 9,
    }
    assert first.pairs["toy"].n_pairs_computed == 1
    assert first.calibrated == ["toy"]
    second = run(project)
    assert all(one.state == "unchanged" and one.n_images_extracted == 0 for one in second.datasets)
    assert (second.pairs["toy"].n_pairs_computed, second.pairs["toy"].n_pairs_reused) == (0, 1)
    assert len(materialized(project, "manifest", "one")) == 1


@pytest.mark.campaign
def test_a_picture_that_is_not_drawn_is_drawn(project):
    """As after a run that was killed once the pairs were compared, or where notes and pictures were removed."""
    run(project)
    (project.lake.layout.drawn("toy")).unlink()
    picture = project.root / "data" / "reports" / "toy-matrix.png"
    picture.unlink()
    project.lake.attempts.begin("toy/matrix", ALL, "whatever")
    assert not make_plan(project).nothing_to_do
    assert run(project).pairs["toy"].n_pairs_computed == 0
    assert picture.exists()
    assert project.lake.attempts.last("toy/matrix") is None
    assert make_plan(project).nothing_to_do


def test_a_change_of_one_dataset_leaves_the_other_alone(project):
    run(project)
    write_image(project.root / "images" / "one", "new.png", 99)
    done = run(project)
    assert done.problems == []
    report = by_name(done)
    assert report["one"].fingerprints["toy"].n_images_extracted == 1
    assert report["one"].changes == {**dict.fromkeys(ManifestDiff().counts(), 0), "added": 1}
    assert report["two"].state == "unchanged"
    assert len(materialized(project, ["toy", "dna"], "one")) == 2
    assert len(materialized(project, ["toy", "dna"], "two")) == 1
    assert len(materialized(project, ["toy", "matrix"])) == 2


def test_renamed_files_reach_the_manifest_and_nothing_after_it(project):
    run(project)
    (project.root / "images" / "one" / "0.png").rename(project.root / "images" / "one" / "other.png")
    report = by_name(run(project))
    assert report["one"].changes["renamed"] == 1
    assert report["one"].n_images_extracted == 0
    assert len(materialized(project, "manifest", "one")) == 2
    assert len(materialized(project, ["toy", "dna"], "one")) == 1


@pytest.mark.campaign
def test_of_two_runs_that_start_together_the_second_reports_what_the_other_ingested(project):
    plans = [make_plan(project) for _ in range(2)]
    first, second = (by_name(follow(project, plan)) for plan in plans)
    assert [one.why for one in first.values()] == ["8 added", "9 added"]
    assert [one.why for one in second.values()] == ["another run ingested it meanwhile"] * 2


def test_data_versions_are_ids_of_content_and_raw_versions_are_events(project):
    run(project)
    manifest = materialized(project, "manifest", "one")[0].asset_materialization
    commit = project.lake.versions.latest("one")
    assert manifest.tags["dagster/data_version"] == commit.version_id
    dna = materialized(project, ["toy", "dna"], "one")[0].asset_materialization
    assert dna.tags["dagster/data_version"] == dna.metadata["dna_id"].value
    # Dagster hashes the versions of all partitions it read: here, of one.
    assert dna.tags["dagster/input_data_version/manifest"] == hashlib.sha256(commit.version_id.encode()).hexdigest()
    raw = materialized(project, "raw", "one")[0].asset_materialization
    assert raw.tags["dagster/data_version"] == commit.raw_version


@pytest.mark.usefixtures("drawn")
def test_people_see_counts_schema_and_the_heat_map(project):
    run(project)
    (project.root / "images" / "one" / "bad|name.png").write_bytes(b"no image")
    run(project)
    manifest = materialized(project, "manifest", "one")[0].asset_materialization.metadata
    assert manifest["n_images"].value == 8
    assert manifest["n_quarantined"].value == 1
    assert manifest["location"].value == "images/one"
    assert r"bad\|name.png" in manifest["quarantine"].value
    columns = {column.name: column.description for column in manifest["dagster/column_schema"].value.columns}
    assert columns.keys() >= {"digest", "shard_id", "block"}
    assert all(columns.values())
    matrix, before = (event.asset_materialization.metadata for event in materialized(project, ["toy", "matrix"]))
    # As in SQL: a pair in both orders. Then a check blocks one of the two datasets.
    assert (before["dagster/row_count"].value, matrix["dagster/row_count"].value) == (2, 0)
    assert matrix["heat_map"].value.startswith("![matrix](data:image/png;base64,iVBOR")
    for name in ("toy-matrix", "toy-changes"):
        with Image.open(project.root / "data" / "reports" / f"{name}.png") as picture:
            assert picture.width > 300


def test_a_dataset_that_fails_stops_no_other(project):
    write_image(project.root / "images" / "two", "new.png", 77)
    run(project)
    for file in (project.root / "images" / "one").iterdir():
        file.unlink()
    (project.root / "images" / "one").rmdir()
    write_image(project.root / "images" / "two", "newer.png", 78)
    report = by_name(run(project))
    problem = report["one"].problem
    assert (problem.code, problem.facts) == ("source.missing", {"uri": str(project.root / "images" / "one")})
    assert report["two"].fingerprints["toy"].n_images_extracted == 1
    assert report["two"].problem is None
    assert project.lake.versions.latest("one").n_images == 8


@pytest.mark.campaign
@pytest.mark.parametrize("phase", ["_ensure_ranges", "_compare"])
def test_a_dataset_that_is_removed_during_the_run_stops_no_other(project, monkeypatch, phase):
    original, text = getattr(headless.HeadlessRun, phase), project.file.path.read_text()

    def remove_then_go_on(self, *arguments):
        entry = text[text.index("  - name: one") : text.index("  - name: two")]
        project.file.path.write_text(text.replace(entry, ""))
        return original(self, *arguments)

    monkeypatch.setattr(headless.HeadlessRun, phase, remove_then_go_on)
    report = by_name(run(project))
    assert report["two"].problem is None
    assert report["two"].fingerprints["toy"].n_images_extracted > 0
    removed = phase == "_ensure_ranges"
    code = report["one"].problem.code if report["one"].problem else None
    assert code == ("dataset.removed-meanwhile" if removed else None)


def test_images_that_change_during_the_run_are_listed_once_more(project, monkeypatch):
    original, changed = headless.HeadlessRun._ensure_ranges, []

    def change_then_go_on(self, *arguments):
        ready = original(self, *arguments)
        if not changed:
            write_image(project.root / "images" / "one", "3.png", 55)
            write_image(project.root / "images" / "one", "half.png", 56)
            (project.root / "images" / "one" / "7.png").unlink()
            changed.append(True)
        return ready

    monkeypatch.setattr(headless.HeadlessRun, "_ensure_ranges", change_then_go_on)
    for number in (61, 62, 63):
        write_image(project.root / "images" / "one", f"{number}.png", number)
    (project.root / "images" / "one" / "half.png").write_bytes(image_bytes(56)[:60])
    report = by_name(run(project))
    assert report["one"].problem is None
    assert project.lake.versions.latest("one").seq == 2
    # Of the result of the run, not of its intermediate commits.
    assert (report["one"].n_images, report["one"].n_quarantined, report["one"].why) == (11, 0, "11 added")


@pytest.mark.campaign
@pytest.mark.parametrize("n_times", [1, 9])
def test_ranges_replaced_during_the_run_are_followed_once_and_then_reported(project, monkeypatch, n_times):
    original, calibrated = fingerprint.fit, []

    def fit_then_calibrate(project, dataset, extractor, progress=None):
        fitted = original(project, dataset, extractor, progress)
        if dataset.name == "two" and len(calibrated) < n_times:
            calibrated.append(True)
            ensure_ranges(project, extractor, replace=True, on=["one", "two"][len(calibrated) % 2 :][:1])
        return fitted

    monkeypatch.setattr(fingerprint, "fit", fit_then_calibrate)
    report = by_name(run(project))
    states = {name: dna_state(project, project.file.dataset(name), project.config().extractors[0]) for name in report}
    problems = {name: one.problem for name, one in report.items() if one.problem}
    assert states == dict.fromkeys(report, "current" if n_times == 1 else "missing")
    assert problems.keys() == {name for name in report if states[name] == "missing"}
    for name, problem in problems.items():
        assert problem.code == "dataset.changed-meanwhile"
        assert problem.facts == {"dataset": name, "extractors": ["toy"]}


def test_a_mistake_is_a_failure_with_its_message_and_no_stack_of_ours(project):
    with open_instance(project) as instance:
        sync_partitions(instance, project)
        result = dg.materialize(
            build_assets(project), instance=instance, resources={"project_resource": ProjectResource(project)}, partition_key="one",
            selection=["toy/dna"], raise_on_error=False,
        )  # fmt: skip
    [failure] = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert failure.user_failure_data.metadata["code"].value == "dataset.no-manifest"
    assert "one" in failure.user_failure_data.description


def test_assets_can_be_materialized_by_hand_one_after_the_other(project):
    with open_instance(project) as instance:
        sync_partitions(instance, project)
        for selection, partition in (
            ("manifest", "one"),
            ("manifest", "two"),
            ("toy/ranges", None),
            ("toy/dna", "one"),
            ("toy/dna", "two"),
        ):
            result = dg.materialize(
                build_assets(project), instance=instance, resources={"project_resource": ProjectResource(project)},
                partition_key=partition, selection=[selection],
            )  # fmt: skip
            assert result.success
        result = dg.materialize(
            build_assets(project), instance=instance, resources={"project_resource": ProjectResource(project)},
            selection=["toy/distances", "toy/matrix"],
        )  # fmt: skip
    assert result.success
    assert make_plan(project).nothing_to_do


def test_partitions_follow_the_datasets_file(project):
    with open_instance(project) as instance:
        assert sync_partitions(instance, project) == (["one", "two"], [])
        project.file.remove("one")
        context = dg.build_sensor_context(instance=instance, resources={"project_resource": ProjectResource(project)})
        requests = registry_sensor(context).dynamic_partitions_requests
        assert [(type(request).__name__, request.partition_keys) for request in requests] == [
            ("DeleteDynamicPartitionsRequest", ["one"])
        ]
        assert sync_partitions(instance, project) == ([], ["one"])
        assert instance.get_dynamic_partitions(DATASETS.name) == ["two"]
        project.file.path.write_text("datasets: 3\n")
        assert str(project.file.path) in registry_sensor(context).skip_reason.skip_message


@pytest.mark.campaign
def test_replacing_the_ranges_recomputes_every_dna(project):
    run(project)
    write_image(project.root / "images" / "one", "bright.png", 12345)
    run(project)
    before = {row.dna_id for row in project.lake.fingerprints.dna_records()}
    replace_ranges(project, "toy", Silent())
    report = by_name(run(project))
    assert {name: one.n_images_extracted for name, one in report.items()} == {"one": 9, "two": 9}
    assert {row.dna_id for row in project.lake.fingerprints.dna_records()} > before


def test_an_empty_project_of_empty_datasets_is_no_error(tmp_path):
    project = toy_project(tmp_path, {"nothing": {}})
    report = run(project)
    assert report.datasets[0].problem is None
    assert report.problems == []
    assert run(project).datasets[0].state == "unchanged"
