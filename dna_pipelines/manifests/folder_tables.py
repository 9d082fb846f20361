"""The metadata of tables that lie among the images (see `sources/image_folder`), joined to a scan."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from dna_pipelines.config import DatasetConfig
from dna_pipelines.credentials import without_credentials
from dna_pipelines.errors import SourceError, Unreadable
from dna_pipelines.manifests.manifest import display_name
from dna_pipelines.manifests.scan import Scan
from dna_pipelines.sources import Source
from dna_pipelines.sources.base import MAX_IMAGE_BYTES, TableFile
from dna_pipelines.sources.failures import source_error
from dna_pipelines.sources.image_folder import FolderRows, read_rows
from dna_pipelines.sources.names import rows_of_images


def with_folder_tables(scan: Scan, source: Source, config: DatasetConfig) -> Scan:
    """A scan whose entries have the metadata of the tables among them, and remarks on rows and tables without use.

    The tables of inner folders override those of outer ones.

    Raises:
        SourceError: when a table cannot be reached; or cannot be read, and `group_by` names a column.
    """
    if not scan.tables:
        return scan
    # Two paths may have one name, of which every entry stays.
    names = [display_name(entry.path) for entry in scan.entries]
    found: dict[str, dict[str, str]] = {}
    remarks = []
    for table in scan.tables:
        uri = _uri(config, table)
        if (table.size_bytes or 0) > MAX_IMAGE_BYTES:
            remarks.append(f"{uri} is not used: it has {table.size_bytes:,} bytes; the limit is {MAX_IMAGE_BYTES:,}")
            continue
        data = _read(source, table, uri)
        try:
            rows = read_rows(table, data, uri)
        except SourceError as error:
            if (config.group_by or "").startswith("column:"):
                raise
            remarks.append(f"the metadata in {uri} are not used: {error}")
            continue
        matched = rows_of_images(rows.by_path, dict.fromkeys(names))
        for image, row in matched.items():
            found[image] = found.get(image, {}) | rows.by_path[row]
        remarks += _remarks(scan, table, uri, rows, set(matched.values()))
    described = [
        entry._replace(metadata={**(entry.metadata or {}), **found[name]}) if name in found else entry
        for name, entry in zip(names, scan.entries, strict=True)
    ]
    return dataclasses.replace(scan, entries=tuple(described), remarks=(*scan.remarks, *remarks))


def _uri(config: DatasetConfig, table: TableFile) -> str:
    return f"{without_credentials(config.uri).rstrip('/')}/{display_name(table.path)}"


def _read(source: Source, table: TableFile, uri: str) -> bytes:
    try:
        return source.read(table.path)
    except (OSError, Unreadable) as error:
        raise source_error(f"{uri} cannot be read", error, uri=uri) from error


def _remarks(scan: Scan, table: TableFile, uri: str, rows: FolderRows, used: set[str]) -> Iterator[str]:
    if rows.n_repeated:
        yield f"{rows.n_repeated:,} rows of {uri} name a file again; the first row of each counts"
    stray = [path for path in rows.by_path if path not in used]
    # A table above the location has the rows of other folders, and a sample leaves images out.
    if table.within or (scan.n_not_sampled and used) or not (stray or rows.n_outside):
        return
    n_rows = len(rows.by_path) + rows.n_outside
    example = f", such as {stray[0]}" if stray else ""
    yield f"{len(stray) + rows.n_outside:,} of {n_rows:,} rows of {uri} name no image here{example}"
