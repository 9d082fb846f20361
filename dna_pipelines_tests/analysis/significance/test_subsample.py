"""A few images against many: the sample is uniform, and it is measured once."""

import hashlib
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from dna_pipelines.analysis.compare import compare_pair
from dna_pipelines.analysis.significance.subsample import sample_of, share_of
from dna_pipelines.identity import N_BLOCKS, Item
from dna_pipelines.project.image_set import ImageSet, resolve_image_set
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.project.reference import Reference
from dna_pipelines_tests.analysis.significance.conftest import result_of
from dna_pipelines_tests.toy import bring_up_to_date, toy_project, write_image

N_LARGE, N_DAY = 700, 6


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """`large`, two days of the same kind, and `odd`, whose images are all of one kind."""
    root = tmp_path_factory.mktemp("made")
    datasets = {
        "large": {f"i{number}x.png": number for number in range(N_LARGE)},
        "monday": {f"m{number}x.png": number for number in range(5000, 5000 + N_DAY)},
        "tuesday": {f"t{number}x.png": number for number in range(6000, 6000 + N_DAY)},
        "odd": {f"o{number}x.png": 15 * number + 14 for number in range(600, 600 + N_DAY)},
    }
    bring_up_to_date(toy_project(root, datasets, "", "calibrate_on: [large]"))
    return root


@pytest.fixture
def project(made, tmp_path):
    return ProjectFolder(shutil.copytree(made, tmp_path / "project"))


def image_set_of(n_units, group_size=1, seed=0):
    rng = np.random.default_rng(seed)
    digests = [rng.bytes(32).hex() for _ in range(n_units * group_size)]
    groups = [f"g{index // group_size}" if group_size > 1 else None for index in range(len(digests))]
    items = [Item(digest, group) for digest, group in zip(digests, groups, strict=True)]
    return image_set(items, digests)


def image_set(items, names):
    listing = SimpleNamespace(members=(items, names))
    commit = SimpleNamespace(dataset="many", n_images=len(items))
    return ImageSet("many", "version", Reference("many"), commit, listing)


def lot(digest):
    """The share of all lots that are smaller, computed independently of `lot_of`."""
    return int(hashlib.sha256(f"i\t{digest}".encode()).hexdigest()[2:14], 16) / 16**12


def test_a_small_side_is_tested_against_a_sample_that_is_measured_once(project):
    first = result_of(project, "monday", "large")
    assert (first.a, first.b) == ("monday", "a uniform sample of large")
    assert (first.n_images_a, first.n_sampled_of) == (N_DAY, N_LARGE)
    # An eighth: the largest power of two that gives blocks of a quarter of the day or less.
    smallest = [item for item in resolve_image_set(project, "large").items if lot(item.digest) < 1 / 8]
    assert first.n_images_b == first.n_images_extracted == len(smallest)
    assert first.statistics.p > 0.05
    # Without the images: the next day reuses the sample, and a repeated comparison reuses the result.
    shutil.rmtree(project.root / "images" / "large")
    second, again = result_of(project, "tuesday", "large"), result_of(ProjectFolder(project.root), "large", "monday")
    assert (second.n_images_b, second.n_images_extracted, again.n_images_extracted) == (len(smallest), 0, 0)
    assert second.statistics.p > 0.05
    assert again.statistics.p == first.statistics.p
    assert result_of(project, "odd", "large").statistics.p < 0.05
    rows = project.catalog.rows("SELECT label_a, label_b, n_images_a + n_images_b AS n FROM significance")
    assert {"a uniform sample of large"} < {label for row in rows for label in (row["label_a"], row["label_b"])}
    assert {row["n"] for row in rows} == {N_DAY + len(smallest)}


def test_the_dna_of_a_sample_is_that_of_a_dataset_of_its_images(project):
    smallest = {item.digest for item in resolve_image_set(project, "large").items if lot(item.digest) < 1 / 8}
    folder = project.root / "images" / "alone"
    folder.mkdir()
    for path in (project.root / "images" / "large").iterdir():
        if hashlib.sha256(path.read_bytes()).hexdigest() in smallest:
            shutil.copy(path, folder / path.name)
    file = project.file.path
    file.write_text(file.read_text() + "  - name: alone\n    uri: images/alone\n")
    result = result_of(project, "odd", "large")
    bring_up_to_date(project)
    alone = result_of(project, "odd", "alone")
    assert result.n_images_extracted == len(smallest)
    assert alone.n_sampled_of == 0
    assert alone.statistics.emd_bins == result.statistics.emd_bins
    np.testing.assert_array_equal(alone.statistics.neuron_p, result.statistics.neuron_p)


