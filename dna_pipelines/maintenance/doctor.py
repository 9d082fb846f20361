"""Examining a project: what works, and how to repair what does not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version

import dna_pipelines
from dna_pipelines.config import ExtractorConfig
from dna_pipelines.dna import dna_id
from dna_pipelines.errors import DnaError, LakeError
from dna_pipelines.project.partials import partial_location
from dna_pipelines.project.progress import counted
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.project.vdna import imported_ranges, require_configured
from dna_pipelines.storage.checksums import verified_bytes, verified_json
from dna_pipelines.storage.files import read
from dna_pipelines.storage.measure_tables import DNA_TABLES
from dna_pipelines.storage.records import Attempt, KeyRecord, Record, Refreshed, ScanResult
from dna_pipelines.storage.tables import damage_named, require_footer, require_sound

_LITTLE_SPACE_GB = 2.0

_NOTES: dict[str, type[Record]] = {
    "datasets/*/seen.json": ScanResult, "datasets/*/looked.json": Refreshed, "attempts/**/*.json": Attempt,
    "keys/*.json": KeyRecord,
}  # fmt: skip
"""The classes of the keys, and of the notes of scans and retries."""

_OTHER_NOTES = ("scanned.json", "distances/complete/*")


@dataclass(frozen=True)
class Finding:
    """The result of one examination.

    Attributes:
        what: what was examined.
        ok: whether it works.
        message: its state, or what is wrong and what to do.
    """

    what: str
    ok: bool
    message: str


def examine(project: ProjectFolder, *, pages: bool = False) -> Iterator[Finding]:
    """Examine everything. Nothing is changed, but for a trial file in a lake that exists, which is removed.

    Args:
        project: what to examine.
        pages: also read every file of the lake completely. Otherwise records are, and so are small tables that SQL
            reads; of other tables that are in use, the footers are verified.
    """
    packages = ", ".join(f"{name} {version(name)}" for name in ("dagster", "torch", "pyarrow", "duckdb", "numpy"))
    yield Finding("installation", True, f"dna_pipelines {dna_pipelines.__version__}, {packages}")
    yield _try("torch", _torch)
    yield _try("datasets file", lambda: f"{counted(len(project.config().datasets), 'dataset')} in {project.file.path}")
    yield _try("lake", lambda: _lake(project))
    yield _try("notes", lambda: _notes(project))
    yield from _sql(project)
    if pages:
        yield from _pages(project)
    free_gb = shutil.disk_usage(project.root).free / 1e9
    yield Finding("disk", free_gb > _LITTLE_SPACE_GB, f"{free_gb:,.1f} GB free at {project.root}")
    try:
        config = project.config()
    except DnaError:
        return
    for dataset in config.datasets:
        yield _try(f"manifest of {dataset.name}", lambda: _manifest(project, dataset.name))  # noqa: B023
        yield _try(f"location of {dataset.name}", lambda: counted(len(project.source(dataset).list().entries), "file"))  # noqa: B023 (called at once)
    for extractor in config.extractors:
        yield _try(f"extractor {extractor.name}", lambda: _extractor(project, extractor))  # noqa: B023
        for dataset in config.datasets:
            examined = partial(_dna, project, dataset.name, extractor.name)
            yield _try(f"{extractor.name} DNA of {dataset.name}", examined)


def _try(what: str, examined: Callable[[], str]) -> Finding:
    try:
        return Finding(what, True, examined())
    except Exception as error:  # noqa: BLE001 (an examination reports every error)
        message = str(error) if isinstance(error, DnaError) else f"{type(error).__name__}: {error}"
        # The finding names what was examined.
        return Finding(what, False, message.removeprefix(f"{what}: "))


def _torch() -> str:
    from dna_pipelines.extraction.devices.devices import describe_devices

    return describe_devices()


def _extractor(project: ProjectFolder, config: ExtractorConfig) -> str:
    from dna_pipelines.update.calibration import require_not_lost
    from dna_pipelines.update.extractors import load

    project.lake.fingerprints.require_ranges(config.name)
    extractor = load(config)
    require_not_lost(project, config, extractor)
    size = f"{counted(len(extractor.layers), 'layer')}, {counted(extractor.layers.n_neurons, 'neuron')}"
    message = f"{size}, on {config.device}"
    if config.ranges:
        ranges = project.lake.fingerprints.ranges(config.name, extractor.fingerprint)
        ranges = ranges or imported_ranges(project, config.ranges, config.name, extractor.layers)
        require_configured(project, config, ranges)
        message += f", ranges of {config.ranges}"
    return message


def _dna(project: ProjectFolder, dataset: str, extractor: str) -> str:
    """Examine a DNA and its partials, which a run needs only when the dataset changes."""
    lake = project.lake
    commit, keys = lake.versions.latest(dataset), lake.fingerprints.extractor(extractor)
    if keys is None and (known := lake.layout.extractor(extractor)).exists():
        raise LakeError(
            f"{known}, or a key that it names, is damaged; `dna run` writes them again",
            code="lake.extractor-record",
            path=str(known),
            extractor=extractor,
        )
    if commit is None or keys is None or commit.n_images == 0:
        return "none yet"
    identity = dna_id(keys.comparability_key, commit.version_id)
    path, record = lake.layout.dna_record(identity), lake.fingerprints.dna_record(identity)
    if record is None:
        if path.exists():
            raise LakeError(
                f"{path} is damaged, or a table of that DNA is missing; `dna run` recomputes it",
                code="lake.damaged-dna",
                path=str(path),
            )
        return "none yet"
    for table in DNA_TABLES:
        require_footer(lake.layout.dna(table, identity))
    for shard in dict.fromkeys(record.shards):
        for file in lake.fingerprints.partial_files(partial_location(project, record, shard), shard):
            try:
                require_footer(file)
            except LakeError as error:
                raise LakeError(
                    f"{file} is damaged; remove it and {path} and run `dna run`",
                    code="lake.damaged-partial",
                    path=str(file),
                    record=str(path),
                ) from error
    return f"{counted(len(record.shards), 'shard')}, {counted(record.n_images, 'image')}"


def _notes(project: ProjectFolder) -> str:
    """Examine what a run writes again and takes for missing where it is damaged."""
    root, n_notes = project.lake.layout.root, 0
    for pattern, kind in _NOTES.items():
        for path in sorted(root.glob(pattern)):
            kind.read(path)
            n_notes += 1
    for path in (path for pattern in _OTHER_NOTES for path in sorted(root.glob(pattern))):
        with damage_named(path):
            json.loads(verified_json(read(path)))
        n_notes += 1
    return counted(n_notes, "key and note of scans and retries", "keys and notes of scans and retries")


def _sql(project: ProjectFolder) -> Iterator[Finding]:
    """Examine what SQL reads, and would leave out where it is damaged."""
    damaged = project.catalog.damaged()
    for problem in damaged.values():
        yield Finding("SQL", False, str(problem))
    if not damaged:
        n_views = counted(len(project.catalog.views()), "view")
        yield Finding("SQL", True, f"{n_views} over the lake; of large tables, only footers were read (--pages: all)")


def _pages(project: ProjectFolder) -> Iterator[Finding]:
    """Examine all tables and listings of the lake, also those that nothing reads at present."""
    root = project.lake.layout.root
    paths = sorted(path for pattern in ("[!.]*.parquet", "[!.]*.arrow") for path in root.rglob(pattern))
    # A manifest has a second name in `current/`, which is a link.
    files = {(stat.st_dev, stat.st_ino): path for path in paths for stat in [path.stat()]}
    n_damaged = 0
    for path in files.values():
        try:
            if path.suffix == ".parquet":
                require_sound(path)
            else:
                with damage_named(path):
                    verified_bytes(read(path))
        except LakeError as error:
            n_damaged += 1
            yield Finding("pages", False, str(error))
    if not n_damaged:
        yield Finding("pages", True, f"{counted(len(files), 'file')} read completely")


def _manifest(project: ProjectFolder, dataset: str) -> str:
    versions = project.lake.versions
    commits = versions.history(dataset)
    if not commits:
        return "none yet"
    commit = commits[-1]
    return f"commit {commit.seq}, {len(versions.manifest(commit).readable):,} images"


def _lake(project: ProjectFolder) -> str:
    if not project.lake.layout.root.exists():
        return "none yet"
    project.lake.try_writing()
    n_dnas = len(project.lake.fingerprints.dna_records())
    return f"{counted(n_dnas, 'DNA')} in {project.lake.layout.root}"
