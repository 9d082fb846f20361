"""Images given as Python objects: what is taken, what is quarantined, and what is refused."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

import dna_pipelines as dna
from dna_pipelines.api.inputs.python_images import paths_of, python_images
from dna_pipelines.imaging import decode
from dna_pipelines_tests.api.conftest import pixels, write_folder
from dna_pipelines_tests.raising import raises


def decoded(images, **settings):
    return [decode(item.data) for item in python_images(images, **settings)]


def encoded(array, kind="png"):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind)
    return buffer.getvalue()


RGB = pixels(1)
GREY = RGB[:, :, 0]
RGBA = np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)])


@pytest.mark.parametrize(
    ("image", "wanted"),
    [
        (RGB, RGB),
        (np.asfortranarray(RGB), RGB),
        (RGBA, RGB),
        (GREY, np.dstack([GREY] * 3)),
        (GREY[:, :, None], np.dstack([GREY] * 3)),
        (Image.fromarray(RGB), RGB),
        (Image.fromarray(GREY), np.dstack([GREY] * 3)),
        (encoded(RGB), RGB),
        (torch.from_numpy(RGB.transpose(2, 0, 1).copy()), RGB),
        (torch.from_numpy(GREY.copy())[None], np.dstack([GREY] * 3)),
        (torch.from_numpy(RGB.transpose(2, 0, 1) / np.float32(255)), RGB),
        (torch.from_numpy(RGB.transpose(2, 0, 1) / np.float64(255)).requires_grad_(), RGB),
    ],
)
def test_pixels_arrive_as_they_were(image, wanted):
    np.testing.assert_array_equal(decoded([image])[0], wanted)
    np.testing.assert_array_equal(decoded([(image, 3)])[0], wanted)


@pytest.mark.parametrize("mode", ["1", "CMYK", "I;16", "LA", "P", "RGBA", "YCbCr", "F"])
def test_pil_images_of_every_mode_are_written_without_loss(mode):
    image = Image.fromarray(RGB).convert("L").convert(mode) if mode == "I;16" else Image.fromarray(RGB).convert(mode)
    (item,) = python_images([image])
    with Image.open(io.BytesIO(item.data)) as again:
        assert again.mode in (mode, "I;16")
        np.testing.assert_array_equal(np.asarray(again), np.asarray(image))


def test_the_orientation_of_a_pil_image_is_kept():
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RGB[:20]).save(buffer, "jpeg", exif=exif)
    image = Image.open(buffer)
    assert decoded([image])[0].shape == decode(buffer.getvalue()).shape == (32, 20, 3)


def test_an_array_of_four_dimensions_is_a_collection():
    np.testing.assert_array_equal(decoded(np.stack([RGB, RGB[::-1]]))[1], RGB[::-1])


@pytest.mark.parametrize(
    ("images", "code", "facts"),
    [
        (5, "api.image-type", {"type": "int"}),
        (Image.fromarray(RGB), "api.image-type", {"type": "Image"}),
        ({"a": RGB}, "api.image-type", {"type": "dict"}),
        (RGB, "api.image-type", {"shape": [32, 32, 3]}),
        ([RGB, None], "api.image-type", {"index": 1, "type": "NoneType"}),
        ([np.stack([RGB, RGB])], "api.image-type", {"index": 0, "shape": [2, 32, 32, 3]}),
        ([RGB[:, :, :2]], "api.image-type", {"index": 0, "shape": [32, 32, 2]}),
        ([RGB[:0]], "api.image-type", {"index": 0, "shape": [0, 32, 3]}),
        ([RGB / 255], "api.image-values", {"index": 0, "dtype": "float64"}),
        ([RGB.astype(np.int64)], "api.image-values", {"index": 0, "dtype": "int64"}),
        ([torch.zeros(32, 32, 3)], "api.image-type", {"index": 0, "shape": [32, 32, 3]}),
        ([torch.zeros(3, 8, 8) - 1], "api.image-values", {"index": 0}),
        ([torch.full((3, 8, 8), torch.nan)], "api.image-values", {"index": 0}),
        ([torch.full((3, 8, 8), 255.0)], "api.image-values", {"index": 0}),
    ],
)
def test_what_is_no_image_is_refused(images, code, facts):
    with raises(dna.UserError, code, **facts):
        list(python_images(images))


class TorchDataset(torch.utils.data.Dataset):
    """Images with labels, of which one fails."""

    def __init__(self, images):
        self._images = images

    def __len__(self):
        return len(self._images)

    def __getitem__(self, index):
        if index == 2:
            raise OSError("cannot read it")
        return torch.from_numpy(self._images[index].transpose(2, 0, 1).copy()) / 255, torch.tensor(index % 2)


class IterableDataset(torch.utils.data.IterableDataset):
    def __iter__(self):
        return iter([(RGB, "cat"), (RGB[::-1].copy(), "dog")])


def test_a_torch_dataset_has_labels_and_an_item_that_fails_is_listed():
    items = list(python_images(TorchDataset([pixels(seed) for seed in range(4)])))
    assert [item.metadata for item in items] == [{"label": "0"}, {"label": "1"}, {}, {"label": "1"}]
    assert [item.problem for item in items] == [None, None, "OSError: cannot read it", None]
    np.testing.assert_array_equal(decode(items[3].data), pixels(3))
    assert [item.metadata["label"] for item in python_images(IterableDataset())] == ["cat", "dog"]


class ImageFeature:
    """Stands for `datasets.Image`, which is known by its name."""

    def __init__(self, decode=True):
        self.decode = decode


ImageFeature.__name__ = "Image"


class ClassLabel:
    names = ("cat", "dog")


class HuggingFaceDataset:
    """Stands for `datasets.Dataset`: columns, their features, and rows."""

    def __init__(self, rows, **features):
        self.features, self.column_names, self._rows = features, list(features), rows

    def cast_column(self, column, feature):
        assert feature.decode is False
        return HuggingFaceDataset(self._rows, **{**self.features, column: feature})

    def __len__(self):
        return len(self._rows)

    def __iter__(self):
        return iter(self._rows)

    def __getitem__(self, index):
        return self._rows[index]


def hugging_face(tmp_path):
    (tmp_path / "file.png").write_bytes(encoded(RGB))
    rows = [
        {"image": {"bytes": encoded(RGB, "jpeg"), "path": "a.jpg"}, "label": 1, "score": 0.5, "box": [1, 2]},
        {"image": {"bytes": None, "path": str(tmp_path / "file.png")}, "label": 0, "score": None, "box": []},
        {"image": {"bytes": None, "path": str(tmp_path / "gone.png")}, "label": -1, "score": 1.0, "box": []},
        {"image": None, "label": 0, "score": 1.0, "box": []},
        {"image": {"bytes": None, "path": None}, "label": 0, "score": 1.0, "box": []},
    ]
    return HuggingFaceDataset(rows, image=ImageFeature(), label=ClassLabel(), score=object(), box=object())


def test_a_hugging_face_dataset_gives_its_own_bytes_and_plain_columns(tmp_path):
    items = list(python_images(hugging_face(tmp_path)))
    assert items[0].data == encoded(RGB, "jpeg")
    assert items[0].metadata == {"label": "dog", "score": "0.5"}
    assert items[1].data == encoded(RGB)
    assert items[1].metadata == {"label": "cat"}
    assert items[2].metadata["label"] == "-1"
    assert [item.data is None for item in items] == [False, False, True, True, True]
    assert all(item.problem for item in items[2:])


def test_the_image_column_is_named_where_it_is_not_the_only_one():
    two = HuggingFaceDataset([{"left": {"bytes": encoded(RGB)}, "right": {"bytes": encoded(GREY)}}],
                             left=ImageFeature(), right=ImageFeature())  # fmt: skip
    with raises(dna.UserError, "api.image-column", column=None, known=["left", "right"]):
        list(python_images(two))
    with raises(dna.UserError, "api.image-column", column="label", known=["left", "right"]):
        list(python_images(two, image_column="label"))
    np.testing.assert_array_equal(decoded(two, image_column="right")[0], np.dstack([GREY] * 3))


def test_metadata_has_a_value_for_each_image():
    items = list(python_images([RGB, RGB], metadata={"site": np.array([1, 2]), "who": ["a", None]}))
    assert [item.metadata for item in items] == [{"site": "1", "who": "a"}, {"site": "2"}]
    with raises(dna.UserError, "api.length", column="site", n_values=1, n_images=2):
        list(python_images([RGB, RGB], metadata={"site": [1]}))


def test_a_list_of_paths_is_a_list_of_paths(tmp_path):
    assert paths_of([tmp_path / "a.png", "s3://bucket/b.png"]) == [str(tmp_path / "a.png"), "s3://bucket/b.png"]
    assert paths_of([RGB]) is None
    assert paths_of([tmp_path, RGB]) is None
    with raises(dna.UserError, "api.path", path=str(tmp_path / "a\nb.png")):
        paths_of([tmp_path / "a\nb.png"])


def test_unreadable_images_are_listed_and_the_others_are_measured(tmp_path):
    write_folder(tmp_path / "some", 3, 0)
    paths = [*sorted((tmp_path / "some").iterdir()), tmp_path / "gone.png"]
    of_paths = dna.fingerprint(paths)
    assert of_paths.n_images == 3
    assert of_paths.quarantined.column("path") == [str(tmp_path / "gone.png")]
    of_bytes = dna.fingerprint([*(path.read_bytes() for path in paths[:3]), b"nonsense", b""])
    assert of_bytes.dna.id == of_paths.dna.id
    assert of_bytes.quarantined.column("reason") == ["not an image", "empty"]
    assert dna.fingerprint(TorchDataset([pixels(seed) for seed in range(4)])).quarantined.column("path") == [
        "000000002"
    ]


def test_objects_become_files_of_the_project(tmp_path):
    project = dna.create_project(tmp_path / "project")
    added = project.add("faces", hugging_face(tmp_path), metadata={"path": list("abcde")})
    assert added.n_files == 5
    assert added.quarantined.column("item") == ["2", "3", "4"] or len(added.quarantined) == 3
    report = project.update()
    assert report.ok or set(report.problems) == {"faces"}
    images = project.root / "data" / "images" / "faces"
    assert encoded(RGB, "jpeg") in [path.read_bytes() for path in images.glob("*.jpeg")]
    found = project.scan("faces")["faces"]
    assert (found["n_images"], len(found["quarantined"])) == (2, 3)


def test_copies_and_groups_of_objects_are_kept(tmp_path):
    project = dna.create_project(tmp_path)
    images = [RGB, RGB, RGB[::-1].copy(), pixels(2), pixels(3), pixels(4)]
    project.add("clips", images, groups=["a", "a", "b", "b", "c", "c"], metadata={"weather": list("rrsssr")})
    assert project.update().ok
    rows = project.sql("SELECT n_images, n_groups FROM datasets").rows
    assert rows == ((6, 3),)
    assert project.compare("clips[weather=r]", "clips[weather=s]").n_images_extracted == {
        "clips[weather=r]": 3, "clips[weather=s]": 3,
    }  # fmt: skip
    in_memory = dna.fingerprint(images, groups=["a", "a", "b", "b", "c", "c"])
    assert project.sql("SELECT version_id FROM datasets").rows[0][0] == project.list()["clips"]["version_id"]
    assert len(in_memory.images.items) == 6


def test_a_list_of_paths_becomes_an_index_of_the_project(tmp_path):
    write_folder(tmp_path / "some", 3, 0)
    project = dna.create_project(tmp_path / "project")
    added = project.add("listed", [tmp_path / "some" / f"{number}.png" for number in range(2)])
    assert (added.uri, added.n_files) == ("data/indexes/listed.txt", 2)
    assert project.update().n_images_extracted == 2
    with raises(dna.UserError, "api.groups"):
        project.add("other", [tmp_path / "some" / "0.png"], groups=["a"])


def test_a_name_that_is_taken_writes_nothing(tmp_path):
    project = dna.create_project(tmp_path)
    project.add("some", [RGB])
    before = sorted(path.name for path in (tmp_path / "data" / "images" / "some").iterdir())
    with pytest.raises(dna.ConfigError):
        project.add("some", [pixels(5)])
    assert sorted(path.name for path in (tmp_path / "data" / "images" / "some").iterdir()) == before
    with pytest.raises(dna.SourceError):
        project.add("other", tmp_path / "missing")
    assert project.add("other", tmp_path / "missing", force=True).n_files is None
