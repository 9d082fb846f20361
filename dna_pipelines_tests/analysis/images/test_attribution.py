"""From a difference to its images: planted ones are found, and what is said of them is the slow recomputation."""

import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from dna_pipelines.analysis.compare import compare_pair
from dna_pipelines.analysis.images.attribution import attribute, pooled_shares
from dna_pipelines.analysis.images.attribution_by_group import carrying_parts
from dna_pipelines.analysis.images.contrast import find_sides
from dna_pipelines.analysis.images.scores import fit_outside
from dna_pipelines.comparison import emd_bins
from dna_pipelines.errors import NothingToCompare, UnknownName, UserError
from dna_pipelines.project.current import publish
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.update.dnas import find_dna
from dna_pipelines_tests.cli.conftest import invoke
from dna_pipelines_tests.toy import bring_up_to_date, toy_project, write_image

N_IMAGES, PLANTED = 40, (3, 11, 24, 38)
NIGHT = {f"{number:03d}.png" for number in PLANTED}


def odd_image(number):
    """An image unlike the noise of the others."""
    buffer = io.BytesIO()
    Image.new("RGB", (6, 6), (255, 255 - number, 0)).save(buffer, "png")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """`a` has four odd images among forty, `b` has none; `a` is cut into shards of ten."""
    root = tmp_path_factory.mktemp("made")
    a = {f"{number:03d}.png": number for number in range(N_IMAGES)}
    b = {f"{number:03d}.png": 1000 + number for number in range(N_IMAGES)}
    settings = "shard_size: 10\nmetadata: {uri: table.csv}"
    project = toy_project(root, {"a": a, "b": b}, settings, "calibrate_on: [a, b]")
    for number in PLANTED:
        (root / "images" / "a" / f"{number:03d}.png").write_bytes(odd_image(number))
    lines = [f"{name},{'night' if name in NIGHT else 'day'}\n" for name in a]
    (root / "table.csv").write_text("path,light\n" + "".join(lines))
    bring_up_to_date(project)
    return root


@pytest.fixture
def project(made, tmp_path):
    return ProjectFolder(shutil.copytree(made, tmp_path / "project"))


def names(found):
    return [found.rows.rows[one.place].name for one in found.images]


def test_planted_images_come_first(made):
    found = attribute(ProjectFolder(made), "a", "b", top=4)
    assert set(names(found)) == NIGHT
    assert 0 < found.beyond_chance_bins < found.emd_bins
    assert found.n_in_detail == N_IMAGES
    assert found.images[0].seldom == pytest.approx(1 / (N_IMAGES + 1))


def test_averages_alone_find_them_too(made):
    found = attribute(ProjectFolder(made), "a", "b", top=4, in_detail=0)
    assert set(names(found)) == NIGHT
    assert (found.n_in_detail, found.without_bins) == (0, None)


def test_shares_of_all_images_add_up_to_one(made):
    found = attribute(ProjectFolder(made), "a", "b", top=N_IMAGES)
    assert sum(one.share for one in found.images) == pytest.approx(1)
    assert pooled_shares(find_sides(ProjectFolder(made), "a", "b", "toy")).sum() == pytest.approx(1)
    mean = np.mean([one.contribution_bins for one in found.images])
    assert mean == pytest.approx(found.beyond_chance_bins)


def test_the_distance_without_the_top_images_is_that_of_a_dataset_without_them(project):
    found = attribute(project, "a", "b", top=4)
    assert found.emd_bins == pytest.approx(compare_pair(project, "a", "b").to_json()["emd_bins"])
    for name in NIGHT:
        (project.root / "images" / "a" / name).unlink()
    bring_up_to_date(project)
    assert found.without_bins == pytest.approx(compare_pair(project, "a", "b").to_json()["emd_bins"])
    assert found.without_bins < found.emd_bins


def test_images_that_are_gone_are_said_and_still_ranked(project):
    name = f"{PLANTED[0]:03d}.png"
    (project.root / "images" / "a" / name).unlink()
    found = attribute(project, "a", "b", top=4)
    assert set(names(found)) == NIGHT
    gone = next(one for one in found.images if found.rows.rows[one.place].name == name)
    assert "vanished" in gone.problem
    assert gone.contribution_bins is None
    assert (found.n_in_detail, found.n_without) == (N_IMAGES - 1, 3)


