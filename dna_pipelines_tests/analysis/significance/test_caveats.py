"""Groups as sampling units, and caveats of significance tests."""

import numpy as np
import pytest

from dna_pipelines.analysis.significance.all_pairs import _corrected, matrix_significance
from dna_pipelines.analysis.significance.independence import caveats, images_per_unit, looks_like_sequences
from dna_pipelines.comparison.multiplicity import benjamini_hochberg
from dna_pipelines.project.image_set import resolve_image_set
from dna_pipelines_tests.analysis.significance.conftest import result_of
from dna_pipelines_tests.toy import bring_up_to_date, toy_project


def test_groups_are_the_sampling_unit_and_there_are_caveats(tmp_path):
    clips = {f"clip{number // 4}/{number}.png": 15 * number for number in range(80)}
    frames = {f"clip0_frame_{number:04d}.png": 15 * (500 + number) for number in range(30)}
    project = toy_project(tmp_path, {"clips": clips, "frames": frames}, "", "calibrate_on: [clips]")
    file = project.file.path
    file.write_text(file.read_text().replace("uri: images/clips", "uri: images/clips\n    group_by: folder"))
    bring_up_to_date(project)
    result = result_of(project, "clips", "frames")
    assert result.sampling_unit == "group, or image without one"
    remarks = {caveat.code: caveat.facts for caveat in result.caveats}
    assert remarks["significance.sequences-without-group"] == {"images": "frames"}
    assert remarks["significance.one-side-without-groups"] == {"with_groups": "clips", "without_groups": "frames"}


def test_groups_of_unequal_size_are_a_caveat_wherever_a_result_is_shown(tmp_path):
    """12 clips of 5 images against 30 clips of 2: sides are matched by images, not by clips."""
    datasets = {
        "long": {f"clip{number // 5}/{number}.png": 15 * number for number in range(60)},
        "short": {f"clip{number // 2}/{number}.png": 15 * (100 + number) for number in range(60)},
        "alike": {f"clip{number // 3}/{number}.png": 15 * (200 + number) for number in range(90)},
    }
    project = toy_project(tmp_path, datasets, "group_by: folder", "calibrate_on: [long]")
    bring_up_to_date(project)
    unequal, similar = result_of(project, "long", "short"), result_of(project, "alike", "short")
    (caveat,) = unequal.caveats
    assert caveat.code == "significance.unequal-groups"
    assert caveat.facts == {
        "larger": "long", "smaller": "short", "n_images_per_unit_larger": 5, "n_images_per_unit_smaller": 2, "every": 2
    }  # fmt: skip
    assert unequal.to_json()["caveats"] == [caveat.to_json()]
    assert unequal.to_json()["doubts"] == [str(caveat)]
    assert similar.caveats == ()
    stored = {tuple(sorted((row["label_a"], row["label_b"]))): row for row in project.catalog.rows("FROM significance")}
    assert stored["long", "short"]["caveats"] == [str(caveat)]
    assert stored["alike", "short"]["caveats"] == []
    pairs = {(pair.a, pair.b): pair for pair in matrix_significance(project, "toy", n_permutations=99)}
    assert pairs["long", "short"].to_json()["caveats"] == [caveat.to_json()]
    assert pairs["short", "alike"].to_json()["caveats"] == []


def test_single_images_against_large_groups_are_a_caveat(tmp_path):
    datasets = {
        "clips": {f"clip{number // 4}/{number}.png": 15 * number for number in range(40)},
        "single": {f"x{number}/{number}.png": 15 * (100 + number) for number in range(40)},
    }
    project = toy_project(tmp_path, datasets, "", "calibrate_on: [clips]")
    file = project.file.path
    file.write_text(file.read_text().replace("uri: images/clips", "uri: images/clips\n    group_by: folder"))
    bring_up_to_date(project)
    clips, single = resolve_image_set(project, "clips"), resolve_image_set(project, "single")
    assert (images_per_unit(clips), images_per_unit(single)) == (4, 1)
    facts = {caveat.code: caveat.facts for caveat in caveats(single, clips)}["significance.unequal-groups"]
    assert (facts["larger"], facts["n_images_per_unit_larger"], facts["n_images_per_unit_smaller"]) == ("clips", 4, 1)
    # Without groups there is no caveat, even if images occur twice.
    twice = single.take([*range(40), *range(30)], "twice", "sample")
    assert images_per_unit(twice) == 1.75
    assert caveats(single, twice) == []


def test_a_p_with_caveats_makes_no_other_pair_significant():
    p, with_caveats = np.array([0.02, 1e-6, 1e-6, np.nan]), np.array([False, True, True, True])
    corrected = _corrected(benjamini_hochberg, p, with_caveats)
    np.testing.assert_allclose(benjamini_hochberg(p)[:3], [0.02, 1.5e-6, 1.5e-6])
    np.testing.assert_allclose(corrected, [0.06, 1.5e-6, 1.5e-6, np.nan])


def test_too_few_groups_are_not_tested_and_the_facts_count_them(tmp_path):
    datasets = {
        name: {f"clip{number % 3}/{number}.png": 15 * (number + start) for number in range(30)}
        for name, start in (("a", 0), ("b", 100))
    }
    project = toy_project(tmp_path, datasets, "group_by: folder", "calibrate_on: [a]")
    bring_up_to_date(project)
    result = result_of(project, "a", "b")
    assert result.statistics is None
    assert result.not_tested.code == "significance.too-few-units"
    assert result.not_tested.facts == {"n_blocks_a": 3, "n_blocks_b": 3}
    assert project.catalog.rows("FROM significance") == []


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        ([f"frame_{number:06d}.jpg" for number in range(50)], True),
        ([f"drive/{clip:04d}/{number:010d}.png" for clip in range(5) for number in range(0, 100, 5)], True),
        ([f"2021-03-04/cam1_{number}.png" for number in range(50)], True),
        ([f"{number:012d}.jpg" for number in range(50)], False),
        ([f"{name}/{number}.png" for name in ("cat", "dog", "horse") for number in range(30)], False),
        ([f"video_{number}.png" for number in range(0, 50_000, 1000)], False),
        (["a.png", "b.png", ""], False),
        ([], False),
    ],
)
def test_sequences_are_recognised_by_their_names(names, wanted):
    assert looks_like_sequences(names) == wanted
