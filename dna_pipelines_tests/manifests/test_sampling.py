"""Sampling: steady, in proportion, and never silent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dna_pipelines.config import DatasetConfig
from dna_pipelines.manifests.sampling import sample
from dna_pipelines.sources import Entry


def entries(names):
    return [Entry(name.encode(), 1, "s") for name in sorted(names)]


def taken(names, **settings):
    chosen = sample(entries(names), DatasetConfig(name="d", uri="u", **settings))
    return {entry.path.decode() for entry in chosen}


NAMES = [f"{number}.png" for number in range(10_000)]


def test_without_a_wish_everything_is_taken_in_order():
    assert sample(entries(NAMES), DatasetConfig(name="d", uri="u")) == entries(NAMES)


@pytest.mark.parametrize("limit", [1, 1000, 9999, 10_000, 20_000])
def test_a_limit_is_met_exactly(limit):
    assert len(taken(NAMES, limit=limit)) == min(limit, 10_000)


def test_one_in_so_many_is_taken():
    assert len(taken(NAMES, every=10)) == pytest.approx(1000, abs=4 * 30)


def test_one_per_cent_more_images_change_about_one_per_cent_of_the_sample():
    more = [*NAMES, *(f"new-{number}.png" for number in range(100))]
    before, after = taken(NAMES, limit=2000), taken(more, limit=2000)
    # 2,000 x 100 / 10,100 = 20 are expected to be replaced, with a spread of 4.4.
    assert 2 <= len(before - after) <= 42
    assert all(name.startswith("new") for name in after - before)


@given(st.sets(st.sampled_from(NAMES), max_size=40), st.sets(st.sampled_from(NAMES), max_size=10))
def test_what_every_takes_stays_taken(names, others):
    assert taken(names | others, every=3) & names == taken(names, every=3)


@given(st.integers(1, 30), st.integers(1, 30))
def test_a_smaller_sample_is_part_of_a_larger_one(one, other):
    small, large = sorted((one, other))
    assert taken(NAMES[:30], limit=small) <= taken(NAMES[:30], limit=large)
    assert taken(NAMES[:300], every=10, limit=small) <= taken(NAMES[:300], every=5, limit=300)


def test_another_seed_takes_others():
    both = taken(NAMES, limit=1000) & taken(NAMES, limit=1000, seed=1)
    # 1,000 x 1,000 / 10,000 in common, as of two draws that know nothing of each other.
    assert 60 <= len(both) <= 140


def test_the_names_have_no_say_in_who_is_taken():
    """Uniform over what a name begins with: a chi-square of 9 degrees of freedom stays below its 99.99th percentile."""
    counts = [sum(name.startswith(str(digit)) for name in taken(NAMES[1000:], every=5)) for digit in range(1, 10)]
    assert sum((count - 200) ** 2 / (200 * 0.8) for count in counts) < 33


def test_a_folder_that_cannot_be_listed_is_never_left_out():
    listed = [*entries(NAMES[:50]), Entry(b"locked/", 0, "unlistable", None, "folder cannot be listed", None, True)]
    assert listed[-1] in sample(listed, DatasetConfig(name="d", uri="u", limit=1))
