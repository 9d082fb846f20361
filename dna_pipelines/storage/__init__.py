"""The lake: every path, the Parquet files, atomic writes, and the DuckDB catalog.

Belongs here: how things are kept. Does not: what is computed. Nothing outside this room knows a
path of the lake. A file once written is never changed; what is current is the last commit record.
"""

from dna_pipelines.storage.catalog import Catalog
from dna_pipelines.storage.lake import Lake
from dna_pipelines.storage.records import Commit, DnaRecord

__all__ = ["Catalog", "Commit", "DnaRecord", "Lake"]
