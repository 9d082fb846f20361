"""Slices and samples are pruned with the versions that they were used with, whatever their records say."""

import json
import os
import shutil
import time

import numpy as np
import pytest

from dna_pipelines.analysis.significance.subsample import fit_sample
from dna_pipelines.dna import dna_id
from dna_pipelines.maintenance.prune import carry_out, plan_pruning, prune
from dna_pipelines.project.image_set import resolve_image_set
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.update.dnas import find_dna
from dna_pipelines_tests.maintenance.conftest import (
    START_S,
    clock_with,
    copy_of,
    counts,
    grow,
    place,
    problems,
    stems,
    update,
)
from dna_pipelines_tests.toy import toy_project

DAY_S = 24 * 3600


def test_slices_go_with_the_versions_they_were_used_with(grouped, clock):
    old = clock(grouped, 10, "one[group=1]")
    for number in (101, 111, 121):
        clock(grouped, number)
        grow(grouped, number)
    new = clock(grouped, 200, "one[group=1]")
    assert old != new
    assert {old, new} <= stems(grouped, "dna/records/*.json")
    before = counts(grouped, "one[group=1]")
    clock(grouped, 200, "one[group=1]")
    prune(grouped, 2)
    assert stems(grouped, "dna/records/*.json") & {old, new} == {new}
    np.testing.assert_array_equal(counts(grouped, "one[group=1]"), before)
    assert problems(grouped) == []


@pytest.mark.parametrize("used_again", [True, False])
def test_a_slice_that_did_not_change_stays_while_it_is_used(grouped, clock, used_again):
    """Otherwise it is recomputed at its next use: its images still exist."""
    found = clock(grouped, 10, "one[group=1]")
    for number in (102, 103, 104):
        clock(grouped, number)
        grow(grouped, number)
    before = counts(grouped, "one[group=1]")
    # Asking for it is what counts.
    assert grouped.lake.layout.dna_record(found).stat().st_mtime > time.time() - 600
    assert clock(grouped, 200 if used_again else 10, "one[group=1]") == found
    prune(grouped, 2)
    assert (found in stems(grouped, "dna/records/*.json")) == used_again
    np.testing.assert_array_equal(counts(grouped, "one[group=1]"), before)


def test_a_slice_of_a_kept_version_stays_when_its_images_are_gone(grouped, clock):
    found = clock(grouped, 10, "one[group=1]")
    for number in (102, 103):
        clock(grouped, number)
        grow(grouped, number)
    clock(grouped, 104)
    for name in ("001.png", "011.png"):
        (place(grouped) / name).unlink()
    update(grouped)
    before = counts(grouped, "one[group=1]@-1")
    os.utime(grouped.lake.layout.dna_record(found), (START_S + 10,) * 2)
    prune(grouped, 2)
    np.testing.assert_array_equal(counts(grouped, "one[group=1]@-1"), before)
    assert find_dna(grouped, "one[group=1]@-1", "toy").id == found


def rewrite(project, identity, **fields):
    """Change fields of a DNA's record, and not when it was used last; None removes one."""
    path = project.lake.layout.dna_record(identity)
    used = path.stat().st_mtime_ns
    record = {**json.loads(path.read_bytes()), **fields}
    left_out = {name for name, value in record.items() if value is None} | {"checksum"}
    path.write_text(json.dumps({name: value for name, value in record.items() if name not in left_out}))
    os.utime(path, ns=(used, used))


NO_FIELDS = {"dataset": None, "kind": None}
"""As records were before they named their dataset."""


@pytest.fixture(scope="module")
def named_alike(tmp_path_factory):
    """Datasets whose names begin alike, of which `a.b` got new versions; the ids of the DNAs of a slice of each."""
    numbers = {"a": range(12), "a.b": range(20, 32), "a-1": range(40, 52)}
    images = {name: {f"{number:03d}.png": number for number in some} for name, some in numbers.items()}
    root = tmp_path_factory.mktemp("alike")
    project = toy_project(root, images, "shard_size: 6\ngroup_by: 'regex:(.)\\.png'")
    with pytest.MonkeyPatch.context() as patch:
        clock = clock_with(patch)
        clock(project, 0)
        update(project)
        slices = {name: clock(project, 10, f"{name}[group=1]") for name in numbers}
        for number in (102, 103, 104):
            clock(project, number)
            grow(project, number, name="a.b")
    return root, slices