def test_images_added_to_a_large_dataset_are_tested_against_a_sample_of_its_earlier_version(project):
    for number in range(600, 600 + N_DAY):
        write_image(project.root / "images" / "large", f"new{number}.png", 15 * number + 14)
    bring_up_to_date(project)
    result = result_of(project, "large", "large@1")
    assert (result.a, result.b) == ("large without large@1", "a uniform sample of large@1")
    assert (result.n_images_a, result.n_shared) == (N_DAY, N_LARGE)
    assert result.statistics.p < 0.05


def test_a_sample_whose_images_are_removed_is_not_tested_and_the_facts_name_it(project):
    shutil.rmtree(project.root / "images" / "large")
    result = result_of(project, "monday", "large")
    assert result.statistics is None
    assert result.not_tested.code == "significance.sample-not-measurable"
    facts = result.not_tested.facts
    assert (facts["sample"], facts["coarse"]) == ("a uniform sample of large", "significance.blocks-too-coarse")


def test_images_in_blocks_are_those_of_the_dna(project):
    pair = compare_pair(project, "large", "odd")
    for dna in (pair.comparison.a, pair.comparison.b):
        blocks = project.lake.fingerprints.dna_blocks(dna.id, 0)
        np.testing.assert_array_equal(resolve_image_set(project, dna.label).in_blocks, blocks.n_images)


@pytest.mark.parametrize(("n_units", "group_size"), [(20_000, 1), (3000, 8)])
def test_a_sample_is_uniform_and_groups_are_in_it_whole(n_units, group_size):
    many = image_set_of(n_units, group_size)
    sample = sample_of(many, 40)
    share = len(sample.items) / len(many.items)
    # 4 standard deviations of a share of 1/32 (or 1/64) of the units.
    assert abs(share - 0.5 ** round(-np.log2(share))) < 4 * (share / n_units) ** 0.5
    assert 8 * 40 * 0.8 < len(sample.items) < 16 * 40 * 1.2
    inside, outside = sample.groups, {item.group for item in many.items} - sample.groups
    assert group_size == 1 or len(inside) + len(outside) == n_units
    assert sum(item.group in inside for item in many.items) == (len(sample.items) if group_size > 1 else 0)
    # Lots and blocks are independent: the sample is uniform over blocks (chi-square with 63 degrees of freedom).
    expected = len(sample.items) / group_size / N_BLOCKS
    assert (((sample.in_blocks / group_size - expected) ** 2) / expected).sum() < 63 + 4 * (2 * 63) ** 0.5


def test_smaller_sides_take_a_part_of_the_sample_and_added_images_keep_it():
    many = image_set_of(20_000)
    samples = [set(sample_of(many, n_images).items) for n_images in (35, 40, 45, 160)]
    assert samples[0] <= samples[1] == samples[2] < samples[3]
    grown = image_set([*image_set_of(200, seed=1).items, *many.items], [*many.names, *[""] * 200])
    now = set(sample_of(grown, 40).items)
    assert samples[1] < now
    assert len(now) - len(samples[1]) < 20


def test_no_sample_is_fine_enough_for_a_side_without_images():
    assert share_of(1000, 1) < share_of(1000, 10) < 1
    with pytest.raises(ValueError, match="images"):
        share_of(1000, 0)


def test_groups_too_large_for_finer_blocks_are_not_tested(tmp_path):
    clips = {f"clip{number // 80}/{number}.png": number for number in range(640)}
    day = {f"day{number // 2}/{number}.png": number for number in range(5000, 5020)}
    project = toy_project(tmp_path, {"clips": clips, "day": day}, "group_by: folder", "calibrate_on: [day]")
    bring_up_to_date(project)
    result = result_of(project, "day", "clips")
    assert result.statistics is None
    assert result.not_tested.code == "significance.blocks-too-coarse"
    assert (result.not_tested.facts["n_images_in_block"], "sample" in result.not_tested.facts) == (80, True)
    assert result.n_sampled_of == 0
