"""Features of images from many shards."""

import numpy as np
import pytest

from dna_pipelines.analysis.images.feature_table import joined
from dna_pipelines.distributions import ImageFeatures
from dna_pipelines.errors import LakeError
from dna_pipelines_tests.raising import raises


def features(digests, layers):
    pooled = {name: np.full((len(digests), 2), len(digest), np.float16) for name in layers for digest in digests[:1]}
    return ImageFeatures(tuple(digests), pooled, np.zeros((len(digests), 1), np.uint8))


def test_rows_come_in_the_order_of_the_shards():
    table = joined([features(["a"], ["x", "y"]), features(["bb", "cc"], ["x", "y"])], "d")
    assert table.digests == ("a", "bb", "cc")
    assert {name: rows[:, 0].tolist() for name, rows in table.pooled.items()} == {"x": [1, 2, 2], "y": [1, 2, 2]}
    assert table.signs.shape == (3, 1)


@pytest.mark.parametrize("layers", [[["x"], ["x", "y"]], [["x", "y"], ["x"]]])
def test_shards_with_features_of_different_layers_are_refused(layers):
    with raises(LakeError, "images.different-layers", label="d", layers=[["x"], ["x", "y"]]):
        joined([features([str(number)], some) for number, some in enumerate(layers)], "d")
