"""From a difference to its images: planted ones come first, and every number equals a slow recomputation."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from dna_pipelines.analysis.compare import compare_pair
from dna_pipelines.analysis.images.aliases import ALIASES
from dna_pipelines.analysis.images.attribution import attribute, feature_shares
from dna_pipelines.analysis.images.attribution_by_group import attribute_by_group
from dna_pipelines.analysis.images.contrast import find_contrast
from dna_pipelines.comparison import emd_bins
from dna_pipelines.errors import NothingToCompare, UnknownName
from dna_pipelines.project.current import publish
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.update import remeasure
from dna_pipelines.update.dnas import find_dna
from dna_pipelines_tests.analysis.images.conftest import N_IMAGES, NIGHT, PLANTED, odd_image
from dna_pipelines_tests.cli.conftest import invoke
from dna_pipelines_tests.raising import raises
from dna_pipelines_tests.toy import bring_up_to_date, toy_project, write_image


@pytest.fixture
def project(made, tmp_path):
    return ProjectFolder(shutil.copytree(made, tmp_path / "project"))


def names(attribution):
    return [attribution.table.rows[image.index].name for image in attribution.images]


def test_planted_images_come_first(made):
    attribution = attribute(ProjectFolder(made), "a", "b", top=4)
    assert set(names(attribution)) == NIGHT
    assert 0 < attribution.significant_emd_bins < attribution.emd_bins
    assert attribution.n_in_detail == N_IMAGES
    assert attribution.images[0].conformal_p == pytest.approx(1 / (N_IMAGES + 1))


def test_features_alone_find_planted_images_too(made):
    attribution = attribute(ProjectFolder(made), "a", "b", top=4, in_detail=0)
    assert set(names(attribution)) == NIGHT
    assert (attribution.n_in_detail, attribution.emd_bins_without) == (0, None)


def test_shares_of_all_images_add_up_to_one(made):
    attribution = attribute(ProjectFolder(made), "a", "b", top=N_IMAGES)
    assert sum(image.share for image in attribution.images) == pytest.approx(1)
    assert feature_shares(find_contrast(ProjectFolder(made), "a", "b", "toy")).sum() == pytest.approx(1)
    mean = np.mean([image.contribution_bins for image in attribution.images])
    assert mean == pytest.approx(attribution.significant_emd_bins)


def test_the_distance_without_the_top_images_is_that_of_a_dataset_without_them(project):
    attribution = attribute(project, "a", "b", top=4)
    assert attribution.emd_bins == pytest.approx(compare_pair(project, "a", "b").to_json()["emd_bins"])
    for name in NIGHT:
        (project.root / "images" / "a" / name).unlink()
    bring_up_to_date(project)
    assert attribution.emd_bins_without == pytest.approx(compare_pair(project, "a", "b").to_json()["emd_bins"])
    assert attribution.emd_bins_without < attribution.emd_bins


def shifted_by_a_bin(partials_of):
    def partials(*arguments):
        for digests, measured in partials_of(*arguments):
            counts = np.roll(measured.histogram.counts, 1, axis=1)
            yield digests, replace(measured, histogram=replace(measured.histogram, counts=counts))

    return partials


def test_without_all_images_there_is_no_distance_although_counts_remain(made, monkeypatch):
    monkeypatch.setattr(remeasure, "partials_of", shifted_by_a_bin(remeasure.partials_of))
    assert attribute(ProjectFolder(made), "a", "b", top=N_IMAGES - 1).emd_bins_without is not None
    assert attribute(ProjectFolder(made), "a", "b", top=N_IMAGES).emd_bins_without is None


def test_a_missing_image_is_reported_and_still_ranked(project):
    name = f"{PLANTED[0]:03d}.png"
    (project.root / "images" / "a" / name).unlink()
    attribution = attribute(project, "a", "b", top=4)
    assert set(names(attribution)) == NIGHT
    problems = {attribution.table.rows[image.index].name: image.problem for image in attribution.images}
    assert [path for path, problem in problems.items() if problem] == [name]
    assert name in problems[name]
    (missing,) = [image for image in attribution.images if image.problem]
    assert missing.contribution_bins is None
    assert (attribution.n_in_detail, attribution.n_without) == (N_IMAGES - 1, 3)


def test_images_of_a_removed_dataset_are_ranked_by_their_features(project):
    file = project.root / "data" / "datasets.yaml"
    text = file.read_text()
    file.write_text(text[: text.index("  - name: a")] + text[text.index("  - name: b") :])
    attribution = attribute(project, "a", "b", top=4)
    assert set(names(attribution)) == NIGHT
    assert all(image.problem for image in attribution.images)
    assert (attribution.n_in_detail, attribution.emd_bins_without) == (0, None)


def test_images_of_slices_are_ranked(project):
    attribution = attribute(project, "a[light=night]", "b", top=9)
    assert set(names(attribution)) == NIGHT
    assert set(names(attribute(project, "a[light=night]", "a[light=day]", top=9))) == NIGHT
    with raises(NothingToCompare, "images.none-of-its-own"):
        attribute(project, "a[light=night]", "a[light=night]")


def test_of_two_versions_only_the_added_images_are_ranked(project):
    for number in range(6):
        write_image(project.root / "images" / "b", f"new-{number}.png", 2000 + number)
    for number in range(3):
        (project.root / "images" / "b" / f"odd-{number}.png").write_bytes(odd_image(100 + number))
    bring_up_to_date(project)
    attribution = attribute(project, "b", "b@-1", top=9)
    assert set(names(attribution)[:3]) == {f"odd-{number}.png" for number in range(3)}
    assert len(attribution.table) == 9
    # The DNA of the added images alone is compared with the old version.
    now, before = (find_dna(project, name, "toy").counts for name in ("b", "b@-1"))
    assert attribution.emd_bins == pytest.approx(emd_bins(now - before, before).mean())
    with raises(NothingToCompare, "images.none-of-its-own") as caught:
        attribute(project, "b@-1", "b")
    assert set(caught.value.facts) == {"a", "b"}


def test_added_images_are_separated_even_if_others_were_removed(project):
    (project.root / "images" / "b" / "000.png").unlink()
    for number in range(3):
        (project.root / "images" / "b" / f"odd-{number}.png").write_bytes(odd_image(100 + number))
    bring_up_to_date(project)
    contrast = find_contrast(project, "b", "b@-1", "toy")
    assert contrast.only_new
    assert {row.name for row in contrast.a.rows} == {f"odd-{number}.png" for number in range(3)}
    # The three images fill a shard of their own, whose counts are used.
    assert contrast.counts_a[0].sum() * 42 == 3 * find_dna(project, "b", "toy").counts[0].sum()


def test_metadata_values_and_groups(made):
    project = ProjectFolder(made)
    groups = {group.value: group for group in attribute_by_group(project, "a", "b", "light").groups}
    assert groups["night"].n_images == len(PLANTED)
    assert groups["night"].share > 0.5
    assert groups["night"].lift > 5
    assert groups["night"].share + groups["day"].share == pytest.approx(1)
    by_group = attribute_by_group(project, "a", "b", "group").groups
    assert [(group.value, group.n_images) for group in by_group] == [(None, N_IMAGES)]
    with raises(UnknownName, "name.column", reference="a", column="weather", known=["light", "group", "shard"]):
        attribute_by_group(project, "a", "b", "weather")


def test_contributions_of_shards_are_exact(made):
    project = ProjectFolder(made)
    attribution = attribute_by_group(project, "a", "b", "shard")
    assert attribution.exact
    assert [group.n_images for group in attribution.groups] == [10] * 4
    assert sum(group.share for group in attribution.groups) == pytest.approx(1)
    of_images = attribute(project, "a", "b", top=N_IMAGES)
    a, b = (find_dna(project, name, "toy").counts for name in "ab")
    compute_key = project.lake.fingerprints.extractor("toy").compute_key
    for group in attribution.groups:
        members = [image for image in of_images.images if of_images.table.shards[image.index] == group.value]
        assert group.share == pytest.approx(sum(image.share for image in members))
        shard = project.lake.fingerprints.partial_histogram(compute_key, group.value).counts
        assert group.emd_bins_without == pytest.approx(emd_bins(a - shard, b).mean())


def test_a_shard_that_occurs_twice_is_subtracted_twice(tmp_path):
    """Eight images, then copies of them in the same dataset, and then eight others."""
    project = toy_project(
        tmp_path, {"a": {f"{number}.png": number for number in range(8)}, "b": {f"{number}.png": number for number in range(50, 60)}},
        "shard_size: 8", "calibrate_on: [b]",
    )  # fmt: skip
    bring_up_to_date(project)
    for start, name in ((0, "copy"), (20, "other")):
        for number in range(8):
            write_image(tmp_path / "images" / "a", f"{name}{number}.png", start + number)
        bring_up_to_date(project)
    attribution = attribute_by_group(project, "a", "b", "shard")
    assert sorted(group.n_images for group in attribution.groups) == [8, 16]
    a, b = (find_dna(project, name, "toy").counts for name in "ab")
    compute_key = project.lake.fingerprints.extractor("toy").compute_key
    for group in attribution.groups:
        shard = project.lake.fingerprints.partial_histogram(compute_key, group.value).counts
        remaining = a - np.uint64(group.n_images // 8) * shard
        assert group.emd_bins_without == pytest.approx(emd_bins(remaining, b).mean())


def test_the_command_shows_the_same_images(made, tmp_path):
    said = invoke("--root", made, "images", "a", "b", "--top", 4, "--picture", tmp_path / "sheet.png")
    assert said.code == 0
    assert all(name in said.out for name in NIGHT)
    assert "light=night" in said.out
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 1000
    shown = invoke("--root", made, "images", "a", "b", "--top", 4, "--json").json
    assert {image["path"] for image in shown["images"]} == NIGHT
    assert "night" in invoke("--root", made, "images", "a", "b", "--by", "light").out
    groups = invoke("--root", made, "images", "a", "b", "--by", "shard", "--json").json["groups"]
    assert len(groups) == 4
    image = made / "images" / "a" / "000.png"
    assert json.loads(invoke("--root", made, "images", image, "--against", "b", "--json").out)["images"]
    assert invoke("--root", made, "images", image, "--against", "b", "--against", "a").code == 0
    for wrong, code in (
        (["a"], "cli.two-names"),
        (["a", "b", "--by", "light", "--picture", "x.png"], "cli.options-conflict"),
        (["a", "--against", "b", "--by", "light"], "cli.options-conflict"),
    ):
        refused = invoke("--root", made, "images", *wrong)
        assert (refused.code, refused.error) == (1, code)


def test_json_values_have_the_former_keys_beside_the_new_ones(made):
    values = [
        attribute(ProjectFolder(made), "a", "b", top=1, in_detail=0).to_json(),
        attribute_by_group(ProjectFolder(made), "a", "b", "light").to_json(),
    ]
    values.append(values[0]["images"][0])
    renamed = {"emd_beyond_chance_bins", "only_what_b_has_not", "parts", "seldom_in_b"}
    assert {old for value in values for old in ALIASES if old in value} == renamed
    assert all(value[old] == value[new] for value in values for old, new in ALIASES.items() if old in value)


def test_features_can_be_queried(made):
    project = ProjectFolder(made)
    publish(project)
    rows = project.catalog.rows(
        "SELECT dataset, layer, count(*) AS n, min(len(pooled)) AS w FROM image_features GROUP BY ALL"
    )
    assert sorted((row["dataset"], row["layer"], row["n"], row["w"]) for row in rows) == [
        ("a", "2", N_IMAGES, 5),
        ("b", "2", N_IMAGES, 5),
    ]


def test_copies_of_one_image_are_a_single_sampling_unit_and_nothing_is_significant(project):
    for number in range(5):
        write_image(project.root / "images" / "same", f"{number}.png", 7)
    file = project.file.path
    file.write_text(file.read_text() + "  - {name: same, uri: images/same}\n")
    bring_up_to_date(project)
    for references in (("same", "b"), ("b", "same")):
        assert find_contrast(project, *references, "toy").single_block_label == "same"
        attribution = attribute(project, *references, in_detail=0)
        assert attribution.significant_emd_bins == 0 < attribution.emd_bins
        said = invoke("--root", project.root, "images", *references, "--detail", 0)
        assert said.code == 0
        assert said.names("same")
    assert find_contrast(project, "a", "b", "toy").single_block_label is None


def test_the_description_names_the_images_and_their_number(project):
    (project.root / "images" / "b" / "000.png").unlink()
    bring_up_to_date(project)
    contrast = find_contrast(project, "b@1", "b", "toy")
    assert (contrast.n_images_counted, contrast.only_new, len(contrast.a)) == (1, True, 1)
    assert {"1", "image", "b@1", "b"} <= set(contrast.description.split())
    # Without separate counts of the removed image, all of A is described, of which one image is ranked.
    all_of_a = replace(contrast, n_images_counted=N_IMAGES)
    assert all_of_a.description.startswith("b@1")
    assert all_of_a.description != contrast.description
