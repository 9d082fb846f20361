"""Arguments as a stranger gives them: wrong ones are refused by name, and single ones are taken for lists of one."""

import pickle
import zipfile

import numpy as np
import pytest
from PIL import Image

import dna_pipelines as dna
from dna_pipelines.api.terminal_progress import LineProgress
from dna_pipelines_tests.api.conftest import pixels, write_folder
from dna_pipelines_tests.raising import raises

GREY = np.random.default_rng(0).integers(0, 256, (40, 32, 32), dtype=np.uint8)


@pytest.mark.parametrize(
    ("wrong", "code", "facts"),
    [
        ({"workers": -1}, "api.settings", {"settings": ["workers"], "value": -1}),
        ({"batch_size": 0}, "api.settings", {"settings": ["batch_size"], "value": 0}),
        ({"limit": 0}, "api.settings", {"settings": ["limit"], "value": 0}),
        ({"every": 0}, "api.settings", {"settings": ["every"], "value": 0}),
        ({"precision": "fp16"}, "api.settings", {"settings": ["precision"], "value": "fp16"}),
        ({"tokens": "some"}, "api.settings", {"settings": ["tokens"], "value": "some"}),
        ({"workers": "4"}, "api.argument", {"argument": "workers", "type": "str"}),
        ({"batch_size": True}, "api.argument", {"argument": "batch_size", "type": "bool"}),
        ({"like": "x"}, "api.argument", {"argument": "like", "type": "str"}),
        ({"globs": 3}, "api.argument", {"argument": "globs", "type": "int"}),
    ],
)
def test_wrong_arguments_are_named(tmp_path, wrong, code, facts):
    write_folder(tmp_path / "some", 2, 0)
    with raises(dna.UserError, code, **facts):
        dna.fingerprint(tmp_path / "some", **wrong)


@pytest.mark.parametrize("groups", ["text", b"text", 3])
def test_groups_are_a_list_with_a_value_for_each_image(tmp_path, groups):
    images, facts = GREY[:4], {"argument": "groups", "type": type(groups).__name__}
    with raises(dna.UserError, "api.argument", **facts):
        dna.fingerprint(images, groups=groups)
    project = dna.create_project(tmp_path)
    with raises(dna.UserError, "api.argument", **facts):
        project.add("some", images, groups=groups)
    with raises(dna.UserError, "api.argument", argument="site"):
        project.add("some", images, metadata={"site": groups})
    assert project.list().names == ()


def test_numbers_of_permutations_and_images_are_checked(project):
    with raises(dna.UserError, "api.argument", argument="n_permutations", type="str"):
        dna.test([pixels(0)], [pixels(1)], n_permutations="100")
    with raises(dna.UserError, "api.permutations"):
        project.matrix(test=True, n_permutations=3)
    comparison = project.compare("d0", "d1")
    for n in (0, -1):
        with raises(dna.UserError, "api.settings", settings=["n"], value=n):
            comparison.top_images(n)
    with raises(dna.UserError, "api.settings", settings=["every"]):
        project.add("x", project.root / "d0", every=0)


def test_a_string_is_a_list_of_one(tmp_path, project):
    write_folder(tmp_path / "some", 3, 0)
    (tmp_path / "some" / "0.png").rename(tmp_path / "some" / "0.jpg")
    assert dna.fingerprint(tmp_path / "some", globs="*.png").n_images == 2
    assert dna.fingerprint(tmp_path / "some", exclude="*.png", layers="stage1.*").n_images == 1
    assert project.add("globbed", tmp_path / "some", globs="*.png", exclude="1.*").n_files == 1
    layer = project.compare("d0", "d1").layers[0]["layer"]
    one = project.compare("d0", "d1", layers=layer)
    assert one.n_neurons == project.compare("d0", "d1", layers=[layer]).n_neurons
    assert project.compare("d0", "d1", neurons=f"{layer}:0-1").n_neurons == 2
    assert project.select("by-name", neurons=f"{layer}:0-1").records[0].n_chosen == 2
    with raises(dna.UserError, "selection.no-neurons"):
        project.select("nothing")
    created = dna.create_project(tmp_path / "p", extractors="scattering")
    assert [extractor.name for extractor in created.folder.config().extractors] == ["scattering"]


def test_copies_in_a_list_of_paths_count_in_memory_and_are_named_by_a_project(tmp_path):
    write_folder(tmp_path / "some", 3, 0)
    paths = [tmp_path / "some" / name for name in ("0.png", "1.png", "0.png")]
    twice = dna.fingerprint(paths)
    assert twice.n_images == 3
    assert twice.dna.id == dna.fingerprint([path.read_bytes() for path in paths]).dna.id
    added = dna.create_project(tmp_path / "p").add("listed", paths)
    assert (added.n_files, added.repeated) == (2, (str(paths[0]),))


def test_nothing_missing_files_and_folders_in_lists_are_errors(tmp_path):
    project = dna.create_project(tmp_path / "p")
    for nothing in ([], iter(()), np.zeros((0, 8, 8, 3), np.uint8)):
        with raises(dna.NothingToCompare, "api.no-images-given"):
            dna.fingerprint(nothing)
        with raises(dna.NothingToCompare, "api.no-images-given"):
            project.add("x", nothing)
    assert len(project.list().table) == 0
    with raises(dna.NothingToCompare, "api.no-image", paths=[str(tmp_path / "nope.png")]) as caught:
        dna.fingerprint(["nope.png"])
    assert str(tmp_path / "nope.png") in str(caught.value)
    write_folder(tmp_path / "some", 1, 0)
    for ask in (dna.fingerprint, lambda images: project.add("x", images)):
        with raises(dna.UserError, "api.folder-in-list", path=str(tmp_path / "some")):
            ask([tmp_path / "some" / "0.png", tmp_path / "some"])


