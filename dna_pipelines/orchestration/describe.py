"""The metadata of results, which Dagster's page shows."""

import base64
import re
from dataclasses import asdict
from typing import Any

import dagster as dg
import pyarrow as pa

from dna_pipelines.analysis.history import growth, last_changes
from dna_pipelines.comparison.matrix import Matrix
from dna_pipelines.config import DatasetConfig
from dna_pipelines.credentials import without_credentials
from dna_pipelines.dna import ActivationRanges
from dna_pipelines.errors import LakeError
from dna_pipelines.extraction.stream.stage_times import StageTimes
from dna_pipelines.orchestration.lineage import distances_lineage, dna_lineage, matrix_lineage
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.storage import Catalog
from dna_pipelines.storage.catalog import meaning
from dna_pipelines.storage.distances import LAYER_SCHEMA
from dna_pipelines.storage.manifest_table import SCHEMA as MANIFEST_SCHEMA
from dna_pipelines.update.ingest import Ingested
from dna_pipelines.update.pairs import PairsUpdated

Metadata = dict[str, Any]
_MOST_ROWS = 20
_SHOWN_PX = 940


def describe_manifest(dataset: DatasetConfig, done: Ingested) -> Metadata:
    """The metadata of a manifest: counts, changes, quarantined files with reasons, and settings of the dataset."""
    commit, changes = done.commit, done.diff.counts()
    quarantined = [(row.name, row.reason, row.detail) for row in done.manifest.quarantined]
    return {
        "dagster/row_count": commit.n_images + commit.n_quarantined,
        "dagster/column_schema": columns(MANIFEST_SCHEMA),
        "n_images": commit.n_images,
        "n_quarantined": commit.n_quarantined,
        "n_ignored": commit.n_ignored,
        "n_not_sampled": commit.n_not_sampled,
        "n_groups": commit.n_groups,
        "n_shards": len(commit.shards),
        "size_mb": round(commit.n_bytes / 1e6, 3),
        "version_id": commit.version_id,
        "commit": commit.seq,
        "was_current": done.was_current,
        "location": without_credentials(dataset.uri),
        **({"owners": ", ".join(dataset.owners)} if dataset.owners else {}),
        **({"tags": dataset.tags} if dataset.tags else {}),
        **({"remark": commit.remark} if commit.remark else {}),
        **{f"n_new_{kind}": count for kind, count in changes.items()},
        **({"quarantine": _table(("path", "reason", "detail"), quarantined)} if quarantined else {}),
    }


def describe_ranges(ranges: ActivationRanges, *, measured: bool) -> Metadata:
    """The metadata of activation ranges: what they were measured on."""
    return {
        "measured_now": measured,
        "ranges_id": ranges.id,
        "n_images": ranges.n_images,
        "n_neurons": ranges.layers.n_neurons,
        "datasets": ", ".join(ranges.datasets),
        "origin": ranges.origin or "measured here",
        "n_constant": int((ranges.minimum == ranges.maximum).sum()),
    }


def describe_dna(project: ProjectFolder, fitted: Any) -> Metadata:
    """The metadata of a DNA, and of the work that it took."""
    work = fitted.work
    facts = {
        "n_images": fitted.commit.n_images,
        "n_images_extracted": work.n_images_extracted,
        "n_partials_computed": work.n_computed,
        "n_partials_merged": work.n_merged,
        "n_partials_reused": work.n_reused,
        "duration_s": round(fitted.duration_s, 3),
        "version_id": fitted.commit.version_id,
        **(_describe_stages(work.stages) if work.stages else {}),
    }
    record, store = fitted.record, project.lake.fingerprints
    if record is None:
        return {**facts, "note": "the dataset has no readable image, so there is no DNA"}
    file = store.dna_file(record.dna_id)
    return {
        **facts,
        "dagster/row_count": record.n_neurons,
        "dagster/column_schema": _view("dna"),
        **dna_lineage(fitted.extractor),
        "dna_id": record.dna_id,
        "comparability_key": record.comparability_key,
        "n_compute_keys": len(record.compute_keys),
        "n_dead": record.n_dead,
        "clipped_share": record.clipped_share,
        "size_mb": round(store.dna_bytes(record.dna_id) / 1e6, 3),
        "file": dg.MetadataValue.path(file),
    }


