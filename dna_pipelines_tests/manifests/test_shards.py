"""Cutting shards: what is kept, what is replaced, what is joined."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dna_pipelines.identity import N_BLOCKS, Item, block_of, multiset_id
from dna_pipelines.manifests import Shard
from dna_pipelines.manifests.shards import MAX_SMALL_SHARDS, cut_shards

ITEMS = st.lists(st.integers(0, 40), max_size=60).map(lambda numbers: [Item(f"{n:064x}") for n in numbers])


def items_of(shards):
    return Counter(item for shard in shards for item in shard.items)


@given(versions=st.lists(ITEMS, min_size=1, max_size=12), size=st.integers(1, 16))
def test_shards_always_hold_exactly_the_version(versions, size):
    shards = ()
    for items in versions:
        shards = cut_shards(items, shards, size)
        assert items_of(shards) == Counter(items)
        assert all(0 < len(shard) <= size for shard in shards)


@given(old=ITEMS, new=ITEMS, size=st.integers(1, 16))
def test_adding_touches_no_old_shard(old, new, size):
    before = cut_shards(old, (), size)
    after = cut_shards(old + new, before, size)
    if not any(shard.parents for shard in after):
        kept = Counter(shard.id for shard in before) & Counter(shard.id for shard in after)
        assert sum(kept.values()) == len(before)
    fresh = [shard for shard in after if not shard.parents and shard.id not in {old.id for old in before}]
    assert sum(map(len, fresh)) <= len(new)


@given(old=ITEMS, elsewhere=ITEMS, new=ITEMS, size=st.integers(1, 16))
def test_known_shards_are_taken_where_added_images_fill_them_and_nothing_else_changes(old, elsewhere, new, size):
    known = cut_shards(elsewhere, (), size + 2)
    before = cut_shards(old, (), size)
    asked = []
    after = cut_shards(new, before, size, lambda items: asked.extend(items) or known)
    assert items_of(after) == Counter(new)
    assert all(0 < len(shard) <= size for shard in after)
    # Only what is added is asked for.
    assert Counter(asked) == Counter(new) - Counter(old)
    taken = [shard for shard in after if any(shard is one for one in known)]
    left = Counter(asked) - items_of(taken)
    assert not any(len(shard) <= size and Counter(shard.items) <= left for shard in known if shard not in taken)


def test_one_removed_image_replaces_one_shard():
    items = [Item(f"{n:064x}") for n in range(20)]
    before = cut_shards(items, (), 5)
    after = cut_shards([item for item in items if item != items[7]], before, 5)
    assert len({shard.id for shard in before} - {shard.id for shard in after}) == 1
    assert len({shard.id for shard in after} - {shard.id for shard in before}) == 1


def test_one_changed_image_replaces_its_shard_and_adds_one():
    items = [Item(f"{n:064x}") for n in range(20)]
    before = cut_shards(items, (), 5)
    changed = [*items[:7], Item("f" * 64), *items[8:]]
    after = cut_shards(changed, before, 5)
    fresh = [shard for shard in after if shard.id not in {old.id for old in before}]
    assert sorted(len(shard) for shard in fresh) == [1, 4]


def test_many_small_shards_are_joined_by_naming_their_parents():
    shards, items = (), []
    for n in range(MAX_SMALL_SHARDS + 2):
        items.append(Item(f"{n:064x}"))
        shards = cut_shards(items, shards, 100)
    joined = [shard for shard in shards if shard.parents]
    assert len(joined) == 1
    assert len(joined[0].parents) == MAX_SMALL_SHARDS + 1
    assert items_of(shards) == Counter(items)
    assert len(shards) == 2


@pytest.mark.parametrize(("n_images", "are_small"), [(4, True), (5, True), (6, False)])
def test_a_shard_that_is_at_most_half_full_is_small(n_images, are_small):
    numbers = iter(range(1000))
    before = tuple(
        Shard(tuple(Item(f"{next(numbers):064x}") for _ in range(n_images))) for _ in range(MAX_SMALL_SHARDS + 1)
    )
    items = [item for shard in before for item in shard.items]
    after = cut_shards([*items, Item("f" * 64)], before, 10)
    assert any(shard.parents for shard in after) == are_small


def test_a_version_that_did_not_change_keeps_its_cut_and_joined_shards_remember_their_parents():
    items = [Item(f"{n:064x}") for n in range(MAX_SMALL_SHARDS + 2)]
    many = ()
    for n in range(1, MAX_SMALL_SHARDS + 2):
        many = cut_shards(items[:n], many, 100)
    assert len(many) == MAX_SMALL_SHARDS + 1
    # Its DNA exists, so that the joined shard would not be measured.
    assert cut_shards(items[: MAX_SMALL_SHARDS + 1], many, 100) == many
    joined = cut_shards(items, many, 100)
    assert joined[0].parents == tuple(shard.id for shard in many)
    assert cut_shards([*items, Item("f" * 64)], joined, 100)[0].parents == joined[0].parents


@given(items=ITEMS)
def test_identity_ignores_order_and_counts_copies(items):
    assert multiset_id(items) == multiset_id(sorted(items, reverse=True))
    assert multiset_id(items) != multiset_id([*items, Item("0" * 64)])
    assert Shard(tuple(items)).id == multiset_id(items)


def test_a_group_is_part_of_identity_and_decides_the_block():
    plain, grouped = Item("a" * 64), Item("a" * 64, "clip")
    assert multiset_id([plain]) != multiset_id([grouped])
    assert block_of(grouped) == block_of(Item("b" * 64, "clip"))
    blocks = Counter(block_of(Item(f"{n:064x}")) for n in range(6400))
    assert set(blocks) == set(range(N_BLOCKS))
    # 100 expected in each; six standard deviations.
    assert all(40 < count < 160 for count in blocks.values())
