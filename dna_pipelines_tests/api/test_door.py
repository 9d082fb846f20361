"""The door of the public methods: wrong arguments are errors with a code, whatever they are."""

import numpy as np
import pytest

import dna_pipelines as dna
from dna_pipelines_tests.api.conftest import pixels
from dna_pipelines_tests.raising import raises

IMAGES = [pixels(0), pixels(1)]
NAMES_ONE_BY_ONE = ("update", "forecast", "duplicates", "scan")

WRONG_IN_A_PROJECT = [
    *((lambda p, method=method: getattr(p, method)(["d0", "d1"]), "api.argument") for method in NAMES_ONE_BY_ONE),
    (lambda p: p.history(["d0"]), "api.argument"),
    (lambda p: p.compare(None, "d0"), "api.argument"),
    (lambda p: p.compare("d0", "d1", selection=3), "api.argument"),
    (lambda p: p.inspect(3), "api.argument"),
    (lambda p: p.remove(None), "api.argument"),
    (lambda p: p.selection(3), "api.argument"),
    (lambda p: p.remove_selection(3), "api.argument"),
    (lambda p: p.extractor(3), "api.argument"),
    (lambda p: p.columns([]), "api.argument"),
    (lambda p: p.select(3, layers="x"), "api.argument"),
    (lambda p: p.select("x", datasets="d0", respond_to="a=b", method="q"), "api.settings"),
    (lambda p: p.select("x", datasets="d0", respond_to="a=b", share=2), "api.settings"),
    (lambda p: p.select("x", datasets="d0", respond_to="a=b", share="a"), "api.argument"),
    (lambda p: p.add(None, IMAGES), "api.argument"),
    (lambda p: p.add("x", IMAGES, tags=["x"]), "api.argument"),
    (lambda p: p.add("x", IMAGES, tags="x"), "api.argument"),
    (lambda p: p.add("x", IMAGES, metadata="labels.csv"), "api.argument"),
    (lambda p: p.sql(3), "api.argument"),
    (lambda p: p.doctor(on_finding=3), "api.argument"),
    (lambda p: p.export("d0", 3), "api.argument"),
    (lambda p: p.export("d0", "x.json", kind="q"), "api.settings"),
    (lambda p: p.export("d0", "nope/x.json"), "api.no-folder"),
    (lambda p: p.export_ranges("builtin", "nope/x.json"), "api.no-folder"),
    (lambda p: p.map(n_clusters="2"), "api.argument"),
    (lambda p: p.update(progress="yes"), "api.argument"),
    (lambda p: p.duplicates("d0", most_bits="x"), "api.argument"),
    *(
        (lambda p, wrong=wrong: p.duplicates("d0", **wrong), "api.settings")
        for wrong in ({"most_bits": -1}, {"most_bits": 1}, {"most_bits": np.nan}, {"most_distance": -1})
    ),
    *((lambda p, wrong=wrong: p.image_fits(wrong, "d0"), "api.argument") for wrong in (IMAGES, None, 3)),
    (lambda p: p.image_fits([], "d0"), "api.no-images-given"),
    (lambda p: p.image_fits("d0/0.png", []), "api.no-images-given"),
]


@pytest.mark.parametrize("number", range(len(WRONG_IN_A_PROJECT)))
def test_wrong_arguments_of_a_project_are_refused_before_any_work(project, number):
    call, code = WRONG_IN_A_PROJECT[number]
    before = project.list().names
    with raises(dna.UserError, code):
        call(project)
    assert project.list().names == before
    assert not (project.root / "nope").exists()


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: dna.open_project(3), "api.argument"),
        (lambda: dna.create_project("x", extractors=3), "api.argument"),
        (lambda: dna.create_project(""), "api.settings"),
        (lambda: dna.fingerprint(IMAGES, network=3), "api.argument"),
        (lambda: dna.fingerprint(IMAGES, network=lambda: None), "api.argument"),
        (lambda: dna.fingerprint(IMAGES, device=3), "api.argument"),
        (lambda: dna.fingerprint(IMAGES, device="tpu"), "api.settings"),
        (lambda: dna.fingerprint(IMAGES, batch_size=10**9), "api.settings"),
        (lambda: dna.fingerprint(IMAGES, progress="yes"), "api.argument"),
        (lambda: dna.fingerprint({}), "api.image-type"),
        (lambda: dna.test(IMAGES, IMAGES, n_permutations=-1), "api.permutations"),
    ],
)
def test_wrong_arguments_of_functions_are_refused(call, code):
    with raises(dna.UserError, code):
        call()


def test_numbers_of_numpy_are_numbers(project):
    comparison = project.compare("d0", "d1")
    assert comparison.test(np.int64(99)).n_permutations == 99
    assert len(comparison.top_images(np.int32(2)).table) == 2
    assert project.matrix(test=True, n_permutations=np.int64(99)).to_json()["pairs"]


def test_a_refused_dataset_leaves_no_images(tmp_path):
    project = dna.create_project(tmp_path / "p")
    with raises(dna.UserError, "api.length"):
        project.add("m1", IMAGES, metadata={"x": [1]})
    assert not (project.root / "data" / "images" / "m1").exists()


def test_a_fingerprint_compares_with_images_and_adds_nothing_else():
    one = dna.fingerprint(IMAGES)
    assert one.compare(IMAGES).emd == 0
    with pytest.raises(TypeError):
        one + 3


def test_sheets_are_png_files_in_folders_that_exist(project, tmp_path):
    images = project.images("d1", "d0", n=2, in_detail=0)
    for path, code in (("x.txt", "api.picture-ending"), ("nope/x.png", "api.no-folder"), (3, "api.argument")):
        with raises(dna.UserError, code):
            images.save(path)
    assert not (tmp_path / "nope").exists()