def _describe_stages(stages: StageTimes) -> Metadata:
    return {
        "images_per_s": round(stages.images_per_s, 3),
        "bound_by": stages.bound_by,
        "stages": dg.MetadataValue.json(asdict(stages)),
    }


def describe_pairs(updated: PairsUpdated) -> Metadata:
    """The metadata of the distances: how many pairs were computed."""
    return {
        "dagster/column_schema": columns(LAYER_SCHEMA),
        **distances_lineage(updated.extractor),
        "n_datasets": len(updated.dnas),
        "n_pairs_computed": updated.n_computed,
        "n_pairs_reused": updated.n_reused,
        **({"left_out": ", ".join(updated.left_out)} if updated.left_out else {}),
    }


def describe_matrix(project: ProjectFolder, matrix: Matrix) -> Metadata:
    """The metadata of the matrix: heat map, changes by layer, growth of the datasets, nearest and farthest pairs."""
    from dna_pipelines.reporting.pictures import matrix_picture

    picture = matrix_picture(matrix)
    file = project.put_picture(f"{matrix.extractor}-matrix.png", picture)
    header = ("dataset", "dataset", matrix.metric)
    return {
        # As in SQL: every pair in both orders.
        "dagster/row_count": len(matrix.names) * (len(matrix.names) - 1),
        "dagster/column_schema": _view("matrix"),
        **matrix_lineage(matrix.extractor),
        "n_datasets": len(matrix.names),
        "heat_map": _picture("matrix", picture),
        **_history(project, matrix.extractor),
        "nearest": _table(header, [(a, b, f"{value:.4g}") for a, b, value in matrix.nearest()]),
        "farthest": _table(header, [(a, b, f"{value:.4g}") for a, b, value in matrix.nearest(farthest=True)]),
        "file": dg.MetadataValue.path(file),
    }


def _history(project: ProjectFolder, extractor: str) -> Metadata:
    """Pictures of recent changes. Empty where a commit is damaged, which the run reports for its dataset."""
    from dna_pipelines.reporting.pictures import changes_picture, growth_picture

    try:
        changed, history = last_changes(project, extractor), growth(project)
    except LakeError:
        return {}
    changes = changes_picture(extractor, *changed)
    project.put_picture(f"{extractor}-changes.png", changes)
    return {
        "last_changes": _picture("last changes, layer by layer", changes),
        "growth": _picture("growth over time", growth_picture(history)),
    }


def _picture(title: str, png: bytes) -> dg.MarkdownMetadataValue:
    """A picture, reduced to the width of Dagster's window; the full one is a file."""
    from dna_pipelines.reporting.pictures import narrowed

    shown = base64.b64encode(narrowed(png, _SHOWN_PX)).decode()
    return dg.MetadataValue.md(f"![{title}](data:image/png;base64,{shown})")


def columns(schema: pa.Schema) -> dg.TableSchema:
    """An Arrow schema as Dagster shows it."""
    return dg.TableSchema([dg.TableColumn(field.name, str(field.type), meaning(field.name)) for field in schema])


def _view(name: str) -> dg.TableSchema:
    """The columns of a view of the catalog."""
    return dg.TableSchema([dg.TableColumn(*column) for column in Catalog.columns(name)])


def _literal(cell: object) -> str:
    """A cell as Markdown that shows it as it is: names may contain links, HTML and other marks."""
    return re.sub(r"([\\`*_{}\[\]()<>#+!|&~])", r"\\\1", " ".join(str(cell).split()))


def _table(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> dg.MarkdownMetadataValue:
    lines = [" | ".join(header), " | ".join("---" for _ in header)]
    lines += [" | ".join(map(_literal, row)) for row in rows[:_MOST_ROWS]]
    more = f"\n\n… and {len(rows) - _MOST_ROWS:,} more" if len(rows) > _MOST_ROWS else ""
    return dg.MetadataValue.md("\n".join(lines) + more)
