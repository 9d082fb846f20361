"""Files that are exchanged with other programs: those of the reference implementation, `vdna`.

Belongs here: their layouts, reading and writing them. Does not: the lake, networks, distances.
"""

from dna_pipelines.interchange.activation_ranges import read_ranges, write_ranges
from dna_pipelines.interchange.files import require_room
from dna_pipelines.interchange.ranges_file import RangesFile, with_ranges
from dna_pipelines.interchange.vdna_facts import TYPES
from dna_pipelines.interchange.vdna_files import is_vdna_path, read_vdna, write_vdna

__all__ = [
    "TYPES",
    "RangesFile",
    "is_vdna_path",
    "read_ranges",
    "read_vdna",
    "require_room",
    "with_ranges",
    "write_ranges",
    "write_vdna",
]
