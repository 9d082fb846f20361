"""Reading a file: the rows of its images, or why it cannot be read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dna_pipelines.config import DatasetConfig
from dna_pipelines.errors import SourceError, Unreadable
from dna_pipelines.identity import digest_of, image_digest
from dna_pipelines.imaging import Reading, decode_with_info, encoded, n_pages
from dna_pipelines.imaging.decode import ImageInfo
from dna_pipelines.manifests.manifest import (
    OK,
    QUARANTINED,
    VANISHED,
    ImageRow,
    Manifest,
    display_name,
    page_suffix,
)
from dna_pipelines.sources import Entry, Source
from dna_pipelines.sources.base import MAX_IMAGE_BYTES
from dna_pipelines.sources.failures import failure_facts
from dna_pipelines.sources.memory import IN_FLIGHT


def by_file(manifest: Manifest) -> dict[bytes, list[ImageRow]]:
    """The rows of each file, page by page."""
    rows = defaultdict(list)
    for row in manifest.rows:
        rows[row.file].append(row)
    return rows


@dataclass(frozen=True)
class FileReader:
    """Reads the files of a dataset.

    Attributes:
        source: where they lie.
        config: of the dataset, which declares how they are read.
        known: rows by the digest of their file, read as the dataset declares; such files are not decoded again.
    """

    source: Source
    config: DatasetConfig
    known: Mapping[str, Sequence[ImageRow]]

    def rows(self, entry: Entry) -> list[ImageRow]:
        """A row for each image of a file, at least one; the first has the path of the file.

        Raises:
            SourceError: when reading fails because of the location, not because of the file (`source.read-failed`).
        """
        with IN_FLIGHT.reserved(entry.size_bytes or 0):
            return self._rows(entry)

    def _rows(self, entry: Entry) -> list[ImageRow]:
        digest = None
        try:
            if entry.problem:
                raise Unreadable("cannot be read", entry.problem)
            data = _read(self.source, entry)
            digest = digest_of(data)
            if seen := self.known.get(digest):
                return [
                    row._replace(
                        path=entry.path + page_suffix(row.page or 1), size_bytes=len(data), signature=entry.signature
                    )
                    for row in seen
                ]
            pages = n_pages(data) if self.config.pages == "all" else 1
        except Unreadable as error:
            return [_quarantined(entry, entry.size_bytes or 0, digest, error)]
        if pages == 1:
            return [self._row(entry, data, digest, None)]
        return [self._row(entry, data, digest, page) for page in range(1, pages + 1)]

    def _row(self, entry: Entry, data: bytes, file_digest: str, page: int | None) -> ImageRow:
        reading = replace(Reading.from_facts(self.config.reading), page=page or 1)
        try:
            _, info = decode_with_info(encoded(data, reading))
        except Unreadable as error:
            return _quarantined(entry, len(data), file_digest, error, page)
        reading = replace(reading, rules=info.rules)
        digest = image_digest(file_digest, reading.facts)
        return ImageRow(
            entry.path + page_suffix(page or 1),
            len(data),
            entry.signature,
            OK,
            digest,
            width_px=info.width_px,
            height_px=info.height_px,
            format=info.format,
            detail=self._assumed(info),
            page=page,
            reading=reading.to_text(),
            file_digest=None if digest == file_digest else file_digest,
            n_clipped=info.n_clipped,
        )

    def _assumed(self, info: ImageInfo) -> str | None:
        said = [info.assumed]
        if info.further_pages and self.config.pages is None:
            said.append(f"the first of {info.further_pages} (`pages: all` reads each, `pages: first` this one)")
        return "; ".join(filter(None, said)) or None


def _quarantined(
    entry: Entry, size_bytes: int, digest: str | None, error: Unreadable, page: int | None = None
) -> ImageRow:
    path = entry.path + page_suffix(page or 1)
    return ImageRow(
        path, size_bytes, entry.signature, QUARANTINED, digest, reason=error.reason, detail=error.detail, page=page
    )


def _read(source: Source, entry: Entry) -> bytes:
    try:
        return bounded_read(source, entry)
    except FileNotFoundError as error:
        raise Unreadable(VANISHED, "it was listed, and gone when it was read") from error
    except (PermissionError, IsADirectoryError, NotADirectoryError) as error:
        raise Unreadable("cannot be read", str(error.strerror or error)) from error
    except OSError as error:
        raise SourceError(
            f"reading {entry.path!r} failed: {error}; nothing was changed, run again",
            code="source.read-failed",
            path=display_name(entry.path),
            **failure_facts(error),
        ) from error


def bounded_read(source: Source, entry: Entry) -> bytes:
    """Read a file, unless it claims to be larger than any image, as a member of an archive may."""
    if entry.size_bytes is not None and entry.size_bytes > MAX_IMAGE_BYTES:
        raise Unreadable(
            "too large", f"{entry.size_bytes:,} bytes, the limit is {MAX_IMAGE_BYTES:,}", size_bytes=entry.size_bytes
        )
    return source.read(entry.path)
