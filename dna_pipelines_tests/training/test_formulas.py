"""The training images: the same for each seed, and drawn from their labels alone."""

import numpy as np
import pytest
import torch

from training.fields import CLASSES, kept_fields, spread_labels
from training.formulas import FAMILIES, FIELD_PX, draw_class, equalised
from training.palettes import N_PALETTES, coloured, drawn_palettes, labelled_palettes
from training.views import N_TRAITS, UNLABELLED, look


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_class_is_the_same_every_time_and_unlike_the_next(family):
    first, again, other = (draw_class(family, index, 2, seed=5) for index in (0, 0, 1))
    assert first.shape == (2, FIELD_PX, FIELD_PX)
    assert first.dtype == np.uint8
    assert (first == again).all()
    assert (first[0] != first[1]).any()
    assert (first != other).any()
    # Something is drawn: no field is flat.
    assert (first.std(axis=(1, 2)) > 10).all()


def test_there_are_between_150_and_200_classes_and_some_of_them_are_of_all_families():
    assert 150 <= len(CLASSES) <= 200
    assert spread_labels(len(CLASSES)) == tuple(range(len(CLASSES)))
    assert {CLASSES[label][0] for label in spread_labels(20)} == set(range(len(FAMILIES)))


def test_fields_are_kept_and_not_drawn_again(tmp_path):
    drawn = kept_fields(tmp_path, 3, 2, seed=4, processes=1)
    (file,) = tmp_path.iterdir()
    np.save(file, drawn[::-1])
    assert (kept_fields(tmp_path, 3, 2, seed=4, processes=1) == drawn[::-1]).all()
    assert (draw_class(FAMILIES[0], 0, 2, seed=4) == drawn[0]).all()


def test_equalised_fields_have_equal_shares_of_all_greys_and_equal_ranks_for_equal_values():
    field = np.random.default_rng(0).normal(size=(20, 20)).astype(np.float32)
    assert np.allclose(np.sort(equalised(field), axis=None), np.linspace(0, 1, 400))
    steps = np.repeat([5.0, 1.0], 50).reshape(10, 10).astype(np.float32)
    assert np.unique(equalised(steps)).tolist() == pytest.approx([24.5 / 99, 74.5 / 99])


def test_a_palette_is_interpolated_between_its_four_colours():
    palette = torch.tensor([[0.0, 0.0, 1.0], [0.3, 0.6, 0.0], [1.0, 1.0, 1.0], [0.2, 0.0, 0.4]])
    fields = torch.tensor([[[0.0, 1 / 3, 1 / 2, 1.0]]])
    expected = torch.stack([palette[0], palette[1], (palette[1] + palette[2]) / 2, palette[3]], 1)
    assert torch.allclose(coloured(fields, palette[None])[0, :, 0], expected, atol=0.01)


def test_no_palette_is_flat_and_the_first_is_grey():
    palettes = torch.cat([labelled_palettes(1), drawn_palettes(200, torch.Generator().manual_seed(2))])
    assert ((palettes >= 0) & (palettes <= 1)).all()
    assert (palettes.amax(1) - palettes.amin(1)).amax(1).min() > 0.1
    assert (palettes[0, :, 0] == palettes[0, :, 2]).all()


def test_views_follow_from_their_seed_and_say_what_they_are():
    fields = torch.from_numpy(draw_class(FAMILIES[3], 2, 24, seed=1))

    def views(seed):
        return look(fields, labelled_palettes(1), 48, torch.Generator().manual_seed(seed))

    first, again, other = views(1), views(1), views(2)
    assert first.images.shape == (24, 3, 48, 48)
    assert first.images.min() >= 0
    assert first.images.max() <= 1
    assert (first.images == again.images).all()
    assert (first.images != other.images).any()
    known = first.palette[first.palette != UNLABELLED]
    assert 0 < len(known) < 24
    assert (known >= 0).all()
    assert (known < N_PALETTES).all()
    assert first.traits.shape == (24, N_TRAITS)
    assert torch.allclose(first.traits[:, 2:5] / 2, first.images.mean((2, 3)))
