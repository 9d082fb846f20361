"""The small JSON records of the lake."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dna_pipelines.dna import dna_id
from dna_pipelines.errors import LakeError
from dna_pipelines.identity import Key
from dna_pipelines.storage.checksums import ChecksumMismatch, json_with_checksum, verified_json
from dna_pipelines.storage.files import read as read_file

DnaKind = Literal["version", "slice", "sample", "remainder"]
"""The images of a DNA: a version of a dataset, a slice, a uniform sample, or what remains of a set without another."""


class Record(BaseModel):
    """A JSON file of the lake."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    repair: ClassVar[str] = ""
    """How to repair a damaged file. Empty where a run writes it again; a damaged one then counts as missing."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """The record in a file.

        Raises:
            FileNotFoundError: when there is none.
            LakeError: when it is damaged, another version wrote it, or it is the record of something else.
        """
        try:
            record = cls.model_validate_json(verified_json(read_file(path)))
        except (ValidationError, ChecksumMismatch) as error:
            raise cls._damaged(path, "or another version of dna_pipelines wrote it") from error
        if not record.belongs_at(path):
            raise cls._damaged(path, "or it is a copy of another record")
        return record

    def belongs_at(self, path: Path) -> bool:  # noqa: ARG002 (of records that name themselves)
        """Whether a path is that of what the record says it is of."""
        return True

    def to_bytes(self) -> bytes:
        """The record as a JSON file, with a checksum."""
        return json_with_checksum(self.model_dump_json(indent=1).encode())

    @classmethod
    def _damaged(cls, path: Path, otherwise: str) -> LakeError:
        advice = cls.repair or "remove it and run `dna run`, which writes it again"
        return LakeError(f"{path} is damaged, {otherwise}; {advice}", code="lake.damaged", path=str(path))


class ShardRecord(Record):
    """A shard of a version."""

    shard_id: str
    n_images: int
    parents: tuple[str, ...] = ()
    smallest: str = ""
    """The smallest of its digests: images without it do not contain the shard."""


class Commit(Record):
    """One commit of a dataset. The last one is its current version."""

    repair: ClassVar[str] = (
        "restore it from a copy, or remove the dataset's folder (that above `commits`) and run `dna run`, which "
        "removes its earlier versions and keeps all measurements"
    )

    dataset: str
    uri: str
    place: str = ""
    """Hash of everything that decides which bytes belong to a path: the URI, and how it is read."""
    rules: int = 0
    """Version of the rules of decoding, which decide which files are readable, and what their pixels are."""
    reading: dict[str, Any] = Field(default_factory=dict)
    """What the dataset declared of its pixels and pages; empty where the rules alone decide."""
    seq: int
    version_id: str
    manifest_id: str
    raw_version: str
    settings: str
    """Hash of everything else that decides the manifest, besides the files."""
    n_images: int
    n_quarantined: int
    n_lost: int = 0
    """Images that are missing besides the quarantined files: those of archives, tables and folders that cannot be read,
    each of which is one quarantined file."""
    n_unknown: int = 0
    """Archives, tables and folders that could never be read, so that the number of missing images is unknown."""
    n_ignored: int
    n_not_sampled: int = 0
    n_unsettled: int
    n_to_retry: int = 0
    """Files that could not be read for a reason that may be temporary."""
    n_groups: int
    n_bytes: int
    shards: tuple[ShardRecord, ...]
    changes: dict[str, int] = Field(default_factory=dict)
    remark: str = ""
    """A warning: rows of the metadata table that name no image, globs that match nothing."""
    created_at: str

    def belongs_at(self, path: Path) -> bool:
        """Whether its number and dataset are those of the path, and its shards hold its images."""
        return (path.parts[-3], path.stem) == (self.dataset, f"{self.seq:08d}") and sum(
            shard.n_images for shard in self.shards
        ) == self.n_images


class ScanResult(Record):
    """What a scan of a dataset's location listed; no file is read for it."""

    raw_version: str
    settings: str
    n_files: int
    at_ns: int
    """When the scan began."""


class Refreshed(Record):
    """When the last refresh that succeeded began to list the location: earlier scan results are ingested."""

    at_ns: int


class Attempt(Record):
    """Attempts to update an asset that have not succeeded (or not ended) yet."""

    input_id: str
    """The input to update it with."""
    n_tries: int
    at: float
    """When the last one began, in seconds since 1970."""
    begun: bool
    """Whether the last one began, after it was requested."""
    problem: str | None = None
    """The error of the last one; None if it ended without one, because it was killed."""


class DnaRecord(Record):
    """The record of a complete DNA."""

    dna_id: str
    extractor: str
    comparability_key: str
    version_id: str
    made_for: str = ""
    """The name of the images that it was first made for: a label for display, on which nothing depends."""
    dataset: str = ""
    """The dataset of those images. Empty in records that were written before the field existed."""
    kind: DnaKind | Literal[""] = ""
    """Empty in the same records."""
    n_images: int
    n_neurons: int
    shards: tuple[str, ...]
    compute_keys: tuple[str, ...]
    """More than one where partials of several machines or library versions were added, whose activations may differ in
    their last bits."""
    layers: list[list[Any]]
    n_dead: int
    """Neurons with the same value everywhere."""
    clipped_share: float
    """Share of all values that lay outside the activation ranges."""
    n_images_extracted: int
    extraction_s: float
    created_at: str

    def belongs_at(self, path: Path) -> bool:
        """Whether its id is that of the path."""
        return path.stem == self.dna_id == dna_id(self.comparability_key, self.version_id)


class ExtractorRecord(Record):
    """The keys of an extractor when it was last loaded, and the change token of its files (`stamp`)."""

    name: str
    stamp: str
    fingerprint: str
    ranges_id: str
    comparability_key: str
    compute_key: str
    recorded_at: str

    def belongs_at(self, path: Path) -> bool:
        """Whether its extractor is that of the path."""
        return path.stem == self.name


class KeyRecord(Record):
    """The parts of a comparability or compute key."""

    model_config = ConfigDict(frozen=True, extra="allow")

    @property
    def key(self) -> Key:
        """The key of these parts."""
        return Key(self.model_extra or {})

    def belongs_at(self, path: Path) -> bool:
        """Whether the path is named by the hash of the parts, which are verified by that."""
        return path.stem == self.key.id


class SelectionRecord(Record):
    """One version of a selection of neurons."""

    repair: ClassVar[str] = "restore it from a copy, or remove it, which removes this version of the selection"

    name: str
    seq: int
    removed: bool = False
    """Whether this version removes the selection; such a version has no weights."""
    extractor: str = ""
    """Its name in the datasets file when the selection was made."""
    comparability_key: str | None = None
    """That of the DNAs that the weights were learned from, to which alone they apply. None where the user chose
    neurons by layer and index, which applies to any DNA with these layers."""
    layers: list[list[Any]] = Field(default_factory=list)
    weights_id: str = ""
    n_chosen: int = 0
    """Neurons with a weight above 0."""
    how: dict[str, Any] = Field(default_factory=dict)
    """How it was made, as a JSON value."""
    created_at: str

    def belongs_at(self, path: Path) -> bool:
        """Whether its name and number are those of the path."""
        return (path.parts[-2], path.stem) == (self.name, f"{self.seq:08d}")
