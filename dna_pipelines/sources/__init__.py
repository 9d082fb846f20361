"""Where images are listed and read: folders, index files, archives and tables, local or through fsspec.

Belongs here: listing and reading bytes. Does not: decoding, digests, anything kept in the lake.
To add a kind of source: a class with `list` and `read` in a module of its own, and a line in
`open_source`.
"""

from dna_pipelines.sources.base import Entry, Source
from dna_pipelines.sources.opening import open_source

__all__ = ["Entry", "Source", "open_source"]
