"""The images of a dataset: manifests, versions, shards, quarantine and the diff of two versions.

This package decides, from a listing and the previous manifest, what changed and how images are cut into shards.
Storing manifests, networks and DNAs are not its task.
"""

from dna_pipelines.manifests.diff import ManifestDiff, diff_manifests
from dna_pipelines.manifests.folder_tables import with_folder_tables
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
    "with_folder_tables",
]
