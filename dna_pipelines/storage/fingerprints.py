"""Ranges, partials and DNAs in the lake."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from dna_pipelines.distributions import Blocks, Histogram, ImageFeatures, Layers, Moments
from dna_pipelines.dna import ActivationRanges, Dna, Partial
from dna_pipelines.errors import LakeError
from dna_pipelines.identity import Key
from dna_pipelines.storage.checksums import json_with_checksum
from dna_pipelines.storage.files import put, replace, write_new
from dna_pipelines.storage.layout import Layout
from dna_pipelines.storage.measure_tables import (
    DNA_TABLES,
    TABLES,
    dna_files,
    measure_files,
    read_blocks,
    read_histogram,
    read_images,
    read_moments,
    read_partial,
)
from dna_pipelines.storage.names import names_file, read_names
from dna_pipelines.storage.range_table import ranges_file, read_ranges
from dna_pipelines.storage.record_cache import RecordCache
from dna_pipelines.storage.records import DnaRecord, ExtractorRecord, KeyRecord
from dna_pipelines.storage.tables import is_damaged, put_table, read_parquet, require_footer

Sums = tuple[Histogram, Moments, Blocks]
"""The measures that add up to a DNA."""


class Fingerprints:
    """Keys and activation ranges of extractors, partials and DNAs. Measurements are written once."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._records = RecordCache()

    # Keys and extractors

    def put_key(self, key: Key) -> None:
        """Store the parts of a key."""
        path, data = self._layout.key(key.id), json.dumps(dict(key.parts), indent=1).encode()
        if not write_new(path, data) and self._key(key.id) is None:
            # The file is damaged.
            replace(path, data)

    def key(self, key_id: str) -> Key:
        """A key with its parts.

        Raises:
            LakeError: when its file is missing or damaged. A run writes those of extractors in use again.
        """
        if key := self._key(key_id):
            return key
        raise LakeError(
            f"{self._layout.key(key_id)} is missing or damaged; `dna run` writes it again if an extractor of the "
            "datasets file has this key, otherwise restore it from a copy",
            code="lake.key",
            path=str(self._layout.key(key_id)),
            key=key_id,
        )

    def _key(self, key_id: str) -> Key | None:
        record = self._records.read(KeyRecord, self._layout.key(key_id))
        return record.key if record else None

    def key_ids(self) -> list[str]:
        """The ids of all keys, comparability and compute."""
        return [path.stem for path in self._layout.key("x").parent.glob("[!.]*.json")]

    def extractor(self, name: str) -> ExtractorRecord | None:
        """The keys of an extractor when it was last used; None before that, and where their files are damaged."""
        record = self._records.read(ExtractorRecord, self._layout.extractor(name))
        return record if record and self._key(record.comparability_key) and self._key(record.compute_key) else None

    def is_known(self, name: str, token: str) -> bool:
        """Whether an extractor was used with its files as they are now, by their change token.

        It also counts as unknown where a file is damaged that is written again when the extractor is loaded.
        """
        record = self.extractor(name)
        if record is None or record.stamp != token:
            return False
        return not is_damaged(self._layout.names(record.comparability_key))

    def put_extractor(self, record: ExtractorRecord) -> None:
        """Store the keys of an extractor."""
        replace(self._layout.extractor(record.name), record.to_bytes())

    def put_names(self, comparability_key: str, names: Mapping[str, Sequence[str]]) -> None:
        """Store the names of the neurons of a key's DNAs, by layer; without any name, nothing is written."""
        if names:
            put(self._layout.names(comparability_key), names_file(comparability_key, names))

    def names(self, comparability_key: str) -> dict[str, tuple[str, ...]]:
        """The names of the neurons of a key's DNAs, by layer; layers without names are missing.

        Damaged names are missing too, until the next run writes them again.
        """
        path = self._layout.names(comparability_key)
        return {} if not path.exists() or is_damaged(path) else read_names(path)

    # Activation ranges

    def ranges(self, extractor: str, fingerprint: str) -> ActivationRanges | None:
        """The latest ranges of an extractor with this fingerprint; None before its calibration."""
        for path in sorted(self._layout.ranges(extractor).glob("*.parquet"), reverse=True):
            with _ranges_explained(extractor, path):
                if ranges := read_ranges(path, fingerprint):
                    return ranges
        return None

    def require_ranges(self, extractor: str) -> None:
        """Check the footers of all ranges of an extractor.

        Raises:
            LakeError: when one is damaged.
        """
        for path in self._layout.ranges(extractor).glob("*.parquet"):
            with _ranges_explained(extractor, path):
                require_footer(path)

    def calibrated(self) -> list[str]:
        """The names of the extractors with ranges, the one that was used last first."""
        folders = self._layout.ranges("x").parent.glob("[!.]*")
        used = {folder.name: record.recorded_at for folder in folders if (record := self.extractor(folder.name))}
        return sorted(used, key=used.__getitem__, reverse=True)

    def put_ranges(
        self, extractor: str, fingerprint: str, ranges: ActivationRanges, *, replace: bool
    ) -> ActivationRanges:
        """Freeze ranges; of two writers the first wins, and its ranges are returned.

        Args:
            extractor: its name.
            fingerprint: of the extractor.
            ranges: what was measured.
            replace: whether they replace ranges that exist (the user asked for it).
        """
        data = ranges_file(extractor, fingerprint, ranges)
        while True:
            existing = None if replace else self.ranges(extractor, fingerprint)
            if existing is not None:
                return existing
            folder = self._layout.ranges(extractor)
            seq = 1 + max((int(path.stem) for path in folder.glob("[0-9]*.parquet")), default=0)
            if write_new(folder / f"{seq:08d}.parquet", data):
                return ranges

    # Partials

    def find_partial(self, comparability_key: str, compute_key: str, shard_id: str) -> str | None:
        """The compute key of a complete partial of the shard, preferably the given one; None if there is none."""

        def complete(key: str) -> bool:
            return all(path.exists() for path in self.partial_files(key, shard_id))

        # The others, which are seldom needed, take a search of all folders.
        if complete(compute_key):
            return compute_key
        return next(filter(complete, self._compute_keys(comparability_key)), None)

    def partial_files(self, compute_key: str, shard_id: str) -> list[Path]:
        """The files of a partial."""
        return [self._layout.partial(compute_key, table, shard_id) for table in TABLES]

    def partial(self, compute_key: str, shard_id: str) -> Partial:
        """One partial, with all measures."""
        return read_partial(lambda table: self._layout.partial(compute_key, table, shard_id))

    def partial_sums(self, compute_key: str, shard_id: str) -> Sums:
        """The measures of a partial that add up to a DNA."""
        return self._sums(partial(self._partial_path, compute_key, shard_id))

    def partial_histogram(self, compute_key: str, shard_id: str) -> Histogram:
        """The histogram of a partial."""
        return read_histogram(self._layout.partial(compute_key, "histogram", shard_id))

    def partial_images(self, compute_key: str, shard_id: str) -> ImageFeatures:
        """The rows of a partial's images."""
        return read_images(self._layout.partial(compute_key, "images", shard_id))

    def partial_digests(self, compute_key: str, shard_id: str) -> set[str]:
        """The digests of a partial's images."""
        table, _ = read_parquet(self._layout.partial(compute_key, "images", shard_id), ["digest"])
        return set(table["digest"].to_pylist())

    def put_partial(self, compute_key: str, shard_id: str, measured: Partial, layers: Layers) -> None:
        """Store a partial; existing tables are not changed, unless they are damaged."""
        facts = {"shard_id": shard_id, "compute_key": compute_key, "n_images": len(measured.images.digests)}
        for table, data in measure_files(measured, layers, facts).items():
            put_table(self._layout.partial(compute_key, table, shard_id), data)

    # DNAs

    def dna_record(self, dna_id: str) -> DnaRecord | None:
        """The record of a DNA; None while it is not complete, or where a table of it is missing."""
        if not all(self._layout.dna(table, dna_id).exists() for table in DNA_TABLES):
            return None
        return self._records.read(DnaRecord, self._layout.dna_record(dna_id))

    def dna_records(self) -> list[DnaRecord]:
        """The records of all DNAs, without damaged ones, which a run writes again."""
        folder = self._layout.dna_record("x").parent
        records = (self._records.read(DnaRecord, path) for path in sorted(folder.glob("[!.]*.json")))
        return [record for record in records if record]

    def register(self, current: list[dict[str, str]]) -> None:
        """Record the current DNAs by extractor and dataset, for SQL; unchanged records are not written."""
        put(self._layout.current_dnas, json_with_checksum(json.dumps(current, indent=1).encode()))

    def put_dna(self, record: DnaRecord, histogram: Histogram, moments: Moments, blocks: Blocks) -> None:
        """Store a DNA, unless it is stored already; its record is written last.

        Tables without a record are of a killed writer, maybe on another machine: all of them are written again.
        """
        if self.dna_record(record.dna_id):
            return
        facts = {"dna_id": record.dna_id, "comparability_key": record.comparability_key, "n_images": record.n_images}
        layers = Layers.from_key(record.layers)
        for table, data in dna_files(histogram, moments, blocks, layers, facts).items():
            replace(self._layout.dna(table, record.dna_id), data)
        replace(self._layout.dna_record(record.dna_id), record.to_bytes())

    def dna(self, dna_id: str, label: str = "") -> Dna:
        """A DNA in memory.

        Raises:
            LakeError: when there is no such DNA.
        """
        record = self.dna_record(dna_id)
        if record is None:
            raise LakeError(f"there is no DNA {dna_id} in {self._layout.root}", code="lake.no-dna", dna_id=dna_id)
        key, layers = self.key(record.comparability_key), Layers.from_key(record.layers)
        path = partial(self._layout.dna, dna_id=dna_id)
        moments = read_moments(path("moments"), path("covariance"))
        return Dna(dna_id, key, layers, read_histogram(path("histogram")), moments, label)

    def dna_layer(self, dna_id: str, layer: int) -> tuple[Histogram, Moments]:
        """The histogram and moments of one layer of a DNA."""
        path = partial(self._layout.dna, dna_id=dna_id)
        return read_histogram(path("histogram"), layer), read_moments(path("moments"), path("covariance"), layer)

    def dna_histogram(self, dna_id: str) -> Histogram:
        """The histogram of a DNA."""
        return read_histogram(self._layout.dna("histogram", dna_id))

    def dna_blocks(self, dna_id: str, layer: int | None = None) -> Blocks:
        """The block counts of a DNA, of all layers or of one."""
        return read_blocks(self._layout.dna("blocks", dna_id), layer)

    def partial_blocks(self, compute_key: str, shard_id: str, layer: int | None = None) -> Blocks:
        """The block counts of a partial, of all layers or of one."""
        return read_blocks(self._layout.partial(compute_key, "blocks", shard_id), layer)

    def dna_sums(self, dna_id: str) -> Sums:
        """All measures of a DNA, to add more shards to."""
        return self._sums(partial(self._layout.dna, dna_id=dna_id))

    def dna_file(self, dna_id: str) -> Path:
        """The file with the histograms of a DNA."""
        return self._layout.dna("histogram", dna_id)

    def dna_bytes(self, dna_id: str) -> int:
        """The size of a DNA on disk."""
        return sum(self._layout.dna(table, dna_id).stat().st_size for table in DNA_TABLES)

    def _partial_path(self, compute_key: str, shard_id: str, table: str) -> Any:
        return self._layout.partial(compute_key, table, shard_id)

    @staticmethod
    def _sums(path: Any) -> Sums:
        moments = read_moments(path("moments"), path("covariance"))
        return read_histogram(path("histogram")), moments, read_blocks(path("blocks"))

    def _compute_keys(self, comparability_key: str) -> list[str]:
        """The compute keys under which there are partials that may be added to this key's DNAs."""
        folder = self._layout.root / "partials"
        compute_keys = []
        for path in sorted(folder.glob("[!.]*")):
            # Other files may lie there, such as backups.
            key = self._key(path.name)
            if key and key.parts.get("comparability") == comparability_key:
                compute_keys.append(path.name)
        return compute_keys


@contextmanager
def _ranges_explained(extractor: str, path: Path) -> Iterator[None]:
    """Ranges are data: measured again they are others, and nothing that was measured with them is comparable."""
    try:
        yield
    except LakeError as error:
        if error.code != "lake.damaged":
            raise
        raise LakeError(
            f"{path} is damaged ({error.facts.get('problem')}): restore the file from a copy, or measure the ranges "
            f"again with `dna calibrate {extractor}`, after which earlier versions are not comparable",
            code="lake.damaged-ranges",
            path=str(path),
            extractor=extractor,
        ) from error
