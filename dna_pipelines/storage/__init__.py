"""The lake: every path, the Parquet files, atomic writes, and the DuckDB catalog.

Belongs here: how results are stored. Does not: how they are computed. Only this room knows the paths of the
lake. A file is never changed once written; the last commit record of a dataset is its current version.
"""

from dna_pipelines.storage.catalog import Catalog
from dna_pipelines.storage.lake import Lake
from dna_pipelines.storage.records import Commit, DnaRecord

__all__ = ["Catalog", "Commit", "DnaRecord", "Lake"]
