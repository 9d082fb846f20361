"""The manifest: one row per listed file, readable or quarantined."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

from dna_pipelines.identity import Item, digest_of, image_digest, multiset_id, stable_hash
from dna_pipelines.imaging import Encoded, Reading
from dna_pipelines.imaging.reading import split
from dna_pipelines.manifests.shards import Shard

ReadImage = Callable[[str], Encoded]
"""From a digest to the encoded image that has it."""

OK, QUARANTINED = "ok", "quarantined"

VANISHED = "vanished"
"""Why a file is not readable that was listed and then removed."""

RETRIED = frozenset({"cannot be read", VANISHED})
"""Reasons that may pass: such files are read again at every scan."""

PROBLEMS = frozenset({"broken", "special", "unlistable", "missing"})
"""Signatures of entries that cannot be read because of their kind; repairing them changes the signature."""


class ImageRow(NamedTuple):
    """One file of a dataset. Paths are bytes: file names need not be UTF-8.

    Attributes:
        path: its name; of a page after the first, the file's name and the page.
        digest: see `identity.image_digest`.
        detail: why a file is quarantined, or what had to be assumed to read a readable one.
        page: which page or frame of several it is, counted from 1, where they are read one by one.
        reading: see `Reading.to_text`; None where the rules alone decide the pixels.
        file_digest: of the file's bytes, where `digest` is another.
        n_clipped: values outside the declared range; None where none is declared.
    """

    path: bytes
    size_bytes: int
    signature: str
    status: str
    digest: str | None = None
    group: str | None = None
    width_px: int | None = None
    height_px: int | None = None
    format: str | None = None
    shard_id: str | None = None
    block: int | None = None
    reason: str | None = None
    detail: str | None = None
    metadata: Mapping[str, str] | None = None
    page: int | None = None
    reading: str | None = None
    file_digest: str | None = None
    n_clipped: int | None = None

    @property
    def file(self) -> bytes:
        """The path of the file: that of a further page is followed by its number."""
        return self.path.removesuffix(page_suffix(self.page)) if self.page else self.path

    @property
    def of_file(self) -> str | None:
        """The digest of the file's bytes; None where it could not be read."""
        return self.file_digest or self.digest

    @property
    def read_as(self) -> Reading:
        """How its pixels come from the file."""
        return Reading.from_text(self.reading)

    @property
    def item(self) -> Item:
        """The item of the row in the version; only readable rows have one."""
        if self.status != OK or self.digest is None:
            raise ValueError(f"{self.name} is quarantined and not part of the version")
        return Item(self.digest, self.group)

    @property
    def name(self) -> str:
        """The path for display: bytes that are not UTF-8 are escaped."""
        return display_name(self.path)


def page_suffix(page: int) -> bytes:
    """What follows the name of a file in that of one of its pages; the first has the file's name."""
    return b"#page=%d" % page if page > 1 else b""


def digest_of_image(image: Encoded) -> str:
    """The digest of an image; see `identity.image_digest`."""
    data, reading = split(image)
    return image_digest(digest_of(data), reading.facts)


def display_name(path: bytes) -> str:
    """A path as text that any terminal, file or database can hold."""
    return path.decode("utf-8", "backslashreplace")


MORE_COLUMNS = ("page", "reading", "file_digest", "n_clipped")
"""The fields of a row that manifests of version 0.1 do not have."""

_N_BEFORE_METADATA = ImageRow._fields.index("metadata")


@dataclass(frozen=True)
class Manifest:
    """The rows of one dataset at one moment, sorted by path, and how they are cut into shards.

    `unsettled` holds paths modified so shortly before the scan that a later change could leave
    the same modification time behind; the next scan reads them again. `lost` holds, by the path of each folder, archive
    or table that cannot be read, the number of images that are missing for it; 0 where that is not known.
    """

    rows: tuple[ImageRow, ...]
    shards: tuple[Shard, ...]
    unsettled: frozenset[bytes] = frozenset()
    n_ignored: int = 0
    n_not_sampled: int = 0
    lost: Mapping[bytes, int] = field(default_factory=dict)
    by_path: Mapping[bytes, ImageRow] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the rows."""
        object.__setattr__(self, "by_path", {row.path: row for row in self.rows})

    @cached_property
    def readable(self) -> list[ImageRow]:
        """The rows of the version."""
        return [row for row in self.rows if row.status == OK]

    @property
    def quarantined(self) -> list[ImageRow]:
        """The rows that are not in the version, each with its reason."""
        return [row for row in self.rows if row.status != OK]

    @property
    def n_unreadable(self) -> int:
        """Images that cannot be read, of each container those that are missing for it (one where that is not known)."""
        return sum(max(self.lost.get(row.path, 1), 1) for row in self.quarantined)

    @property
    def n_unknown(self) -> int:
        """Containers of which it is not known how many images are missing."""
        return sum(n == 0 for n in self.lost.values())

    @property
    def n_to_retry(self) -> int:
        """Files that were listed without a problem, and could not be read for a reason that may pass."""
        return sum(row.reason in RETRIED and row.signature not in PROBLEMS for row in self.quarantined)

    def forget_signatures(self) -> Manifest:
        """The same rows without signatures, so that the next scan reads every file again."""
        rows = tuple(row._replace(signature="") for row in self.rows)
        return replace(self, rows=rows, unsettled=frozenset())

    def forget(self, is_doubtful: Callable[[ImageRow], bool]) -> Manifest:
        """The same rows, some of them made unknown, so that the next scan reads and decodes these files again."""
        files = {row.file for row in self.rows if is_doubtful(row)}
        unknown: dict[str, Any] = {"signature": "", "digest": None, "file_digest": None}
        return replace(self, rows=tuple(row._replace(**unknown) if row.file in files else row for row in self.rows))

    @cached_property
    def version_id(self) -> str:
        """The id of the multiset of readable images; names and order do not matter."""
        return multiset_id(row.item for row in self.readable)

    @cached_property
    def id(self) -> str:
        """The id of the manifest itself: any visible difference changes it."""
        lost = [sorted((os.fsdecode(path), n) for path, n in self.lost.items())] if self.lost else []
        return stable_hash([self.version_id, [_fields(row) for row in self.rows], *lost])


def _fields(row: ImageRow) -> list[object]:
    metadata = sorted(row.metadata.items()) if row.metadata else None
    # Ids of manifests from before these columns existed do not change.
    more = {name: getattr(row, name) for name in MORE_COLUMNS if getattr(row, name) is not None}
    return [os.fsdecode(row.path), *row[1:_N_BEFORE_METADATA], metadata, *([more] if more else [])]
