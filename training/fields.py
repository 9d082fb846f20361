"""All fields of a training, drawn once and kept in a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from training.formulas import FAMILIES, FIELD_PX, draw_class

CLASSES: tuple[tuple[int, int], ...] = tuple(
    (number, index) for number, family in enumerate(FAMILIES) for index in range(family.n_classes)
)
"""(family, class of the family) of every label."""


def spread_labels(n: int) -> tuple[int, ...]:
    """`n` of all labels, evenly distributed over the families."""
    return tuple(int(at) for at in np.linspace(0, len(CLASSES) - 1, n).round())


def draw_label(label: int, n_images: int, seed: int) -> NDArray[np.uint8]:
    """The fields of one label."""
    number, index = CLASSES[label]
    return draw_class(FAMILIES[number], index, n_images, seed)


def kept_fields(folder: Path, n_classes: int, n_images: int, seed: int, processes: int) -> NDArray[np.uint8]:
    """All fields, (n_classes, n_images, FIELD_PX, FIELD_PX) uint8, from the file in `folder` if there is one.

    Args:
        folder: of the file.
        n_classes: number of classes, see `spread_labels`.
        n_images: fields per class.
        seed: of the formulas.
        processes: how many processes draw.
    """
    path = folder / f"fields-{seed}-{n_classes}x{n_images}.npy"
    if not path.exists():
        fields = np.empty((n_classes, n_images, FIELD_PX, FIELD_PX), np.uint8)
        arguments = spread_labels(n_classes), [n_images] * n_classes, [seed] * n_classes
        with Progress() as progress, ExitStack() as stack:
            task = progress.add_task("drawing fields", total=n_classes)
            drawn: Iterator[NDArray[np.uint8]] = map(draw_label, *arguments)
            if processes > 1:
                # Spawned, not forked, because torch has threads.
                pool = ProcessPoolExecutor(processes, get_context("spawn"))
                drawn = stack.enter_context(pool).map(draw_label, *arguments)
            for index, fields_of_class in enumerate(drawn):
                fields[index] = fields_of_class
                progress.advance(task)
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.save(file, fields, allow_pickle=False)
        os.replace(part, path)
    return np.load(path, allow_pickle=False)
