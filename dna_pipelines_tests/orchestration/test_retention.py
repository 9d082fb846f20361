"""What would fill the disk of an idle project is removed; what you may ask for stays."""

import time
from pathlib import Path

import dagster as dg
import pytest

from dna_pipelines.orchestration.automation import automation_sensor
from dna_pipelines.orchestration.build import build_defs
from dna_pipelines.orchestration.instance import prepare_home
from dna_pipelines.orchestration.partitions import sync_partitions
from dna_pipelines.orchestration.project_resource import ProjectResource
from dna_pipelines.orchestration.retention import remove_scans, remove_tick_logs, retention_sensor
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines_tests.toy import toy_project

DAY_S = 86_400


@pytest.fixture
def project(tmp_path):
    return toy_project(tmp_path, {"one": {"a.png": 1}})


@pytest.fixture
def instance(project):
    """The instance of a daemon, where what is printed is kept in files."""
    with dg.DagsterInstance.from_config(str(prepare_home(project))) as instance:
        sync_partitions(instance, project)
        yield instance


def files(instance):
    return {path for path in Path(instance.root_directory).rglob("*") if path.is_file()}


def looks(instance):
    return {path for path in files(instance) if "keep_current" in path.parts}


def ticked(sensor, project, instance):
    """The result of a tick of a sensor, as a code server makes it."""
    repository = build_defs(project).get_repository_def()
    with dg.SensorEvaluationContext(
        instance.get_ref(),
        log_key=[repository.name, sensor.name, "1"],
        repository_name=repository.name,
        repository_def=repository,
        sensor_name=sensor.name,
        resources={"project_resource": ProjectResource(project)},
    ) as context:
        return sensor.evaluate_tick(context)


def test_what_was_printed_at_a_tick_is_kept_for_an_hour(project, instance):
    ticked(automation_sensor, project, instance)
    (look,) = looks(instance)
    assert look.stat().st_size > 0
    repository = look.parent.parent.name
    before = files(instance)
    assert remove_tick_logs(instance, repository, time.time() + 3000) == 0
    assert remove_tick_logs(instance, repository, time.time() + 4000) == 1
    assert before - files(instance) == {look}


def test_runs_of_scan_are_kept_for_a_day_and_failed_ones_for_a_month(project, instance):
    job = build_defs(project).resolve_job_def("scan")

    def scan(*datasets):
        config = {"ops": {"scan_locations": {"config": {"datasets": list(datasets)}}}}
        return job.execute_in_process(config, instance, raise_on_error=False)

    before = files(instance)
    assert scan("one").success
    (project.root / "images" / "one").rename(project.root / "images" / "elsewhere")
    assert not scan("one").success
    assert len(files(instance) - before) > 2
    assert remove_scans(instance) == 0
    assert remove_scans(instance, time.time() + 2 * DAY_S) == 1
    assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.FAILURE]
    assert remove_scans(instance, time.time() + 31 * DAY_S) == 1
    assert instance.get_runs() == []
    # Events without a run, such as those of `raw`, have one database for all.
    assert [path.name for path in files(instance) - before] == [".db"]
    assert "one" in project.lake.versions.scanned()


def test_other_runs_stay(project, instance):
    materialized = (
        build_defs(project)
        .resolve_implicit_global_asset_job_def()
        .get_subset(asset_selection={dg.AssetKey("manifest")})
    )
    assert materialized.execute_in_process(instance=instance, partition_key="one").success
    assert remove_scans(instance, time.time() + 365 * DAY_S) == 0
    assert len(instance.get_runs()) == 1


def test_the_sensor_removes_both_and_asks_for_nothing(project, instance, monkeypatch):
    ticked(automation_sensor, project, instance)
    build_defs(project).resolve_job_def("scan").execute_in_process(
        {"ops": {"scan_locations": {"config": {"datasets": ["one"]}}}}, instance
    )
    later = time.time() + 2 * DAY_S
    monkeypatch.setattr(time, "time", lambda: later)
    project.file.path.write_text("keep_versions: 2\n" + project.file.path.read_text())
    result = ticked(retention_sensor, ProjectFolder(project.root), instance)
    assert (looks(instance), instance.get_runs(), result.run_requests) == (set(), [], [])
