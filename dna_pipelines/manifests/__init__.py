"""What a dataset is made of: manifests, versions, shards, quarantine and the diff of two versions.

Belongs here: deciding, from a listing and the previous manifest, what changed and how it is cut
into shards. Does not: how manifests are stored, networks, DNAs.
"""

from dna_pipelines.manifests.diff import ManifestDiff, diff_manifests
from dna_pipelines.manifests.manifest import ImageRow, Manifest, ReadImage
from dna_pipelines.manifests.scan import Scan, build_manifest, raw_version, scan_source
from dna_pipelines.manifests.shards import Shard, cut_shards, slice_shards

__all__ = [
    "ImageRow",
    "Manifest",
    "ManifestDiff",
    "ReadImage",
    "Scan",
    "Shard",
    "build_manifest",
    "cut_shards",
    "diff_manifests",
    "raw_version",
    "scan_source",
    "slice_shards",
]
