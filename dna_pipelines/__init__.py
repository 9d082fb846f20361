"""Whether, where and why your image datasets changed.

A dataset's *DNA* is the distribution of every neuron's activations in a frozen network
(Visual DNA, Ramtoula et al., CVPR 2023). This package keeps the DNAs of many image datasets
up to date, compares them neuron by neuron, and stores everything as Parquet.

    import dna_pipelines as dna

    a, b = dna.fingerprint("train/"), dna.fingerprint("val/")      # in memory, without a project
    dna.emd(a, b), dna.test(a, b).p_value

    project = dna.create_project("~/cameras")
    project.add("cameras", "images/cameras", group_by="folder")
    project.update(progress=True)
    project.compare("cameras@-1", "cameras").test().significant

The names below are imported when they are used first, so that importing the package costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dna_pipelines.api.in_memory.fingerprint import Fingerprint as Fingerprint
    from dna_pipelines.api.in_memory.fingerprints import emd as emd
    from dna_pipelines.api.in_memory.fingerprints import fingerprint as fingerprint
    from dna_pipelines.api.in_memory.fingerprints import test as test
    from dna_pipelines.api.network import Network as Network
    from dna_pipelines.api.project.project import Project as Project
    from dna_pipelines.api.project.project import create_project as create_project
    from dna_pipelines.api.project.project import open_project as open_project
    from dna_pipelines.api.results.answers import ExportResult as ExportResult
    from dna_pipelines.api.results.answers import InspectResult as InspectResult
    from dna_pipelines.api.results.answers import SelectionsResult as SelectionsResult
    from dna_pipelines.api.results.answers import SqlResult as SqlResult
    from dna_pipelines.api.results.comparison import Comparison as Comparison
    from dna_pipelines.api.results.comparison import Distances as Distances
    from dna_pipelines.api.results.datasets import AddResult as AddResult
    from dna_pipelines.api.results.datasets import DatasetsResult as DatasetsResult
    from dna_pipelines.api.results.datasets import HistoryResult as HistoryResult
    from dna_pipelines.api.results.datasets import ScanResult as ScanResult
    from dna_pipelines.api.results.explanation import Explanation as Explanation
    from dna_pipelines.api.results.extractors import ExtractorResult as ExtractorResult
    from dna_pipelines.api.results.extractors import ExtractorsResult as ExtractorsResult
    from dna_pipelines.api.results.extractors import RangesResult as RangesResult
    from dna_pipelines.api.results.images import DuplicatesResult as DuplicatesResult
    from dna_pipelines.api.results.images import FitsResult as FitsResult
    from dna_pipelines.api.results.images import GroupsResult as GroupsResult
    from dna_pipelines.api.results.images import ImagesResult as ImagesResult
    from dna_pipelines.api.results.maintenance import DoctorResult as DoctorResult
    from dna_pipelines.api.results.maintenance import PruneResult as PruneResult
    from dna_pipelines.api.results.overview import MapResult as MapResult
    from dna_pipelines.api.results.overview import MatrixResult as MatrixResult
    from dna_pipelines.api.results.significance import TestResult as TestResult
    from dna_pipelines.api.results.tables import Table as Table
    from dna_pipelines.api.results.updates import ForecastResult as ForecastResult
    from dna_pipelines.api.results.updates import UpdateReport as UpdateReport
    from dna_pipelines.errors import CheckFailed as CheckFailed
    from dna_pipelines.errors import ConfigError as ConfigError
    from dna_pipelines.errors import DnaError as DnaError
    from dna_pipelines.errors import ExtractorError as ExtractorError
    from dna_pipelines.errors import Incomparable as Incomparable
    from dna_pipelines.errors import InterchangeError as InterchangeError
    from dna_pipelines.errors import LakeError as LakeError
    from dna_pipelines.errors import NothingToCompare as NothingToCompare
    from dna_pipelines.errors import SourceChanged as SourceChanged
    from dna_pipelines.errors import SourceError as SourceError
    from dna_pipelines.errors import UnknownName as UnknownName
    from dna_pipelines.errors import Unreadable as Unreadable
    from dna_pipelines.errors import UserError as UserError
    from dna_pipelines.imaging import Preprocessing as Preprocessing

__version__ = "0.1.0"

_HOMES = {
    "api.results.answers": ("ExportResult", "InspectResult", "SelectionsResult", "SqlResult"),
    "api.results.comparison": ("Comparison", "Distances"),
    "api.results.datasets": ("AddResult", "DatasetsResult", "HistoryResult", "ScanResult"),
    "api.results.explanation": ("Explanation",),
    "api.results.extractors": ("ExtractorResult", "ExtractorsResult", "RangesResult"),
    "api.in_memory.fingerprint": ("Fingerprint",),
    "api.in_memory.fingerprints": ("emd", "fingerprint", "test"),
    "api.results.images": ("DuplicatesResult", "FitsResult", "GroupsResult", "ImagesResult"),
    "api.results.maintenance": ("DoctorResult", "PruneResult"),
    "api.network": ("Network",),
    "api.results.overview": ("MapResult", "MatrixResult"),
    "api.project.project": ("Project", "create_project", "open_project"),
    "api.results.significance": ("TestResult",),
    "api.results.tables": ("Table",),
    "api.results.updates": ("ForecastResult", "UpdateReport"),
    "errors": (
        "CheckFailed", "ConfigError", "DnaError", "ExtractorError", "Incomparable", "InterchangeError", "LakeError",
        "NothingToCompare", "SourceChanged", "SourceError", "UnknownName", "Unreadable", "UserError",
    ),
    "imaging": ("Preprocessing",),
}  # fmt: skip
_MODULES = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted([*_MODULES, "__version__"])  # noqa: PLE0605 (the names of a table)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        close = import_module("difflib").get_close_matches(name, __all__, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}", name=name)
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
