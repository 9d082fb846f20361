"""The watched-datasets file (`data/datasets.yaml`): what it may say, and reading and editing it.

Belongs here: the typed models and the file. Does not: opening the places it names.
"""

from dna_pipelines.config.file import DatasetsFile
from dna_pipelines.config.models import DatasetConfig, ExtractorConfig, MetadataConfig, WatchConfig
from dna_pipelines.config.views import View

__all__ = ["DatasetConfig", "DatasetsFile", "ExtractorConfig", "MetadataConfig", "View", "WatchConfig"]
