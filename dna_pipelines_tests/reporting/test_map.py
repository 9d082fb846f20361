"""The picture of a map: its names."""

from itertools import combinations

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dna_pipelines.comparison.embedding import average_linkage
from dna_pipelines.reporting.map import _leaves, _name_points


def test_names_cover_neither_each_other_nor_points_and_none_is_lost_without_a_word():
    rng = np.random.default_rng(3)
    # A tight bunch and a few that lie apart.
    positions = np.vstack([rng.normal(0, 0.3, (12, 2)), rng.normal(0, 8, (8, 2))])
    figure = Figure(figsize=(7, 5))
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.scatter(*positions.T)
    figure.canvas.draw()
    n_left_out = _name_points(figure, axes, positions, [f"dataset-{place}" for place in range(20)])
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) + n_left_out == 20
    assert len(boxes) >= 15
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    points = axes.transData.transform(positions)
    assert not any(box.contains(*point) for box in boxes for point in points)


def test_no_lines_of_the_tree_cross():
    rng = np.random.default_rng(4)
    points = rng.normal(size=(9, 2))
    joins = average_linkage(np.sqrt(((points[:, None] - points) ** 2).sum(axis=2)))
    order, members = _leaves(joins, 9), {place: {place} for place in range(9)}
    assert sorted(order) == list(range(9))
    for number, join in enumerate(joins, start=9):
        members[number] = members[join.first] | members[join.second]
        rows = sorted(order.index(leaf) for leaf in members[number])
        assert rows == list(range(rows[0], rows[0] + len(rows)))
