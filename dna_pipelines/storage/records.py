"""The small JSON records of the lake."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dna_pipelines.errors import LakeError
from dna_pipelines.identity import Key

DnaKind = Literal["version", "slice", "sample", "remainder"]
"""What a DNA is of: a version of a dataset, a slice, a uniform sample, or what one set has and another lacks."""


class Record(BaseModel):
    """A JSON file of the lake."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    lost: ClassVar[str] = ""
    """What to do about a damaged one, and what is lost with it. Empty: it can be made again, and counts as absent."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """The record in a file.

        Raises:
            LakeError: when it is damaged, or another version wrote it.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            advice = cls.lost or "remove it and run `dna run`: it is made again"
            raise LakeError(f"{path} is damaged, or another version wrote it; {advice}") from error

    def to_bytes(self) -> bytes:
        """The record as a JSON file."""
        return self.model_dump_json(indent=1).encode()


class ShardRecord(Record):
    """A shard as a version names it."""

    shard_id: str
    n_images: int
    parents: tuple[str, ...] = ()
    smallest: str = ""
    """Of its digests: images without it do not fill the shard."""


class Commit(Record):
    """One commit of a dataset: what it was at a moment. The last one is what it is."""

    lost: ClassVar[str] = (
        "restore it from a copy, or remove the dataset's folder (that above `commits`) and run `dna run`: "
        "its earlier versions are lost then, and what was measured is kept"
    )

    dataset: str
    uri: str
    place: str = ""
    """Hash of what decides which bytes a name stands for: the uri, and how it is read."""
    rules: int = 0
    """Of decoding, by which files were found readable or not."""
    seq: int
    version_id: str
    manifest_id: str
    raw_version: str
    settings: str
    """Hash of what decides the manifest, besides the files."""
    n_images: int
    n_quarantined: int
    n_ignored: int
    n_not_sampled: int = 0
    n_unsettled: int
    n_to_retry: int = 0
    """Files that could not be read for a reason that need not last."""
    n_groups: int
    n_bytes: int
    shards: tuple[ShardRecord, ...]
    changes: dict[str, int] = Field(default_factory=dict)
    remark: str = ""
    """What is odd, and no error: rows of the metadata table that name no image, globs that match nothing."""
    created_at: str


class Sighting(Record):
    """What a scan of a dataset's place saw, before anything was read."""

    raw_version: str
    settings: str
    n_files: int
    at_ns: int
    """When the scan began."""


class Looked(Record):
    """When the last refresh that succeeded began to look: what was seen before is taken in."""

    at_ns: int


class Attempt(Record):
    """Attempts to bring something up to date that did not succeed (or did not end) yet."""

    input_id: str
    """What it was to be brought up to date with."""
    n_tries: int
    at: float
    """When the last one began, in seconds since 1970."""
    begun: bool
    """Whether the last one was more than asked for."""
    problem: str | None = None
    """What the last one said; None if it ended without a word, as killed ones do."""


class DnaRecord(Record):
    """A DNA that is complete."""

    dna_id: str
    extractor: str
    comparability_key: str
    version_id: str
    made_for: str = ""
    """What people call the images that it was first made for. A label, from which nothing is decided."""
    dataset: str = ""
    """The dataset that those images belong to. Empty in records that were written before the field existed."""
    kind: DnaKind | Literal[""] = ""
    """Empty likewise."""
    n_images: int
    n_neurons: int
    shards: tuple[str, ...]
    compute_keys: tuple[str, ...]
    """More than one: partials of several machines or library versions were added, whose activations
    may differ in their last bits."""
    layers: list[list[Any]]
    n_dead: int
    """Neurons that gave one and the same value everywhere."""
    clipped_share: float
    """Share of all values that lay outside the activation ranges."""
    n_images_extracted: int
    extraction_s: float
    created_at: str


class ExtractorRecord(Record):
    """The keys an extractor had when it was last loaded, and the stamp of what it was loaded from."""

    name: str
    stamp: str
    fingerprint: str
    ranges_id: str
    comparability_key: str
    compute_key: str
    recorded_at: str


class KeyRecord(Record):
    """What a comparability or compute key is made of."""

    model_config = ConfigDict(frozen=True, extra="allow")

    @property
    def key(self) -> Key:
        """The key, of which the file is the parts."""
        return Key(self.model_extra or {})

    @classmethod
    def read(cls, path: Path) -> Self:
        """The record in a file, which is called after the key.

        Raises:
            LakeError: when it is damaged.
        """
        record = super().read(path)
        if record.key.id != path.stem:
            raise LakeError(f"{path} is damaged: what is in it is another key")
        return record


class SelectionRecord(Record):
    """One version of a selection of neurons."""

    lost: ClassVar[str] = "restore it from a copy, or remove it: this version of the selection is lost then"

    name: str
    seq: int
    removed: bool = False
    """Says that the selection is removed; such a version has no weights."""
    extractor: str = ""
    """What the datasets file called it when the selection was made."""
    comparability_key: str | None = None
    """Of the DNAs that the weights were learned from: they count for no others. None where somebody chose
    neurons by their places, which is good for whatever has these layers."""
    layers: list[list[Any]] = Field(default_factory=list)
    weights_id: str = ""
    n_chosen: int = 0
    """Neurons with any weight."""
    how: dict[str, Any] = Field(default_factory=dict)
    """What it was made from, as a JSON value."""
    created_at: str
