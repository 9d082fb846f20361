"""Many datasets in one run of Dagster: each is reported as if it had a run of its own."""

from itertools import pairwise

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest
from hypothesis import given
from hypothesis import strategies as st

from dna_pipelines.errors import Interrupted, LakeError, SourceChanged
from dna_pipelines.orchestration.build import build_defs
from dna_pipelines.orchestration.headless import bring_up_to_date, contiguous
from dna_pipelines.orchestration.instance import open_instance
from dna_pipelines.orchestration.keys import MANIFEST, key_of
from dna_pipelines.orchestration.per_dataset import MOST_OF_A_RUN
from dna_pipelines.project.problem import Problem
from dna_pipelines.project.progress import Silent
from dna_pipelines.update import fingerprint
from dna_pipelines.update.plan import make_plan
from dna_pipelines.update.report import begin_report
from dna_pipelines_tests.raising import raises
from dna_pipelines_tests.toy import toy_project

NAMES = ("one", "two", "three")
DNA = key_of("toy", "dna")


@pytest.fixture
def project(tmp_path):
    return toy_project(
        tmp_path, {name: {f"{n}.png": n for n in range(20 * i, 20 * i + 4)} for i, name in enumerate(NAMES)}
    )


def run(project):
    plan = make_plan(project)
    report = begin_report(plan)
    bring_up_to_date(project, plan, report, Silent())
    return {dataset.dataset: dataset for dataset in report.datasets}


def states_of_runs(project):
    with open_instance(project) as instance:
        return [run.status.value for run in instance.get_runs()]


def failing(monkeypatch, errors):
    original = fingerprint.fit

    def fit(project, dataset, *arguments):
        if dataset.name in errors:
            raise errors[dataset.name]
        return original(project, dataset, *arguments)

    monkeypatch.setattr(fingerprint, "fit", fit)


@given(st.integers(0, 70), st.data())
def test_batches_are_all_that_is_wanted_in_contiguous_pieces(n_partitions, data):
    partitions = [f"dataset-{place}" for place in range(n_partitions)]
    wanted = data.draw(st.lists(st.sampled_from(partitions), unique=True)) if partitions else []
    batches = contiguous(partitions, wanted)
    assert sorted(name for batch in batches for name in batch) == sorted(wanted)
    for batch in batches:
        start = partitions.index(batch[0])
        assert batch == partitions[start : start + len(batch)]
        assert len(batch) <= MOST_OF_A_RUN
    for before, after in pairwise(batches):
        # No two could have been one.
        apart = partitions.index(after[0]) > partitions.index(before[-1]) + 1
        assert apart or len(before) == MOST_OF_A_RUN


def test_a_first_run_takes_one_run_for_each_step_not_for_each_dataset(project):
    report = run(project)
    assert {name: one.n_images_extracted for name, one in report.items()} == dict.fromkeys(NAMES, 4)
    # Manifests, ranges, DNAs, distances with the matrix.
    assert states_of_runs(project) == ["SUCCESS"] * 4


@pytest.mark.campaign
def test_dagster_calls_nothing_of_a_batch_out_of_date_and_after_a_change_only_what_it_reaches(project):
    run(project)

    def fresh():
        with open_instance(project) as instance:
            graph = build_defs(project).resolve_asset_graph()
            resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
            return {name: resolver.get_status(DNA, name) is StaleStatus.FRESH for name in NAMES}

    assert fresh() == dict.fromkeys(NAMES, True)
    with open_instance(project) as instance:
        commit = project.lake.versions.latest("two").version_id
        event = dg.AssetMaterialization(MANIFEST, partition="two", tags={"dagster/data_version": f"not {commit}"})
        instance.report_runless_asset_event(event)
    assert fresh() == {"one": True, "two": False, "three": True}


def test_a_dataset_that_fails_is_reported_alone_and_the_others_are_done(project, monkeypatch):
    lost = LakeError("the disk is lost", code="lake.lost", path="disk")
    failing(monkeypatch, {"one": lost, "two": RuntimeError("a defect")})
    report = run(project)
    assert report["one"].problem == Problem.of(lost)
    assert (report["one"].problem.code, report["one"].problem.facts) == ("lake.lost", {"path": "disk"})
    assert report["two"].problem.code == "dagster.unexpected"
    assert report["two"].problem.facts["asset"] == "toy/dna"
    assert report["two"].problem.facts["error"] == "RuntimeError: a defect"
    assert report["three"].problem is None
    assert report["three"].n_images_extracted == 4
    # What was made is compared, and the run of DNAs says that it was not all.
    assert sorted(states_of_runs(project)) == ["FAILURE", "SUCCESS", "SUCCESS", "SUCCESS"]


@pytest.mark.campaign
@pytest.mark.parametrize("names", [NAMES, ("alone",)])
def test_of_two_extractors_that_fail_each_is_named(tmp_path, monkeypatch, names):
    project = toy_project(tmp_path, {name: {f"{i}.png": i} for i, name in enumerate(names)})
    text = project.file.path.read_text()
    project.file.path.write_text(text.replace("  - name: toy", "  - {name: second, network: toy}\n  - name: toy"))

    def fit(_project, dataset, extractor, *_arguments):
        raise RuntimeError(f"a defect of {extractor.name}")

    monkeypatch.setattr(fingerprint, "fit", fit)
    report = run(project)
    assert set(report) == set(names)
    for one in report.values():
        assert one.problem.code == "dagster.unexpected"
        lines = sorted(one.problem.message.splitlines())
        assert len(lines) == 2
        for line, name in zip(lines, ("second", "toy"), strict=True):
            assert f"a defect of {name}" in line
            assert f"{name}/dna" in line


@pytest.mark.campaign
def test_a_dataset_that_keeps_changing_is_reported_as_changed_and_not_as_a_failure(project, monkeypatch):
    error = SourceChanged("3.png changed since the scan; run again", name="3.png")
    changed = Problem("source.changed", str(error), {"name": "3.png"}, "source changed")
    failing(monkeypatch, dict.fromkeys(("one", "three"), error))
    assert {name: one.problem for name, one in run(project).items()} == {"one": changed, "two": None, "three": changed}
    monkeypatch.undo()
    assert [one.problem for one in run(project).values()] == [None] * 3


def test_an_interruption_ends_the_batch_and_keeps_what_was_done(project, monkeypatch):
    failing(monkeypatch, {"two": Interrupted("stopped"), "three": AssertionError("this one has no turn")})
    with raises(Interrupted, "interrupted"):
        run(project)
    with open_instance(project) as instance:
        assert instance.get_materialized_partitions(DNA) == {"one"}
    monkeypatch.undo()
    report = run(project)
    assert {name: one.n_images_extracted for name, one in report.items()} == {"one": 0, "two": 4, "three": 4}
