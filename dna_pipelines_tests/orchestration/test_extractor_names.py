"""What an extractor is called is what people see it under, and nothing that is measured depends on it."""

import pytest

from dna_pipelines.analysis.matrix import find_matrix
from dna_pipelines.orchestration.headless import replace_ranges
from dna_pipelines.project.progress import Silent
from dna_pipelines.update.forecast import forecast
from dna_pipelines.update.plan import make_plan
from dna_pipelines_tests.orchestration.test_assets import run
from dna_pipelines_tests.toy import toy_project, write_image

DATASETS = {
    name: {f"{number}.png": number for number in range(start, start + 5)} for name, start in (("one", 0), ("two", 20))
}


@pytest.fixture
def project(tmp_path):
    return toy_project(tmp_path, DATASETS)


def rewrite(project, old, new):
    text = project.file.path.read_text()
    assert old in text
    project.file.path.write_text(text.replace(old, new))


def pairs_in_sql(project):
    rows = project.catalog.rows("SELECT extractor, dataset_a, dataset_b FROM matrix ORDER BY ALL")
    return [tuple(row.values()) for row in rows]


def pairs_of(extractor):
    return [(extractor, a, b) for a in DATASETS for b in DATASETS if a != b]


def to_extract(project):
    return {one.name: one.n_to_extract for one in forecast(project, make_plan(project)).datasets}


def test_a_name_may_have_dashes_and_dots(project):
    rewrite(project, "name: toy", "name: toy-1.0\n    network: toy")
    report = run(project)
    assert (report.problems, report.failed) == ([], [])
    assert find_matrix(project, "toy-1.0").names == ("one", "two")
    write_image(project.root / "images" / "one", "new.png", 99)
    run(project)
    before = project.lake.fingerprints.extractor("toy-1.0").ranges_id
    replace_ranges(project, "toy-1.0", Silent())
    assert project.lake.fingerprints.extractor("toy-1.0").ranges_id != before


@pytest.mark.campaign
def test_under_a_new_name_nothing_is_computed(project):
    """Also where datasets grew since the calibration: the frozen ranges are those of the old name."""
    run(project)
    write_image(project.root / "images" / "one", "new.png", 99)
    run(project)
    rewrite(project, "name: toy", "name: renamed\n    network: toy")
    assert to_extract(project) == {"one": {"renamed": 0}, "two": {"renamed": 0}}
    report = run(project)
    assert report.calibrated == []
    assert sum(one.n_images_extracted for one in report.datasets) == 0
    assert report.pairs["renamed"].n_pairs_computed == 0
    assert pairs_in_sql(project) == pairs_of("renamed")
    assert find_matrix(project, "renamed").names == ("one", "two")
    changes = project.catalog.rows("SELECT DISTINCT extractor, dataset FROM changes")
    assert changes == [{"extractor": "renamed", "dataset": "one"}]
    current = project.catalog.rows("SELECT extractor, dataset FROM dnas WHERE is_current ORDER BY ALL")
    assert current == [{"extractor": "renamed", "dataset": name} for name in ("one", "two")]


@pytest.mark.campaign
def test_two_names_of_one_network_have_a_matrix_each(project):
    rewrite(project, "datasets:", "  - {name: again, network: toy, batch_size: 4}\ndatasets:")
    run(project)
    assert pairs_in_sql(project) == pairs_of("again") + pairs_of("toy")
    # Those that ask for other ranges get their own.
    rewrite(project, "network: toy, batch", "network: toy, calibrate_on: [two], batch")
    rewrite(project, "name: again", "name: apart")
    report = run(project)
    assert report.calibrated == ["apart"]
    store = project.lake.fingerprints
    assert store.extractor("apart").ranges_id != store.extractor("toy").ranges_id
    assert pairs_in_sql(project) == pairs_of("apart") + pairs_of("toy")


@pytest.mark.campaign
def test_only_datasets_that_gave_images_are_recorded_as_calibrated_on(project):
    (project.root / "images" / "none").mkdir()
    project.file.add({"name": "none", "uri": "images/none"})
    run(project)
    record = project.lake.fingerprints.extractor("toy")
    assert project.lake.fingerprints.ranges("toy", record.fingerprint).datasets == ("one", "two")


def test_calibrating_on_what_is_no_dataset_is_refused(project):
    rewrite(project, "name: toy", "name: toy\n    calibrate_on: [nope]")
    (problem,) = run(project).problems
    assert problem.code == "name.dataset"
    assert (problem.facts["name"], problem.facts["known"]) == ("nope", ["one", "two"])


@pytest.mark.campaign
def test_a_setting_that_makes_every_dna_missing_is_estimated(project):
    run(project)
    assert to_extract(project) == {"one": {"toy": 0}, "two": {"toy": 0}}
    rewrite(project, "name: toy", "name: toy\n    layers: ['0']")
    assert to_extract(project) == {"one": {"toy": 5}, "two": {"toy": 5}}
    # A batch size moves last bits at most: what is there is reused.
    rewrite(project, "name: toy\n    layers: ['0']\n    batch_size: 4", "name: toy\n    batch_size: 2")
    assert to_extract(project) == {"one": {"toy": 0}, "two": {"toy": 0}}
