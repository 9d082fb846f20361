"""A run lists the location of each dataset once, unless something happens in between that it must not miss."""

import os
from collections import Counter

import pytest

from dna_pipelines.orchestration import headless
from dna_pipelines.sources.folder import FolderSource
from dna_pipelines.update.ingest import refresh
from dna_pipelines.update.listing import list_location
from dna_pipelines.update.plan import make_plan
from dna_pipelines_tests.orchestration.test_assets import by_name, follow, run
from dna_pipelines_tests.toy import toy_project, write_image

NAMES = ("one", "two")


@pytest.fixture
def project(tmp_path):
    return toy_project(
        tmp_path, {name: {f"{n}.png": n for n in range(20 * i, 20 * i + 4)} for i, name in enumerate(NAMES)}
    )


@pytest.fixture
def listed(project, monkeypatch):
    """How often each location was listed since the last `clear`."""
    counts, original = Counter(), FolderSource.list

    def counted(source):
        counts[os.path.basename(os.fsdecode(source._root))] += 1
        return original(source)

    monkeypatch.setattr(FolderSource, "list", counted)
    return counts


def test_a_run_lists_every_location_once_whether_it_changed_or_not(project, listed):
    run(project)
    assert listed == dict.fromkeys(NAMES, 1)
    listed.clear()
    write_image(project.root / "images" / "one", "new.png", 99)
    assert by_name(run(project))["one"].n_images == 5
    assert listed == dict.fromkeys(NAMES, 1)
    listed.clear()
    run(project)
    assert listed == dict.fromkeys(NAMES, 1)


@pytest.mark.campaign
def test_what_another_process_committed_meanwhile_is_listed_again(project, listed):
    plan = make_plan(project)
    write_image(project.root / "images" / "one", "new.png", 99)
    refresh(project, project.file.dataset("one"))
    listed.clear()
    report = by_name(follow(project, plan))
    assert listed == {"one": 1}
    assert {name: each.n_images for name, each in report.items()} == {"one": 5, "two": 4}


@pytest.mark.campaign
def test_what_another_process_listed_later_is_listed_again(project, listed):
    """Otherwise the time of the last listing goes back, and what was seen before it counts as news."""
    run(project)
    dataset = project.file.dataset("one")
    earlier = list_location(project, dataset)
    refresh(project, dataset)
    at_ns = project.lake.versions.refreshed_at_ns("one")
    assert at_ns > earlier.began_ns
    listed.clear()
    refresh(project, dataset, None, earlier)
    assert listed == {"one": 1}
    assert project.lake.versions.refreshed_at_ns("one") >= at_ns


def test_a_listing_counts_from_when_it_began(project):
    earlier = list_location(project, project.file.dataset("one"))
    refresh(project, project.file.dataset("one"), None, earlier)
    assert project.lake.versions.refreshed_at_ns("one") == earlier.began_ns


def test_a_listing_under_other_settings_is_not_used(project, listed):
    earlier = list_location(project, project.file.dataset("one"))
    text = project.file.path.read_text()
    project.file.path.write_text(text.replace("uri: images/one", "uri: images/one\n    exclude: ['0.png']"))
    listed.clear()
    assert refresh(project, project.file.dataset("one"), None, earlier).commit.n_images == 3
    assert listed == {"one": 1}


def test_a_file_that_was_removed_after_the_listing_is_not_quarantined(project, listed, monkeypatch):
    original = headless.HeadlessRun._ingest

    def remove_then_go_on(self, *arguments):
        (project.root / "images" / "one" / "0.png").unlink(missing_ok=True)
        return original(self, *arguments)

    monkeypatch.setattr(headless.HeadlessRun, "_ingest", remove_then_go_on)
    report = by_name(run(project))["one"]
    assert (report.n_images, report.n_quarantined, report.problem) == (3, 0, None)
    assert listed == {"one": 2, "two": 1}
