"""Fingerprints in memory: laws, and the same numbers as a project's."""

import json
import pickle

import numpy as np
import pytest
from PIL import Image

import dna_pipelines as dna
from dna_pipelines_tests.api.conftest import pixels, write_folder
from dna_pipelines_tests.raising import raises


@pytest.fixture(scope="module")
def some():
    return {
        "noise": [pixels(seed) for seed in range(40)],
        "dark": [pixels(seed, 0, 128) for seed in range(100, 140)],
        "more": [pixels(seed) for seed in range(200, 230)],
    }


@pytest.fixture(scope="module")
def made(some):
    return {name: dna.fingerprint(images, label=name) for name, images in some.items()}


def test_a_distance_is_symmetric_zero_with_itself_and_never_negative(made):
    noise, dark = made["noise"], made["dark"]
    assert dna.emd(noise, dark) == dna.emd(dark, noise) > dna.emd(noise, made["more"]) > 0
    assert dna.emd(noise, noise) == 0


def test_the_triangle_inequality_holds(made):
    a, b, c = made.values()
    assert dna.emd(a, c) <= dna.emd(a, b) + dna.emd(b, c) + 1e-9


def test_a_sum_is_the_fingerprint_of_both_together(some, made):
    together, whole = made["noise"] + made["dark"], dna.fingerprint(some["noise"] + some["dark"])
    assert together.n_images == whole.n_images == 80
    assert together.dna.id == whole.dna.id
    assert (together.dna.counts == whole.dna.counts).all()
    assert (together.blocks.counts == whole.blocks.counts).all()
    np.testing.assert_allclose(together.dna.moments.mean, whole.dna.moments.mean, rtol=1e-12, atol=1e-12)


def test_order_is_not_part_of_it(some, made):
    backwards = dna.fingerprint(some["noise"][::-1])
    assert backwards.dna.id == made["noise"].dna.id
    assert (backwards.dna.counts == made["noise"].dna.counts).all()


def test_raw_images_are_measured_like_the_other_side(some, made):
    assert dna.emd(some["noise"], some["dark"]) == dna.emd(made["noise"], some["dark"]) == dna.emd(*_two(made))


def _two(made):
    return made["noise"], made["dark"]


def test_alike_is_not_significant_and_different_is(made):
    assert dna.test(*_two(made)).significant is True
    assert dna.test(made["noise"], made["more"]).significant is False
    same = dna.test(made["noise"], made["noise"])
    assert (same.significant, same.p_value, same.result.same) == (False, None, True)


def test_the_test_does_not_depend_on_the_order_of_its_sides(made):
    there, back = dna.test(made["noise"], made["dark"]), dna.test(made["dark"], made["noise"])
    assert (there.p_value, there.emd, there.ci) == (back.p_value, back.emd, back.ci)


def test_a_folder_has_the_numbers_of_a_project(project):
    a, b = (dna.fingerprint(project.root / name) for name in ("d0", "d1"))
    compared = project.compare("d0", "d1")
    assert (a.n_images, [row["path"] for row in a.quarantined]) == (40, ["broken.png"])
    mine, theirs = a.compare(b).to_json(), compared.to_json()
    assert all(mine[name] == theirs[name] for name in ("emd_bins", "emd_range", "n_neurons"))
    assert np.isclose(mine["nfd"], theirs["nfd"])
    assert dna.test(a, b).to_json() == compared.test().to_json()


@pytest.mark.parametrize("n_more", [10, 1])
def test_shared_images_are_excluded_as_in_a_project(project, n_more):
    write_folder(project.root / "new", n_more, 9000, 0, 64)
    for path in (project.root / "new").iterdir():
        path.rename(project.root / "d1" / f"new-{path.name}")
    before = dna.fingerprint([project.root / "d1" / f"{number}.png" for number in range(40)], label="before")
    after = dna.fingerprint(project.root / "d1", label="after")
    found = dna.test(after, before)
    project.add("before", [project.root / "d1" / f"{number}.png" for number in range(40)])
    project.add("after", project.root / "d1")
    assert project.update().ok
    theirs = project.compare("after", "before").test()
    assert found.result.n_shared == 40
    assert _numbers(found) == _numbers(theirs)


