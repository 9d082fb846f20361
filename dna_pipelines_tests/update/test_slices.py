"""Slices: the images whose metadata match, their DNA, and what it costs."""

import shutil

import numpy as np
import pytest

from dna_pipelines.analysis.compare import compare_pair
from dna_pipelines.errors import NothingToCompare, UnknownName
from dna_pipelines.project.current import publish
from dna_pipelines.project.image_set import resolve_image_set
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.update.dnas import find_dna
from dna_pipelines.update.ingest import refresh
from dna_pipelines.update.slices import fit_slice
from dna_pipelines_tests.cli.conftest import invoke
from dna_pipelines_tests.raising import raises
from dna_pipelines_tests.toy import bring_up_to_date, toy_project, write_image

N_IMAGES = 30
WEATHER = {number: ("rain" if number < 10 else "sun" if number < 25 else None) for number in range(N_IMAGES)}
CAMERA = {number: ("front" if number % 2 else "it's, odd") for number in range(N_IMAGES)}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A dataset of three shards: one of rain, one of sun, one of both sun and images of no known weather.

    `rain` holds the same images as the slice of rain, under other names.
    """
    root = tmp_path_factory.mktemp("made")
    names = {f"{number:03d}.png": number for number in range(N_IMAGES)}
    settings = "shard_size: 10\nmetadata: {uri: table.csv}"
    rain = {f"copy-{number}.png": number for number in range(10)}
    project = toy_project(root, {"a": names, "rain": rain}, settings, "calibrate_on: [a]")
    write_table(project, WEATHER, CAMERA)
    bring_up_to_date(project)
    return root


@pytest.fixture
def project(made, tmp_path):
    """A copy of it."""
    return ProjectFolder(shutil.copytree(made, tmp_path / "project"))


def write_table(project, weather, camera):
    lines = [f'{number:03d}.png,{weather[number] or ""},"{camera[number]}"\n' for number in weather]
    (project.root / "table.csv").write_text("path,weather,camera\n" + "".join(lines))


def sliced(project, text):
    return resolve_image_set(project, text)


def place(project):
    return project.root / "images" / "a"


def numbers(project, text):
    """Which images a slice holds."""
    names = {row.item: int(row.name.partition(".")[0]) for row in sliced(project, text).manifest.readable}
    return {names[item] for item in sliced(project, text).items}


@pytest.mark.parametrize(
    ("where", "wanted"),
    [
        ("weather=rain", lambda n: WEATHER[n] == "rain"),
        ("weather!=rain", lambda n: WEATHER[n] != "rain"),
        ("weather=", lambda n: WEATHER[n] is None),
        ("weather!=", lambda n: WEATHER[n] is not None),
        ("weather=sun,camera=front", lambda n: WEATHER[n] == "sun" and CAMERA[n] == "front"),
        ("camera='it''s, odd'", lambda n: CAMERA[n] != "front"),
    ],
)
def test_a_slice_holds_the_images_that_match(project, where, wanted):
    assert numbers(project, f"a[{where}]") == {number for number in range(N_IMAGES) if wanted(number)}


def test_what_lies_wholly_in_a_slice_is_not_extracted_again(project):
    record, n_extracted = fit_slice(project, sliced(project, "a[weather=rain]"), "toy")
    # The first shard is the slice, and `rain` has its DNA already.
    assert n_extracted is None
    assert record.made_for == "rain"
    record, n_extracted = fit_slice(project, sliced(project, "a[weather=sun]"), "toy")
    assert n_extracted == 5
    assert len(record.shards) == 2
    assert record.made_for == "a[weather=sun]"
    assert fit_slice(project, sliced(project, "a[weather=sun]"), "toy") == (record, None)


def test_the_dna_of_a_slice_is_that_of_a_dataset_of_the_same_images(project, tmp_path):
    """A slice cut from shards, against a dataset that holds those images and nothing else."""
    wanted = {f"{number}.png": number for number in range(N_IMAGES) if CAMERA[number] == "front"}
    datasets = {"a": {f"{n}.png": n for n in range(N_IMAGES)}, "front": wanted}
    other = toy_project(tmp_path / "other", datasets, "shard_size: 4", "calibrate_on: [a]")
    bring_up_to_date(other)
    expected, found = find_dna(other, "front", "toy"), find_dna(project, "a[camera=front]", "toy")
    assert found.id == expected.id
    np.testing.assert_array_equal(found.histogram.counts, expected.histogram.counts)
    np.testing.assert_allclose(found.moments.mean, expected.moments.mean, rtol=1e-12, atol=1e-14)


def test_parts_of_a_dataset_add_up_to_it(project):
    parts = [find_dna(project, f"a[weather{where}]", "toy") for where in ("=rain", "=sun", "=")]
    whole = find_dna(project, "a", "toy")
    counts = sum(part.histogram.counts.astype(np.int64) for part in parts)
    np.testing.assert_array_equal(counts, whole.histogram.counts)


def test_equal_slices_share_a_dna(project):
    assert sliced(project, "a[weather=rain]").id == sliced(project, "a[weather!=sun,weather!=]").id
    assert sliced(project, "a[weather=rain]").id == find_commit_id(project, "rain")
    summary = compare_pair(project, "a[weather=rain]", "rain").to_json()
    assert summary["emd_bins"] == 0
    assert summary["n_images_extracted"] == {}


def find_commit_id(project, name):
    return project.lake.versions.latest(name).version_id


def test_a_growing_slice_extracts_what_was_added_and_its_last_shard(project):
    fit_slice(project, sliced(project, "a[camera=front]"), "toy")
    for number in range(100, 104):
        write_image(place(project), f"{number}.png", number)
    write_table(project, WEATHER | dict.fromkeys(range(100, 104)), CAMERA | dict.fromkeys(range(100, 104), "front"))
    bring_up_to_date(project)
    _, n_extracted = fit_slice(project, sliced(project, "a[camera=front]"), "toy")
    # 15 images in shards of 10 and 5. The four new ones are a shard of the dataset, wholly in the slice.
    assert n_extracted == 0


def test_a_slice_of_what_was_before_is_read_where_its_images_are_now(project):
    (place(project) / "001.png").rename(place(project) / "zzz.png")
    (place(project) / "029.png").unlink()
    bring_up_to_date(project)
    assert numbers(project, "a[camera=front]@1") == set(range(1, N_IMAGES, 2))
    facts = {"reference": "a[camera=front]@1", "path": "a: 029.png", "cause": "source.vanished"}
    with raises(NothingToCompare, "compare.images-changed", **facts):
        find_dna(project, "a[camera=front]@1", "toy")
    _, n_extracted = fit_slice(project, sliced(project, "a[camera!=front]@1"), "toy")
    assert n_extracted == 15


def test_no_image_is_touched_once_the_dna_is_there(project):
    first = find_dna(project, "a[camera=front]", "toy")
    for file in list(place(project).iterdir()):
        file.unlink()
    assert find_dna(project, "a[camera=front]", "toy").id == first.id


def test_a_slice_of_a_blocked_dataset_gives_the_reason(project):
    for number in range(10):
        (place(project) / f"broken{number}.png").write_bytes(b"no image")
    refresh(project, project.config().datasets[0])
    summary = compare_pair(project, "a[weather=rain]", "rain").to_json()
    assert list(summary["blocked"]) == ["a[weather=rain]"]
    assert "10 of 40" in summary["blocked"]["a[weather=rain]"]


def test_an_unknown_column_is_an_error_that_lists_those_there_are(project):
    with raises(UnknownName, "name.column", column="wether", known=["camera", "weather"]):
        sliced(project, "a[wether=rain]")


def test_a_value_of_no_image_is_an_error_that_lists_the_most_frequent(project):
    frequent = {"weather": {"sun": 15, "rain": 10}}
    with raises(NothingToCompare, "compare.no-image-matches", reference="a[weather=snow]", frequent=frequent) as caught:
        sliced(project, "a[weather=snow]")
    assert list(caught.value.facts["frequent"]["weather"]) == ["sun", "rain"]


def test_groups_are_sliced_too(tmp_path):
    names = {f"{clip}_{number}.png": 10 * clip + number for clip in (1, 2) for number in range(5)}
    project = toy_project(tmp_path, {"a": names}, "group_by: 'regex:(\\d)_'")
    bring_up_to_date(project)
    assert len(sliced(project, "a[group=2]").items) == 5


def test_the_command_line_says_what_it_extracted(project):
    said = invoke("--root", project.root, "compare", "a[camera=front]", "a[camera!=front]")
    assert said.code == 0
    assert said.names("a[camera=front]: 15")
    assert "a[camera=front]" in said.out
    again = invoke("--root", project.root, "compare", "a[camera=front]", "a", "--json")
    assert again.json["n_images_extracted"] == {}
    assert "15" not in again.err
    wrong = invoke("--root", project.root, "compare", "a[camera=up]", "a")
    assert wrong.code == 1
    assert wrong.names("front (15)")


def test_sql_knows_what_a_dna_was_made_for(project):
    find_dna(project, "a[camera=front]", "toy")
    publish(project)
    rows = project.catalog.rows("SELECT made_for, n_images FROM dnas ORDER BY ALL")
    assert {row["made_for"]: row["n_images"] for row in rows} == {"a": 30, "a[camera=front]": 15, "rain": 10}