def test_without_its_place_a_dataset_is_known_by_averages(project):
    file = project.root / "data" / "datasets.yaml"
    text = file.read_text()
    file.write_text(text[: text.index("  - name: a")] + text[text.index("  - name: b") :])
    found = attribute(project, "a", "b", top=4)
    assert set(names(found)) == NIGHT
    assert all("no longer in the datasets file" in one.problem for one in found.images)


def test_slices_have_images_too(project):
    found = attribute(project, "a[light=night]", "b", top=9)
    assert set(names(found)) == NIGHT
    # Against the rest of its own dataset, and of another version of the slice there is nothing new.
    assert set(names(attribute(project, "a[light=night]", "a[light=day]", top=9))) == NIGHT
    with pytest.raises(NothingToCompare, match="has no image that"):
        attribute(project, "a[light=night]", "a[light=night]")


def test_of_two_versions_only_what_was_added_is_ranked(project):
    for number in range(6):
        write_image(project.root / "images" / "b", f"new-{number}.png", 2000 + number)
    for number in range(3):
        (project.root / "images" / "b" / f"odd-{number}.png").write_bytes(odd_image(100 + number))
    bring_up_to_date(project)
    found = attribute(project, "b", "b@-1", top=9)
    assert set(names(found)[:3]) == {f"odd-{number}.png" for number in range(3)}
    assert len(found.rows) == 9
    # What is held against the old version is the DNA of the added images alone.
    now, before = (find_dna(project, name, "toy").counts for name in ("b", "b@-1"))
    assert found.emd_bins == pytest.approx(emd_bins(now - before, before).mean())
    with pytest.raises(NothingToCompare, match="has no image that"):
        attribute(project, "b@-1", "b")


def test_added_images_are_told_apart_also_when_others_went(project):
    (project.root / "images" / "b" / "000.png").unlink()
    for number in range(3):
        (project.root / "images" / "b" / f"odd-{number}.png").write_bytes(odd_image(100 + number))
    bring_up_to_date(project)
    sides = find_sides(project, "b", "b@-1", "toy")
    assert sides.of_versions
    assert {row.name for row in sides.rows_a.rows} == {f"odd-{number}.png" for number in range(3)}
    # The three lie in a shard of their own, whose counts are taken.
    assert sides.counts_a[0].sum() * 42 == 3 * find_dna(project, "b", "toy").counts[0].sum()


def test_metadata_values_and_groups(made):
    project = ProjectFolder(made)
    parts = {part.value: part for part in carrying_parts(project, "a", "b", "light").parts}
    assert parts["night"].n_images == len(PLANTED)
    assert parts["night"].share > 0.5
    assert parts["night"].times > 5
    assert parts["night"].share + parts["day"].share == pytest.approx(1)
    whole = carrying_parts(project, "a", "b", "group").parts
    assert [(part.value, part.n_images) for part in whole] == [(None, N_IMAGES)]
    with pytest.raises(UnknownName, match="light, group, shard"):
        carrying_parts(project, "a", "b", "weather")


def test_shards_are_exact(made):
    project = ProjectFolder(made)
    found = carrying_parts(project, "a", "b", "shard")
    assert found.exact
    assert [part.n_images for part in found.parts] == [10] * 4
    assert sum(part.share for part in found.parts) == pytest.approx(1)
    images = attribute(project, "a", "b", top=N_IMAGES)
    a, b = (find_dna(project, name, "toy").counts for name in "ab")
    for part in found.parts:
        mine = [one for one in images.images if images.rows.shards[one.place] == part.value]
        assert part.share == pytest.approx(sum(one.share for one in mine))
        place = project.lake.fingerprints.extractor("toy").compute_key
        shard = project.lake.fingerprints.partial_histogram(place, part.value).counts
        assert part.without_bins == pytest.approx(emd_bins(a - shard, b).mean())


