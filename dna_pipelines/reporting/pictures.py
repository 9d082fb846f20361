"""Pictures as PNG bytes. Matplotlib draws them without a screen and without global state."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from dna_pipelines.reporting.matrix import METRICS, Matrix

_MOST_NUMBERS = 24
"""Larger matrices show colours only."""


def matrix_picture(matrix: Matrix) -> bytes:
    """The matrix as a heat map: dark is near, bright is far; unknown pairs are grey."""
    n = len(matrix.names)
    edge = max(3.5, min(0.62 * n, 16.0))
    longest = max((len(name) for name in matrix.names), default=0)
    margin = 0.085 * min(longest, 40)
    figure = Figure(figsize=(edge + margin + 1.6, edge + margin + 0.8), layout="constrained")
    axes = figure.add_subplot()
    axes.set_facecolor("0.85")
    axes.set_title(f"{matrix.extractor}: {METRICS[matrix.metric]}", fontsize=11)
    if n == 0:
        axes.text(0.5, 0.5, "no dataset has a DNA yet", ha="center", va="center", transform=axes.transAxes)
        axes.set_xticks([])
        axes.set_yticks([])
        return _png(figure)
    image = axes.imshow(np.ma.masked_invalid(matrix.values), cmap="viridis", vmin=0.0)
    figure.colorbar(image, ax=axes, shrink=0.8)
    if n <= 80:
        labels = [name if len(name) <= 40 else f"{name[:39]}…" for name in matrix.names]
        size = 9 if n <= 30 else 6
        axes.set_xticks(range(n), labels, rotation=90, fontsize=size)
        axes.set_yticks(range(n), labels, fontsize=size)
    if n <= _MOST_NUMBERS:
        _write_numbers(axes, matrix)
    return _png(figure)


def profile_picture(a: str, b: str, layers: list[dict[str, Any]]) -> bytes:
    """The EMD of a pair layer by layer, from the `layers` of a comparison's summary."""
    figure = Figure(figsize=(7.0, max(2.0, 0.32 * len(layers) + 1.0)), layout="constrained")
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
    return _png(figure)


def _write_numbers(axes: Any, matrix: Matrix) -> None:
    middle = np.nanmax(matrix.values, initial=0.0) * 0.6
    for row, values in enumerate(matrix.values):
        for column, value in enumerate(values):
            text = "?" if np.isnan(value) else f"{value:.3g}"
            colour = "white" if value < middle else "black"
            axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    # No creation date, so equal pictures are equal bytes.
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()