def test_single_images_and_grey_arrays_are_collections(tmp_path):
    write_folder(tmp_path / "some", 1, 0)
    path = tmp_path / "some" / "0.png"
    alone = dna.fingerprint(path)
    assert (alone.n_images, alone.label, dna.fingerprint([path]).label) == (1, "0.png", "1 image")
    assert dna.fingerprint(str(path)).dna.id == alone.dna.id
    with Image.open(path) as image:
        assert (dna.fingerprint(image).dna.counts == alone.dna.counts).all()
        assert dna.create_project(tmp_path / "p").add("pil", image).n_files == 1
    assert dna.create_project(tmp_path / "p").add("file", path).n_files == 1
    assert dna.fingerprint(GREY).dna.id == dna.fingerprint(list(GREY)).dna.id
    assert dna.fingerprint(GREY).dna.id == dna.fingerprint(GREY[..., None]).dna.id


def test_a_pickled_fingerprint_is_tested_as_before(tmp_path):
    write_folder(tmp_path / "a", 30, 0)
    write_folder(tmp_path / "b", 30, 20)
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for path in (tmp_path / "b").iterdir():
            archive.write(path, path.name)
    arrays = [pixels(seed) for seed in range(20, 50)]
    paths = sorted((tmp_path / "a").iterdir())
    for images in (paths, tmp_path / "a"):
        a = dna.fingerprint(images)
        for others in (tmp_path / "b.zip", arrays):
            b = dna.fingerprint(others)
            again = pickle.loads(pickle.dumps(b))
            assert (again.dna.id, again.n_images) == (b.dna.id, 30)
            back = pickle.loads(pickle.dumps(a))
            assert back.test(again, 99).to_json() == dna.test(a, b, n_permutations=99).to_json()
    assert pickle.loads(pickle.dumps(a + b)).images.read(b.images.items[0].digest)
    assert dna.fingerprint(arrays, like=again).dna.id == b.dna.id


def test_a_network_that_is_an_object_is_lost_in_a_pickle():
    from dna_pipelines.extraction.networks.seeded import seeded_cnn

    first = dna.fingerprint(GREY, network=seeded_cnn())
    again = pickle.loads(pickle.dumps(first))
    assert dna.emd(first, again) == 0
    with raises(dna.UserError, "api.pickled-network", network="seeded_cnn"):
        dna.fingerprint(GREY, like=again)


def test_fingerprints_add_up():
    first, second = dna.fingerprint(GREY[:20]), dna.fingerprint(GREY[20:])
    assert sum([first, second]).dna.id == (first + second).dna.id
    with pytest.raises(TypeError):
        1 + first


def test_a_list_of_files_gets_the_caveats_of_their_folder(tmp_path):
    for side, seed in (("run1-clip2/before", 0), ("run1-clip2/after", 500)):
        write_folder(tmp_path / side, 20, seed)
    folder, other = tmp_path / "run1-clip2" / "before", tmp_path / "run1-clip2" / "after"
    after = dna.fingerprint(sorted(other.iterdir()))
    assert dna.fingerprint(folder).test(after, 99).caveats == ()
    frames = tmp_path / "videos" / "clip7"
    frames.mkdir(parents=True)
    for path in other.iterdir():
        path.rename(frames / f"frame{path.name}")
    for images in (frames, sorted(frames.iterdir())):
        result = dna.fingerprint(folder).test(dna.fingerprint(images), 99)
        assert [caveat.code for caveat in result.result.caveats] == ["significance.sequences-without-group"]


def test_a_dataset_named_twice_and_a_project_without_fingerprints_are_errors(project, tmp_path):
    with raises(dna.UserError, "api.named-twice", names=["a", "a"]):
        project.duplicates("a", "a")
    with raises(dna.NothingToCompare, "api.no-fingerprint"):
        dna.create_project(tmp_path / "new", extractors="scattering").matrix()


def test_a_tested_matrix_counts_its_pairs(project):
    plain, tested = project.matrix(), project.matrix(test=True, n_permutations=99)
    assert sum(plain.n_pairs.values()) == 0
    results = [row["significant"] for row in tested.tests]
    assert tested.n_pairs == {
        "significant": results.count(True), "not_significant": results.count(False), "not_tested": results.count(None),
    }  # fmt: skip
    assert sum(tested.n_pairs.values()) == 3
    assert all(".tests" in shown and ".tests" not in other for shown, other in _shown(tested, plain))


def _shown(one, two):
    return [(repr(one), repr(two)), (one._repr_html_(), two._repr_html_())]


def test_columns_for_programs_are_last(project):
    columns = project.compare("d0", "d1").top_images(3).table.columns
    assert set(columns[-2:]) == {"digest", "shard"}
    assert project.duplicates("d0").table.columns[-2:] in ((), ("digest_a", "digest_b"))


def test_in_a_pipe_each_task_has_a_line_at_its_start_and_its_end():
    lines = []
    progress = LineProgress(write=lines.append, ends=True)
    with progress.task("reading", 10) as advance, progress.task("nothing", 0):
        advance(10)
    assert ["0 of 10" in lines[0], "10 of 10" in lines[1], len(lines)] == [True, True, 2]