def test_a_shard_that_occurs_twice_is_taken_away_twice(tmp_path):
    """Eight images, which were then copied within the dataset, and eight others."""
    project = toy_project(
        tmp_path, {"a": {f"{number}.png": number for number in range(8)}, "b": {f"{number}.png": number for number in range(50, 60)}},
        "shard_size: 8", "calibrate_on: [b]",
    )  # fmt: skip
    bring_up_to_date(project)
    for start, name in ((0, "copy"), (20, "other")):
        for number in range(8):
            write_image(tmp_path / "images" / "a", f"{name}{number}.png", start + number)
        bring_up_to_date(project)
    found = carrying_parts(project, "a", "b", "shard")
    assert sorted(part.n_images for part in found.parts) == [8, 16]
    a, b = (find_dna(project, name, "toy").counts for name in "ab")
    place = project.lake.fingerprints.extractor("toy").compute_key
    for part in found.parts:
        shard = project.lake.fingerprints.partial_histogram(place, part.value).counts
        left = a - np.uint64(part.n_images // 8) * shard
        assert part.without_bins == pytest.approx(emd_bins(left, b).mean())


def test_images_from_anywhere_are_held_against_datasets(made, tmp_path):
    project = ProjectFolder(made)
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "odd.png").write_bytes(odd_image(77))
    write_image(tmp_path / "x", "usual.png", 3000)
    (tmp_path / "x" / "broken.png").write_bytes(b"\x89PNG")
    before = sorted(path for path in made.rglob("*"))
    fits, problems = fit_outside(project, [str(tmp_path / "x")], ["b", "a"])
    assert len(fits) == 4
    assert [path.rpartition("/")[2] for path in problems] == ["broken.png"]
    told = {(fit.path.rpartition("/")[2], fit.dataset): fit for fit in fits}
    assert told["odd.png", "b"].seldom == pytest.approx(1 / (N_IMAGES + 1))
    assert told["odd.png", "b"].seldom < told["usual.png", "b"].seldom
    for score in ("nearest", "rarity", "mahalanobis", "emd_bins"):
        assert getattr(told["odd.png", "b"], score) > getattr(told["usual.png", "b"], score)
    # Four such images are in a: it is likelier there.
    assert told["odd.png", "a"].log_ratio > 0 > told["odd.png", "b"].log_ratio
    assert sorted(path for path in made.rglob("*")) == before
    with pytest.raises(UserError, match="no image that can be read"):
        fit_outside(project, [str(tmp_path / "x" / "broken.png")], ["b"])


def test_the_command_says_the_same(made, tmp_path):
    said = invoke("--root", made, "images", "a", "b", "--top", 4, "--picture", tmp_path / "sheet.png")
    assert said.code == 0
    assert all(name in said.out for name in NIGHT)
    assert "light=night" in said.out
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 1000
    found = invoke("--root", made, "images", "a", "b", "--top", 4, "--json").json
    assert {image["path"] for image in found["images"]} == NIGHT
    assert "night" in invoke("--root", made, "images", "a", "b", "--by", "light").out
    parts = invoke("--root", made, "images", "a", "b", "--by", "shard", "--json").json["parts"]
    assert len(parts) == 4
    image = made / "images" / "a" / "000.png"
    assert json.loads(invoke("--root", made, "images", image, "--against", "b", "--json").out)["images"]
    assert invoke("--root", made, "images", image, "--against", "b", "--against", "a").code == 0
    for wrong in (["a"], ["a", "b", "--by", "light", "--picture", "x.png"], ["a", "--against", "b", "--by", "light"]):
        assert invoke("--root", made, "images", *wrong).code == 1


def test_averages_can_be_queried(made):
    project = ProjectFolder(made)
    publish(project)
    rows = project.catalog.rows(
        "SELECT dataset, layer, count(*) AS n, min(len(pooled)) AS w FROM image_features GROUP BY ALL"
    )
    assert sorted((row["dataset"], row["layer"], row["n"], row["w"]) for row in rows) == [
        ("a", "2", N_IMAGES, 5),
        ("b", "2", N_IMAGES, 5),
    ]


def test_copies_of_one_image_are_one_unit_and_nothing_is_said_of_chance(project):
    for number in range(5):
        write_image(project.root / "images" / "same", f"{number}.png", 7)
    file = project.file.path
    file.write_text(file.read_text() + "  - {name: same, uri: images/same}\n")
    bring_up_to_date(project)
    for places, alone in ((("same", "b"), "same"), (("b", "same"), "same")):
        said = invoke("--root", project.root, "images", *places)
        assert said.code == 0
        assert said.tells(f"how much of it is chance cannot be told, because {alone} has one independent unit only")
        assert "more than chance" not in said.out
    assert "lie where the distributions differ by more than chance" in invoke(
        "--root", project.root, "images", "a", "b"
    ).out.replace("\n", " ")


def test_the_words_say_what_was_counted(project):
    (project.root / "images" / "b" / "000.png").unlink()
    bring_up_to_date(project)
    sides = find_sides(project, "b@1", "b", "toy")
    assert (sides.n_counted, sides.words) == (1, "the 1 image that b@1 has and b has not")
    # Where the counts of those that went are not known apart.
    whole = replace(sides, n_counted=N_IMAGES)
    assert whole.words == "b@1, of which the 1 image that b has not is ranked,"
