"""Remarks on a manifest: settings and tables that match less than you may expect, although nothing fails."""

from __future__ import annotations

from dna_pipelines.config import DatasetConfig
from dna_pipelines.credentials import without_credentials
from dna_pipelines.errors import SourceError
from dna_pipelines.manifests import Manifest, Scan
from dna_pipelines.manifests.scan import Metadata
from dna_pipelines.sources.names import rows_of_images

_FEW_IMAGES = 2
"""Fewer images may be one group without a fault."""


def remark_on(dataset: DatasetConfig, scan: Scan, table: Metadata, manifest: Manifest) -> str:
    """Every remark on a manifest in one text; empty where there is none.

    Args:
        dataset: its entry in the datasets file.
        scan: the files of its location.
        table: the rows of its metadata table by path; empty where it has none.
        manifest: what was made of them.

    Raises:
        SourceError: when no image has a value in the column that `group_by` names.
    """
    remark = _on_stray_rows(dataset, table, manifest)
    _require_group_column(dataset, manifest, remark)
    remarks = (
        remark,
        _on_no_file(dataset, scan),
        _on_assumptions(manifest),
        _on_clipped_values(dataset, manifest),
        _on_groups(dataset, manifest),
    )
    return without_credentials("; ".join(each for each in (*remarks, *scan.remarks) if each))


def _on_stray_rows(dataset: DatasetConfig, table: Metadata, manifest: Manifest) -> str:
    """Which rows of the metadata table name no image; empty where all name one."""
    used = set(rows_of_images(table, (row.name for row in manifest.rows)).values())
    stray = [path for path in table if path not in used]
    if not stray or not dataset.metadata:
        return ""
    uri, column = without_credentials(dataset.metadata.uri), dataset.metadata.path_column
    if len(stray) < len(table):
        return f"{len(stray):,} of {len(table):,} rows of {uri} name no image here, such as {stray[0]}"
    example = f", where an image is called {manifest.rows[0].name}" if manifest.rows else ""
    return f"no row of {uri} names an image here: its column {column} has {stray[0]}{example}"


def _on_no_file(dataset: DatasetConfig, scan: Scan) -> str:
    """Why the dataset takes no file of its location; empty where it takes some."""
    uri = without_credentials(dataset.uri)
    if scan.entries:
        return ""
    if scan.n_not_sampled:
        return f"the sample takes none of the {scan.n_not_sampled:,} files at {uri}; see `every`"
    if not scan.n_ignored:
        return f"there is nothing at {uri}: no file, no line and no row"
    rules = {"globs": dataset.globs, "exclude": dataset.exclude}
    settings = " and ".join(f"`{rule}: [{', '.join(patterns)}]`" for rule, patterns in rules.items() if patterns)
    fault = f"passes {settings}" if settings else "has the suffix of an image (`globs` can ask for others)"
    example = f", such as {scan.ignored.decode('utf-8', 'backslashreplace')}" if scan.ignored else ""
    return f"no file at {uri} {fault}: {scan.n_ignored:,} ignored{example}"


def _on_groups(dataset: DatasetConfig, manifest: Manifest) -> str:
    """That `group_by` makes one group of all images, or leaves some without a group; empty where it does neither."""
    rows = manifest.readable
    if not dataset.group_by or len(rows) < _FEW_IMAGES:
        return ""
    groups, rule = {row.group for row in rows}, f"`group_by: {dataset.group_by}`"
    if None in groups:
        alone = [row.name for row in rows if row.group is None]
        return (
            f"{len(alone):,} of {len(rows):,} images are in no group by {rule}, such as {alone[0]}; each of them "
            "counts as independent of all others"
        )
    if len(groups) > 1:
        return ""
    return (
        f"all {len(rows):,} images are in one group ({next(iter(groups))!r}) by {rule}, so that no test of "
        "significance is possible"
    )


def _on_assumptions(manifest: Manifest) -> str:
    """How many images leave open how to read them; empty where none does."""
    rows = [row for row in manifest.readable if row.detail]
    if not rows:
        return ""
    return (
        f"{len(rows):,} images leave open how to read them, such as {rows[0].name}: {rows[0].detail} (the column "
        "`assumed` of the view `images` has all)"
    )


def _on_clipped_values(dataset: DatasetConfig, manifest: Manifest) -> str:
    """How many images have values outside the declared range; empty where none has."""
    rows = [row for row in manifest.readable if row.n_clipped]
    if not rows:
        return ""
    n_values = sum(row.n_clipped or 0 for row in rows)
    black, white = dataset.value_range or (0, 0)
    return (
        f"{len(rows):,} images have {n_values:,} values outside `value_range: [{black:g}, {white:g}]`, which were "
        f"clipped, such as {rows[0].name} (the column `n_clipped` of the view `images` counts them)"
    )


def _require_group_column(dataset: DatasetConfig, manifest: Manifest, remark: str) -> None:
    kind, _, column = (dataset.group_by or "").partition(":")
    if kind != "column" or not manifest.readable or any(column in (row.metadata or {}) for row in manifest.readable):
        return
    columns = sorted({name for row in manifest.readable for name in row.metadata or {}})
    raise SourceError(
        f"no image of {dataset.name} has a value in the column {column}, which `group_by` names; the columns of its "
        f"metadata are: {', '.join(columns) or remark or 'none (add `metadata: {uri: …}`)'}",
        code="source.group-column",
        dataset=dataset.name,
        column=column,
        columns=columns,
    )
