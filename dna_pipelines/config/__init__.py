"""The datasets file (`data/datasets.yaml`): what it may contain, how it is read, and how it is edited.

This package holds the typed models and the file. Opening the locations that the file names is not its task.
"""

from dna_pipelines.config.dataset import DatasetConfig, MetadataConfig
from dna_pipelines.config.extractor import ExtractorConfig
from dna_pipelines.config.file import DatasetsFile
from dna_pipelines.config.models import WatchConfig
from dna_pipelines.config.views import View

__all__ = ["DatasetConfig", "DatasetsFile", "ExtractorConfig", "MetadataConfig", "View", "WatchConfig"]