@pytest.mark.parametrize("old_record", [False, True])
@pytest.mark.parametrize("label", ["a[group=1]", "a uniform sample of a", "a uniform sample of x", ""])
def test_whose_a_slice_is_does_not_depend_on_its_label(named_alike, tmp_path, label, old_record):
    root, slices = named_alike
    project = copy_of(root, tmp_path)
    for identity in slices.values():
        rewrite(project, identity, made_for=label, **(NO_FIELDS if old_record else {}))
    assert prune(project, 2).n_versions == {"a.b": 2}
    assert set(slices.values()) & stems(project, "dna/records/*.json") == {slices["a"], slices["a-1"]}
    assert problems(project) == []


def test_records_say_what_their_dna_is_of(grouped, clock):
    whole = clock(grouped, 10, "one")
    part = clock(grouped, 10, "one[group=1]")
    sample = resolve_image_set(grouped, "one").take([0, 3, 5], "any words", "sample")
    key = grouped.lake.fingerprints.extractor("toy").comparability_key
    fit_sample(grouped, sample, key, "toy")
    records = {one.dna_id: (one.dataset, one.kind) for one in grouped.lake.fingerprints.dna_records()}
    sampled = dna_id(key, sample.id)
    assert records == {whole: ("one", "version"), part: ("one", "slice"), sampled: ("one", "sample")}


def test_an_old_record_stays_where_any_dataset_with_its_images_may_need_it(grouped, clock):
    """A second dataset has the same images, and only the first loses versions."""
    text = grouped.file.path.read_text()
    grouped.file.path.write_text(text + "  - name: copy\n    uri: images/copy\n    group_by: 'regex:(.)\\.png'\n")
    shutil.copytree(place(grouped), place(grouped, "copy"))
    project = ProjectFolder(grouped.root)
    update(project)
    found = clock(project, 10, "one[group=1]")
    rewrite(project, found, **NO_FIELDS)
    for number in (102, 103, 104):
        clock(project, number)
        grow(project, number)
    # The manifest of the first version stays, because the copy's is the same.
    assert prune(project, 2).n_versions == {"one": 1}
    assert found in stems(project, "dna/records/*.json")


@pytest.mark.parametrize("lost", ["record", "dataset"])
def test_a_dna_whose_images_no_manifest_has_is_removed_a_day_after_its_last_use(grouped, clock, lost):
    found = clock(grouped, 10, "one[group=1]")
    if lost == "record":
        rewrite(grouped, found, **NO_FIELDS)
    else:
        rewrite(grouped, found, dataset="lost")
    (place(grouped) / "001.png").unlink()
    for number in (102, 103, 104):
        clock(grouped, number)
        grow(grouped, number)
    os.utime(grouped.lake.layout.dna_record(found))
    prune(grouped, 2)
    assert found in stems(grouped, "dna/records/*.json")
    os.utime(grouped.lake.layout.dna_record(found), (time.time() - 2 * DAY_S,) * 2)
    prune(grouped, 2)
    assert found not in stems(grouped, "dna/records/*.json")
    assert problems(grouped) == []


def test_an_old_record_stays_while_a_manifest_that_may_name_it_is_damaged(grouped, clock):
    found = clock(grouped, 10, "one[group=1]")
    rewrite(grouped, found, **NO_FIELDS)
    for number in (102, 103):
        clock(grouped, number)
        grow(grouped, number)
    (place(grouped) / "001.png").unlink()
    update(grouped)
    commit = grouped.lake.versions.history("one")[2]
    grouped.lake.layout.manifest("one", commit.manifest_id).write_bytes(b"-")
    prune(grouped, 2)
    assert found in stems(grouped, "dna/records/*.json")


def test_a_slice_that_is_used_after_planning_is_not_removed(grouped, clock):
    found = clock(grouped, 10, "one[group=1]")
    for number in (102, 103, 104):
        clock(grouped, number)
        grow(grouped, number)
    planned = plan_pruning(grouped, 2)
    assert found in {one.of for one in planned.files}
    counts(grouped, "one[group=1]")
    carry_out(grouped, planned)
    assert found in stems(grouped, "dna/records/*.json")
