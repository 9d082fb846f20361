"""A manifest comes back from its file as it was."""

import pytest

from dna_pipelines.manifests import Shard
from dna_pipelines.manifests.manifest import OK, ImageRow, Manifest
from dna_pipelines.storage.manifest_table import manifest_to_parquet, read_manifest
from dna_pipelines.storage.records import ShardRecord


@pytest.mark.parametrize("shards", [["aab"], ["ab", "ab"], ["aabc", "d", "aabc", "aabc"], ["a", "ab", "a", "bbb"]])
def test_shards_of_the_same_images_come_back_alike(tmp_path, shards):
    """In path order the copies of one image are neighbours, whatever shard they belong to."""
    placed = sorted((digest, group) for group, digests in enumerate(shards) for digest in digests)
    cut = [
        Shard(tuple(ImageRow(b"", 1, "s", OK, digest).item for digest in digests), ("parent",)) for digests in shards
    ]
    rows = tuple(
        ImageRow(b"%d" % number, 1, "s", OK, digest, shard_id=cut[group].id, block=0)
        for number, (digest, group) in enumerate(placed)
    )
    (tmp_path / "file").write_bytes(manifest_to_parquet("name", Manifest(rows, tuple(cut))))
    records = tuple(ShardRecord(shard_id=shard.id, n_images=len(shard), parents=shard.parents) for shard in cut)
    found = read_manifest(tmp_path / "file", records)
    assert [shard.id for shard in found.shards] == [shard.id for shard in cut]
    assert [shard.parents for shard in found.shards] == [("parent",)] * len(cut)
    assert found.rows == rows
