"""Pictures as PNG bytes. Matplotlib draws them without a screen and without global state."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from dna_pipelines.comparison.matrix import Matrix

_COLOURS = 256

DPI = 110
"""Of every picture."""

_MOST_NUMBERS = 24
"""Larger matrices show colours only."""


class Picture(Figure):
    """A figure that notebooks show as it is saved, whatever their backend."""

    def _repr_png_(self) -> bytes:
        return png_of(self)


def matrix_picture(matrix: Matrix, marks: Mapping[tuple[str, str], str] | None = None, legend: str = "") -> bytes:
    """`matrix_figure` as a PNG."""
    return png_of(matrix_figure(matrix, marks, legend))


def matrix_figure(matrix: Matrix, marks: Mapping[tuple[str, str], str] | None = None, legend: str = "") -> Picture:
    """The matrix as a heat map: dark is near, bright is far; unknown pairs are grey.

    Args:
        matrix: the distances.
        marks: by pair, a mark that is written before its number.
        legend: what the marks mean.
    """
    n = len(matrix.names)
    edge = max(3.5, min(0.62 * n, 16.0))
    longest = max((len(name) for name in matrix.names), default=0)
    margin = 0.085 * min(longest, 40)
    figure = Picture(figsize=(edge + margin + 1.6, edge + margin + 0.8), layout="constrained")
    axes = figure.add_subplot()
    axes.set_facecolor("0.85")
    axes.set_title(matrix.title, fontsize=11)
    if n == 0:
        _say(axes, "no dataset has a DNA yet")
        return figure
    image = axes.imshow(np.ma.masked_invalid(matrix.values), cmap="viridis", vmin=0.0)
    figure.colorbar(image, ax=axes, shrink=0.8)
    if n <= 80:
        labels = [shortened(name) for name in matrix.names]
        size = 9 if n <= 30 else 6
        axes.set_xticks(range(n), labels, rotation=90, fontsize=size)
        axes.set_yticks(range(n), labels, fontsize=size)
    if n <= _MOST_NUMBERS:
        mark_of = marks or {}
        _write_numbers(axes, matrix.values, [[mark_of.get((a, b), "") for b in matrix.names] for a in matrix.names])
        # Five points a character at this size; the picture is as wide as its names and numbers need.
        n_fitting = max(20, int(figure.get_figwidth() * 72 / 5))
        figure.supxlabel("\n".join(textwrap.wrap(legend, n_fitting)), fontsize=9)
    return figure


def profile_picture(a: str, b: str, layers: Sequence[Mapping[str, Any]]) -> bytes:
    """`profile_figure` as a PNG."""
    return png_of(profile_figure(a, b, layers))


def profile_figure(a: str, b: str, layers: Sequence[Mapping[str, Any]]) -> Picture:
    """The EMD of a pair layer by layer, from the `layers` of a comparison's summary."""
    figure = Picture(figsize=(7.0, max(2.0, 0.32 * len(layers) + 1.0)), layout="constrained")
    axes = figure.add_subplot()
    names = [layer["layer"] for layer in layers]
    bars = axes.barh(range(len(layers)), [layer["emd_bins"] for layer in layers], color="#33638d")
    axes.bar_label(bars, fmt="%.3g", padding=3, fontsize=8)
    axes.set_yticks(range(len(layers)), names, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel("EMD in bins, mean over the neurons of the layer")
    axes.set_title(f"{a} against {b}, layer by layer (first layer on top)", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def changes_picture(extractor: str, layers: Sequence[str], changes: Mapping[str, Mapping[str, float]]) -> bytes:
    """The distance of datasets from the versions before their last change, layer by layer.

    Args:
        extractor: whose layers.
        layers: in their order in the network.
        changes: by dataset and layer, the EMD in bins; the farthest `_MOST_NUMBERS` datasets are shown.
    """
    means = {name: float(np.mean(list(by_layer.values()))) for name, by_layer in changes.items()}
    names = sorted(means, key=lambda name: -means[name])[:_MOST_NUMBERS]
    figure = Figure(figsize=(max(5.0, 0.5 * len(layers) + 2.5), 1.9 + 0.3 * max(len(names), 1)), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(f"{extractor}: the last change of each dataset\n(EMD to the version before, in bins)", fontsize=10)
    if not names:
        _say(axes, "no dataset has changed yet")
        return png_of(figure)
    values = np.array([[changes[name].get(layer, np.nan) for layer in layers] for name in names])
    image = axes.imshow(np.ma.masked_invalid(values), cmap="viridis", vmin=0.0, aspect="auto")
    figure.colorbar(image, ax=axes)
    axes.set_xticks(range(len(layers)), layers, rotation=90, fontsize=7)
    axes.set_yticks(range(len(names)), [shortened(name) for name in names], fontsize=8)
    if len(layers) <= _MOST_NUMBERS:
        _write_numbers(axes, values)
    return png_of(figure)


def growth_picture(sizes: Mapping[str, Sequence[tuple[datetime, int]]]) -> bytes:
    """Numbers of images over time.

    Args:
        sizes: by dataset, the time (UTC) of each commit and the number of images from then on.
    """
    figure = Figure(figsize=(8.0, 4.0), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title("readable images over time, of the datasets that changed last", fontsize=10)
    if not any(sizes.values()):
        _say(axes, "no dataset has been ingested yet")
        return png_of(figure)
    end = max(points[-1][0] for points in sizes.values() if points)
    for name, points in sizes.items():
        moments = np.array([*(moment for moment, _ in points), end], "datetime64[s]")
        counts = [*(count for _, count in points), points[-1][1]]
        axes.step(moments, counts, where="post", marker=".", label=shortened(name))
    figure.autofmt_xdate()
    axes.set_ylim(bottom=0)
    axes.set_ylabel("images")
    axes.set_xlabel("UTC")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    return png_of(figure)


def narrowed(png: bytes, width_px: int) -> bytes:
    """A picture at most `width_px` wide."""
    with Image.open(io.BytesIO(png)) as image:
        if image.width <= width_px:
            return png
        height_px = round(image.height * width_px / image.width)
        return _packed(image.convert("RGB").resize((width_px, height_px), Image.Resampling.LANCZOS))


def _say(axes: Any, text: str) -> None:
    """Write why the picture is empty."""
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes)
    axes.set_xticks([])
    axes.set_yticks([])


def shortened(name: str) -> str:
    """A name that leaves room for the rest of a picture."""
    return name if len(name) <= 40 else f"{name[:39]}…"


def _write_numbers(axes: Any, values: NDArray[np.float64], marks: list[list[str]] | None = None) -> None:
    """Write numbers into cells, each after its mark."""
    middle = np.nanmax(values, initial=0.0) * 0.6
    for row, numbers in enumerate(values):
        for column, value in enumerate(numbers):
            text = "?" if np.isnan(value) else f"{marks[row][column] if marks else ''}{value:.3g}"
            colour = "white" if value < middle else "black"
            axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)


def png_of(figure: Figure) -> bytes:
    """A figure as a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    with Image.open(buffer) as image:
        return _packed(image.convert("RGB"))


def _packed(image: Image.Image) -> bytes:
    """A PNG with a palette, a quarter of the size, and without a date, so that equal pictures have equal bytes."""
    buffer = io.BytesIO()
    palette = image.quantize(_COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    palette.save(buffer, "png", optimize=True)
    return buffer.getvalue()
