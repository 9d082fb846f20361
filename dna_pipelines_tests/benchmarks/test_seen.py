"""The counts of single images in the protocols add up to the counts of the product."""

import numpy as np
import pytest

from benchmarks.protocols.seen import Sight
from dna_pipelines.config import View
from dna_pipelines.distributions import COARSE_BINS
from dna_pipelines.extraction.views.view_layers import layers_of_view

pytestmark = pytest.mark.campaign


@pytest.mark.parametrize("name", ["seeded_cnn", "scattering"])
def test_single_images_and_their_cells_add_up(name):
    images = np.random.default_rng(0).integers(0, 256, (20, 40, 40, 3), np.uint8)
    sight = Sight(name, images)
    seen = sight.see(images)
    whole = sight.counts(images)
    coarse = whole.reshape(len(whole), COARSE_BINS, -1).sum(axis=2)
    assert (seen.whole() == coarse).all()
    times = np.array([np.ones(20), np.arange(20) % 3])
    assert (seen.summed(times)[0] == coarse).all()
    made = layers_of_view(View.parse("spatial"), sight.extractor.layers, sight.extractor.positions, name)
    again, cells = sight.see_cells(images, made, times)
    assert (again.pooled == seen.pooled).all()
    summed = seen.summed(times)
    for source, part in enumerate(sight.extractor.layers.slices.values()):
        places = [place for place, of in enumerate(made.sources) if of == source]
        of_cells = sum(cells[:, made.layers.slices[made.layers.names[place]]] for place in places)
        assert (of_cells == summed[:, part]).all()
