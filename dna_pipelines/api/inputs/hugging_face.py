"""Datasets of Hugging Face as collections of images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dna_pipelines.api.inputs.image_items import PythonImage, file_item
from dna_pipelines.errors import UserError


def is_hugging_face(images: Any) -> bool:
    """Whether images are such a Dataset; looks at what it can do, because its library may not be installed."""
    return hasattr(images, "features") and hasattr(images, "cast_column")


def hugging_face_items(dataset: Any, image_column: str | None) -> Iterator[PythonImage]:
    """The images of a Dataset as the encoded bytes it has, with its columns of plain values as their metadata.

    Raises:
        UserError: when the column of images is missing, or not the only one (`api.image-column`).
    """
    column = _image_column(dataset, image_column)
    feature = dataset.features[column]
    names = {name: getattr(one, "names", None) for name, one in dataset.features.items() if name != column}
    undecoded = dataset.cast_column(column, type(feature)(decode=False))
    for index, row in enumerate(undecoded):
        image, metadata = row[column], _plain(row, names)
        if image is None:
            yield PythonImage(str(index), None, "the dataset has no image here", metadata)
        elif image.get("bytes"):
            yield PythonImage(str(index), image["bytes"], None, metadata)
        elif image.get("path"):
            yield file_item(image["path"], metadata)
        else:
            yield PythonImage(str(index), None, "the dataset has neither bytes nor a path here", metadata)


def _image_column(dataset: Any, asked: str | None) -> str:
    features: Mapping[str, Any] = dataset.features or {}
    known: list[str] = [name for name, feature in features.items() if type(feature).__name__ == "Image"]
    if asked is not None and asked in known:
        return asked
    if asked is None and len(known) == 1:
        return known[0]
    wanted = f"'{asked}' is no column of images" if asked else f"it has {len(known)} columns of images"
    raise UserError(
        f"{wanted}; image_column names one of: {', '.join(known) or 'none'}",
        code="api.image-column",
        column=asked,
        known=known,
    )


def _plain(row: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, str]:
    """Metadata of the plain values of a row; classes by their names."""
    metadata = {}
    for name, classes in names.items():
        value = row[name]
        if classes and isinstance(value, int) and 0 <= value < len(classes):
            value = classes[value]
        if isinstance(value, str | int | float):
            metadata[name] = str(value)
    return metadata
