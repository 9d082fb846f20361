"""The picture of a map: datasets in a plane, and the tree of their clusters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dna_pipelines.comparison.embedding import Join, Plane
from dna_pipelines.comparison.matrix import Matrix
from dna_pipelines.reporting.pictures import DPI, Picture, png_of, shortened

_MOST_NAMES = 80
"""Larger maps show points only."""

_REACH_PX = (4, 14, 26, 40, 58, 80)
"""Distances at which a name may stand from its point; the nearest free position is used."""

F64 = NDArray[np.float64]
Box = tuple[float, float, float, float]
"""Left, bottom, right and top in pixels."""


def map_picture(matrix: Matrix, plane: Plane, clusters: NDArray[np.int64], joins: Sequence[Join]) -> bytes:
    """`map_figure` as a PNG."""
    return png_of(map_figure(matrix, plane, clusters, joins))


def map_figure(matrix: Matrix, plane: Plane, clusters: NDArray[np.int64], joins: Sequence[Join]) -> Picture:
    """Datasets in a plane, coloured by cluster, beside the tree of average linkage.

    In the plane, names are moved until they cover neither each other nor a point. A name without room is left out, and
    the picture gives the number of those. The tree has all names.
    """
    n = len(matrix.names)
    height = max(5.5, min(0.19 * n + 1.5, 14.0))
    figure = Picture(figsize=(13.5, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    space, tree = figure.subplots(1, 2, width_ratios=(1.5, 1))
    figure.suptitle(matrix.title, fontsize=11)
    colours = colormaps["tab10" if clusters.max(initial=0) < 10 else "tab20"](clusters)
    space.set_aspect("equal", adjustable="datalim")
    space.scatter(*plane.positions.T, c=colours, s=36, edgecolors="white", linewidths=0.6, zorder=3)
    space.margins(0.14)
    space.set_xlabel("distances of the matrix, as far as a plane can represent them", fontsize=9)
    space.tick_params(labelsize=8)
    space.grid(color="0.92", zorder=0)
    space.set_axisbelow(True)
    # Reserves room for the title, which is known last.
    space.set_title(" ", fontsize=9)
    unit = "√" if matrix.metric in ("nfd", "fd") else ""
    _draw_tree(tree, joins, [shortened(name) for name in matrix.names], colours)
    tree.set_xlabel(f"mean distance at which clusters join ({unit}{matrix.metric})", fontsize=9)
    # Constrained layout moves the axes when it is drawn, so names are placed after that.
    figure.canvas.draw()
    figure.set_layout_engine("none")
    n_left_out = _name_points(figure, space, plane.positions, matrix.names) if n <= _MOST_NAMES else n
    quality = f"{plane.kept_share:.0%} of the spread is in this plane, stress {plane.stress:.2f}"
    hidden = f"; {n_left_out} of {n} names have no room" if n_left_out else ""
    space.set_title(quality + hidden, fontsize=9)
    return figure


def _name_points(figure: Figure, axes: Any, positions: F64, names: Sequence[str]) -> int:
    """Write names where there is room; returns the number of those without."""
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    points = axes.transData.transform(positions)
    frame = axes.get_window_extent(renderer)
    taken: list[Box] = [(x - 5, y - 5, x + 5, y + 5) for x, y in points]
    n_left_out = 0
    # From the outside inwards: there is more room outside.
    order = np.argsort(-np.hypot(*(points - points.mean(axis=0)).T), kind="stable")
    for index in order:
        text = axes.text(0, 0, shortened(names[index]), fontsize=8, transform=None, va="bottom", ha="left", zorder=4)
        extent = text.get_window_extent(renderer)
        free = (
            (box, reach)
            for box, reach in _boxes(points[index], extent.width, extent.height)
            if _inside(box, frame.extents) and not any(_overlap(box, other) for other in taken)
        )
        nearest = next(free, None)
        if nearest is None:
            text.remove()
            n_left_out += 1
            continue
        box, reach = nearest
        taken.append(box)
        text.set_position((box[0], box[1]))
        if reach > _REACH_PX[1]:
            _lead(axes, points[index], box)
    return n_left_out


def _boxes(point: F64, width: float, height: float) -> Iterator[tuple[Box, int]]:
    """Positions of a name and their distances: right, left, above, below and in the corners, the nearest first."""
    x, y = point
    for reach in _REACH_PX:
        gap = reach + 3
        for right, up in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)):
            left = x + gap if right > 0 else x - gap - width if right < 0 else x - width / 2
            bottom = y + gap if up > 0 else y - gap - height if up < 0 else y - height / 2
            yield (left, bottom, left + width, bottom + height), reach


def _inside(box: Box, frame: Sequence[float]) -> bool:
    return bool(box[0] >= frame[0] and box[1] >= frame[1] and box[2] <= frame[2] and box[3] <= frame[3])


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _lead(axes: Any, point: F64, box: Box) -> None:
    """A thin line from a point to the nearest point of its name."""
    nearest = np.clip(point, (box[0], box[1]), (box[2], box[3]))
    ends = axes.transData.inverted().transform([point, nearest])
    axes.plot(*ends.T, color="0.6", linewidth=0.6, zorder=2, scalex=False, scaley=False)


def _draw_tree(axes: Any, joins: Sequence[Join], names: Sequence[str], colours: F64) -> None:
    """Draw the leaves on the left, in an order in which no lines cross."""
    n = len(names)
    leaves = _leaves(joins, n)
    middle = {leaf: float(row) for row, leaf in enumerate(leaves)}
    heights = dict.fromkeys(range(n), 0.0)
    for number, join in enumerate(joins, start=n):
        ends = [(heights[part], middle[part]) for part in (join.first, join.second)]
        across = [ends[0][0], join.height, join.height, ends[1][0]]
        axes.plot(across, [ends[0][1], ends[0][1], ends[1][1], ends[1][1]], color="0.35", linewidth=1)
        heights[number], middle[number] = join.height, (ends[0][1] + ends[1][1]) / 2
    size = 8 if n <= 45 else 360 / n
    axes.set_yticks(range(n), [names[leaf] for leaf in leaves], fontsize=max(size, 1.5))
    for label, leaf in zip(axes.get_yticklabels(), leaves, strict=True):
        label.set_color(0.8 * colours[leaf][:3])
    axes.set_ylim(n - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.tick_params(axis="x", labelsize=8)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _leaves(joins: Sequence[Join], n: int) -> list[int]:
    members = {leaf: [leaf] for leaf in range(n)}
    for number, join in enumerate(joins, start=n):
        members[number] = members.pop(join.first) + members.pop(join.second)
    return next(iter(members.values()), [])
