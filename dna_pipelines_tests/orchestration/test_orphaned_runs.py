"""After a kill or with a lost database: orphaned runs, and the replay of the lake."""

import json
import os
import shutil
import socket
import time

import dagster as dg
import psutil
import pytest
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.tags import GRPC_INFO_TAG

from dna_pipelines.orchestration import orphaned_runs
from dna_pipelines.orchestration.replay import replay
from dna_pipelines.orchestration.scanning import scan_job
from dna_pipelines_tests.orchestration.daemon import ALL_OF, Daemon, open_instance
from dna_pipelines_tests.toy import write_image


def test_a_lost_dagster_database_costs_nothing(daemon, tmp_path):
    daemon.instance.dispose()
    shutil.rmtree(daemon.project.dagster_home)
    with open_instance(daemon.project) as fresh:
        assert Daemon(daemon.project, fresh).news() == []


def test_runs_whose_process_has_ended_are_reaped_and_what_they_did_is_asked_for_again(daemon):
    instance = daemon.instance
    write_image(daemon.place("one"), "new.png", 99)
    daemon.scan()
    [(key, partition)] = daemon.tick()
    job = daemon.definitions().resolve_implicit_global_asset_job_def().get_subset(asset_selection={key})

    def started(tags):
        run = instance.create_run_for_job(
            job, tags={"dagster/partition": partition, **tags}, asset_selection=frozenset({key})
        )
        instance.report_engine_event("launched", run)
        instance.handle_new_event(_event(run, dg.DagsterEventType.RUN_START))
        return run.run_id

    gone = started({orphaned_runs.PROCESS: f"{orphaned_runs.platform.node()}/999999/1"})
    elsewhere = started({orphaned_runs.PROCESS: "another-host/1/1"})
    here = started({orphaned_runs.PROCESS: orphaned_runs._name(os.getpid())})
    silent = started({})
    assert daemon.tick() == []  # they are under way, as far as anyone knows
    assert orphaned_runs.reap(instance) == [gone]
    assert orphaned_runs.reap(instance, now=time.time() + 1000) == [silent]
    for run_id in (elsewhere, here):
        assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.STARTED
        instance.report_run_failed(instance.get_run_by_id(run_id))
    assert daemon.until_idle() == [("manifest", "one"), ("toy/dna", "one"), *ALL_OF]


@pytest.mark.skipif(not psutil.LINUX, reason="elsewhere the clock is what there is")
def test_a_run_in_progress_stays_so_when_the_clock_is_set(daemon, monkeypatch):
    run = daemon.instance.create_run_for_job(
        scan_job, run_config={"ops": {"scan_locations": {"config": {"datasets": []}}}}
    )
    daemon.instance.handle_new_event(_event(run, dg.DagsterEventType.RUN_START))
    orphaned_runs.name_process(daemon.instance, run.run_id)
    boot_time = psutil._pslinux.boot_time
    monkeypatch.setattr(psutil._pslinux, "boot_time", lambda: boot_time() + 7200)
    assert orphaned_runs.reap(daemon.instance) == []
    named = orphaned_runs._name(os.getpid())
    assert orphaned_runs._has_ended(f"{named[: named.rindex('/')]}/1-{named[-8:]}")


def test_runs_that_no_server_will_start_any_more_are_reaped(daemon, tmp_path):
    instance, here = daemon.instance, orphaned_runs.platform.node()
    alive, dead = (socket.socket(socket.AF_UNIX) for _ in range(2))
    for server, name in ((alive, "alive"), (dead, "dead")):
        server.bind(str(tmp_path / name))
        server.listen()
    dead.close()

    def starting(host, socket_name, *, started=False):
        server_tags = {GRPC_INFO_TAG: json.dumps({"socket": str(tmp_path / socket_name)})} if socket_name else {}
        places = {"ops": {"scan_locations": {"config": {"datasets": []}}}}
        run = instance.create_run_for_job(scan_job, run_config=places, tags={orphaned_runs.HOST: host, **server_tags})
        instance.handle_new_event(_event(run, dg.DagsterEventType.PIPELINE_STARTING))
        if started:
            instance.handle_new_event(_event(run, dg.DagsterEventType.RUN_START))
        return run.run_id

    with alive:
        killed, gone = starting(here, "dead"), starting(here, "removed")
        # It began, and was killed before it could name its process.
        unnamed = starting(here, "dead", started=True)
        handed_over, elsewhere, not_yet = (
            starting(here, "alive"),
            starting("another-host", "dead"),
            starting(here, None),
        )
        assert set(orphaned_runs.reap(instance)) == {killed, gone, unnamed}
        assert orphaned_runs.reap(instance, now=time.time() + 60) == [not_yet]
    for run_id in (handed_over, elsewhere):
        assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.STARTING


def _event(run, kind):
    event = dg.DagsterEvent(event_type_value=kind.value, job_name=run.job_name)
    return EventLogEntry(
        error_info=None, level="debug", user_message="", run_id=run.run_id, timestamp=time.time(), dagster_event=event
    )


def test_replaying_the_lake_tells_a_fresh_database_everything_once(daemon):
    daemon.instance.dispose()
    shutil.rmtree(daemon.project.dagster_home)
    with open_instance(daemon.project) as fresh:
        # Three datasets with raw, manifest and DNA, and the ranges.
        assert replay(fresh, daemon.project) == 10
        assert replay(fresh, daemon.project) == 0
        assert fresh.get_materialized_partitions(dg.AssetKey(["toy", "dna"])) == {"one", "two", "three"}
        assert Daemon(daemon.project, fresh).news() == []
