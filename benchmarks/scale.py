"""A tick of the daemon over 1,000 datasets: with everything up to date, and with one changed dataset."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import dagster as dg

from benchmarks.measure import Row, ms
from dna_pipelines.dna import dna_id
from dna_pipelines.extraction.files.change_token import extractor_change_token
from dna_pipelines.identity import Item, Key, digest_of
from dna_pipelines.manifests import Manifest, Shard
from dna_pipelines.manifests.manifest import OK, ImageRow
from dna_pipelines.orchestration.build import build_defs
from dna_pipelines.orchestration.instance import open_instance
from dna_pipelines.orchestration.keys import MANIFEST
from dna_pipelines.orchestration.partitions import sync_partitions
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.storage import DnaRecord
from dna_pipelines.storage.measure_tables import DNA_TABLES
from dna_pipelines.storage.records import ExtractorRecord, ScanResult
from dna_pipelines.update.pairs import matrix_id, wanted_pairs
from dna_pipelines.update.staleness import needs

N_DATASETS = 1000
TARGET_S = 0.5
KEY = Key({"made": "up"})


def run(world) -> list[Row]:
    """Records only: the requests of a tick do not depend on the content of the files."""
    project = _project(world.root / "scale")
    first = _timed(lambda: needs(project))
    quiet = min(_timed(lambda: needs(project)) for _ in range(5))
    project.lake.versions.put_scan_result(
        "d0500", ScanResult(raw_version="r", settings="s", n_files=1, at_ns=time.time_ns())
    )
    busy = min(_timed(lambda: needs(project)) for _ in range(5))
    if list(needs(project).manifests) != ["d0500"]:
        raise RuntimeError("the changed dataset was not detected")
    tick = _ticks(project)
    _commit_with_dna(project, "d0500")
    pairs = min(_timed(lambda: needs(project)) for _ in range(5))
    if len(wanted_pairs(project, project.config().extractors[0].name).missing) != N_DATASETS:
        raise RuntimeError("the pairs of the changed dataset were not detected")
    what = f"asking the lake what {N_DATASETS:,} datasets need"
    return [
        Row(
            f"{what}: nothing",
            ms(quiet),
            f"{ms(first)} (the first time, nothing read yet)",
            "",
            "<= 0.5 s",
            quiet <= TARGET_S,
        ),
        Row(f"{what}: one manifest", ms(busy), "", "", "<= 0.5 s", busy <= TARGET_S),
        Row(f"{what}: the pairs of one new DNA", ms(pairs), "", "", "<= 0.5 s", pairs <= TARGET_S),
        Row(
            f"a whole tick of Dagster's (`evaluate_automation_conditions`) over {N_DATASETS:,} datasets, one of which "
            "has changed: its manifest is asked for, and nothing else",
            ms(tick),
            "",
            "",
            "<= 0.5 s",
            tick <= TARGET_S,
        ),
    ]


def _project(root: Path) -> ProjectFolder:
    (root / "data").mkdir(parents=True)
    names = [f"d{number:04d}" for number in range(N_DATASETS)]
    lines = ["datasets:", *(f"  - {{name: {name}, uri: images/{name}}}" for name in names)]
    (root / "data" / "datasets.yaml").write_text("\n".join(lines) + "\n")
    project = ProjectFolder(root)
    store, extractor = project.lake.fingerprints, project.config().extractors[0]
    record = ExtractorRecord(
        name=extractor.name, stamp=extractor_change_token(extractor), fingerprint="f", ranges_id="r",
        comparability_key=KEY.id, compute_key=KEY.id, recorded_at="2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    store.put_key(KEY)
    store.put_extractor(record)
    for name in names:
        _add(project, name, 0, [digest_of(name.encode()), digest_of(name.encode() + b"2")])
    current = wanted_pairs(project, extractor.name).current
    project.lake.distances.note_complete(KEY.id, current.values(), [])
    project.lake.distances.note_drawn(extractor.name, matrix_id(wanted_pairs(project, extractor.name)))
    return ProjectFolder(root)


def _add(project: ProjectFolder, name: str, after: int, digests: list[str]) -> None:
    """A version of a dataset with its DNA's record."""
    shard = Shard(tuple(Item(digest) for digest in digests))
    rows = tuple(
        ImageRow(b"%d.png" % n, 1, "s", OK, item.digest, shard_id=shard.id, block=0)
        for n, item in enumerate(shard.items)
    )
    commit = project.lake.versions.add(
        name, Manifest(rows, (shard,)), after=after, uri="u", raw_version="0", settings="s", changes={}
    )
    identity = dna_id(KEY.id, commit.version_id)
    dna = DnaRecord(
        dna_id=identity, extractor="builtin", comparability_key=KEY.id, version_id=commit.version_id, n_images=2,
        n_neurons=1, shards=(shard.id,), compute_keys=(KEY.id,), layers=[], n_dead=0, clipped_share=0.0,
        n_images_extracted=2, extraction_s=0.0, created_at="2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    layout = project.lake.layout
    # A DNA exists if its tables exist; their content is not read.
    files = {layout.dna(table, identity): b"" for table in DNA_TABLES} | {layout.dna_record(identity): dna.to_bytes()}
    for path, data in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _ticks(project: ProjectFolder) -> float:
    """Seconds of a tick, the first of which is not counted."""
    with open_instance(project) as instance:
        sync_partitions(instance, project)
        seconds, cursor = [], None
        for _ in range(4):
            # The lake records what was requested, and a repeated request waits for a minute.
            shutil.rmtree(project.lake.layout.root / "attempts", ignore_errors=True)
            started = time.perf_counter()
            result = dg.evaluate_automation_conditions(build_defs(project), instance, cursor=cursor)
            seconds.append(time.perf_counter() - started)
            cursor = result.cursor
            if set(result.get_requested_partitions(MANIFEST)) != {"d0500"} or result.total_requested != 1:
                raise RuntimeError(f"asked for {result.total_requested} things instead of one manifest")
    return min(seconds[1:])


def _commit_with_dna(project: ProjectFolder, name: str) -> None:
    """A new version of a dataset, with a DNA that has no distances yet."""
    dataset = project.lake.versions
    before = dataset.latest(name)
    _add(project, name, before.seq, [digest_of(b"%d" % number) for number in range(3)])


def _timed(function) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started