@pytest.mark.campaign
def test_a_far_smaller_side_meets_a_sample_as_in_a_project(project):
    write_folder(project.root / "large", 260, 20_000, 0, 128)
    write_folder(project.root / "small", 2, 30_000)
    project.add("large", project.root / "large")
    project.add("small", project.root / "small")
    assert project.update().ok
    theirs = project.compare("small", "large").test()
    found = dna.test(*(dna.fingerprint(project.root / name) for name in ("small", "large")))
    assert _numbers(found) == _numbers(theirs)


def _numbers(found):
    value = json.loads(json.dumps(found.to_json()))
    skipped = ("a", "b", "rest_of", "n_images_extracted", "also", "doubts", "caveats")
    return {name: one for name, one in value.items() if name not in skipped}


def test_groups_are_permuted_together(some):
    groups = [number // 2 for number in range(40)]
    a, b = (dna.fingerprint(some[name], groups=groups) for name in ("noise", "dark"))
    assert dna.test(a, b).sampling_unit == "group"
    assert len({item.group for item in a.images.items}) == 20


def test_what_was_measured_otherwise_is_not_compared(some, made):
    other = dna.fingerprint(some["dark"][:4], layers=["stage1.between"])
    with raises(dna.Incomparable, "api.incomparable") as caught:
        dna.emd(made["noise"], other)
    assert any(line.startswith("layers:") for line in caught.value.facts["differences"])
    with raises(dna.UserError, "api.like"):
        dna.fingerprint(some["dark"], like=other, network="builtin")


def test_a_network_without_ranges_takes_those_of_the_first(some):
    first = dna.fingerprint(some["noise"], network="seeded_cnn", label="first")
    second = dna.fingerprint(some["dark"], like=first)
    assert first.measuring.ranges.datasets == ("first",)
    assert dna.emd(first, second) > 0
    alone = dna.fingerprint(some["dark"], network="seeded_cnn")
    with raises(dna.Incomparable, "api.incomparable"):
        first.compare(alone)


def test_a_network_of_ones_own(some):
    from dna_pipelines.extraction.networks.seeded import seeded_cnn

    own = seeded_cnn()
    assert isinstance(own, dna.Network)
    found = dna.fingerprint(some["noise"], network=own)
    assert (found.dna.counts == dna.fingerprint(some["noise"], network="seeded_cnn").dna.counts).all()


def test_no_readable_image_is_an_error_that_counts_them(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"")
    with raises(dna.NothingToCompare, "api.no-image", n_quarantined=1, reasons=["empty"]):
        dna.fingerprint(tmp_path / "images")
    with pytest.raises(dna.SourceError):
        dna.fingerprint(tmp_path / "missing")
    with raises(dna.ConfigError, "api.settings"):
        dna.fingerprint(tmp_path / "images", group_by="nonsense")


def test_files_are_read_as_declared(tmp_path, some):
    for number, image in enumerate(some["noise"]):
        grey = image[..., 0]
        for name, values in (("eight", grey), ("twelve", np.rint(grey * (4095 / 255)).astype(np.uint16))):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(values).save(tmp_path / name / f"{number}.png")
    eight = dna.fingerprint(tmp_path / "eight")
    files = [path.read_bytes() for path in sorted((tmp_path / "twelve").iterdir())]
    for images in (tmp_path / "twelve", files):
        twelve = pickle.loads(pickle.dumps(dna.fingerprint(images, bits=12, like=eight)))
        assert (twelve.dna.counts == eight.dna.counts).all()
    assert (dna.fingerprint(tmp_path / "twelve", like=eight).dna.counts != eight.dna.counts).any()
    with raises(dna.NothingToCompare, "api.no-image", n_quarantined=len(files), reasons=["not as declared"]):
        dna.fingerprint(files, bands=2)


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"bits": 0}, "api.settings"),
        ({"bits": "12"}, "api.argument"),
        ({"value_range": (1, 2, 3)}, "api.settings"),
        ({"value_range": (1, 1)}, "api.settings"),
        ({"value_range": "01"}, "api.argument"),
        ({"bands": [1.5]}, "api.argument"),
        ({"bands": (1, 2)}, "api.settings"),
        ({"pages": "some"}, "api.settings"),
    ],
)
def test_a_reading_that_cannot_be(some, settings, code):
    with raises(dna.DnaError, code):
        dna.fingerprint(some["noise"], **settings)


def test_settings_of_locations_are_refused_for_objects(some):
    with raises(dna.UserError, "api.settings", settings=["limit"]):
        dna.fingerprint(some["noise"], limit=3)
    with raises(dna.UserError, "api.permutations"):
        dna.test(some["noise"], some["dark"], n_permutations=3)
