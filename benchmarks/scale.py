"""A tick of the daemon over 1,000 datasets, everything up to date, and with one dataset changed."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.measure import Row, ms
from dna_pipelines.dna import dna_id
from dna_pipelines.extraction.stamp import extractor_stamp
from dna_pipelines.identity import Item, digest_of
from dna_pipelines.manifests import Manifest, Shard
from dna_pipelines.manifests.manifest import OK, ImageRow
from dna_pipelines.pipeline.project import Project
from dna_pipelines.pipeline.versions import wanted_pairs
from dna_pipelines.pipeline.watch import matrix_id, needs
from dna_pipelines.storage import DnaRecord
from dna_pipelines.storage.records import ExtractorRecord, Sighting

N_DATASETS = 1000
TARGET_S = 0.5


def run(world) -> list[Row]:
    """Records only: what a tick asks for does not depend on what is in the files."""
    project = _project(world.root / "scale")
    first = _timed(lambda: needs(project))
    quiet = min(_timed(lambda: needs(project)) for _ in range(5))
    project.lake.versions.put_sighting(
        "d0500", Sighting(raw_version="r", settings="s", n_files=1, at_ns=time.time_ns())
    )
    busy = min(_timed(lambda: needs(project)) for _ in range(5))
    if list(needs(project).manifests) != ["d0500"]:
        raise RuntimeError("the changed dataset was not noticed")
    what = f"asking the lake what {N_DATASETS:,} datasets lack"
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
    ]


def _project(root: Path) -> Project:
    (root / "data").mkdir(parents=True)
    names = [f"d{number:04d}" for number in range(N_DATASETS)]
    lines = ["datasets:", *(f"  - {{name: {name}, uri: images/{name}}}" for name in names)]
    (root / "data" / "datasets.yaml").write_text("\n".join(lines) + "\n")
    project = Project(root)
    store, extractor = project.lake.fingerprints, project.config().extractors[0]
    record = ExtractorRecord(
        name=extractor.name, stamp=extractor_stamp(extractor), fingerprint="f", ranges_id="r",
        comparability_key="k", compute_key="c", recorded_at="2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    store.put_extractor(record)
    for name in names:
        shard = Shard((Item(digest_of(name.encode())), Item(digest_of(name.encode() + b"2"))))
        rows = tuple(
            ImageRow(b"%d.png" % n, 1, "s", OK, item.digest, shard_id=shard.id, block=0)
            for n, item in enumerate(shard.items)
        )
        commit = project.lake.versions.add(
            name, Manifest(rows, (shard,)), after=0, uri="u", raw_version="0", settings="s", changes={}
        )
        identity = dna_id("k", commit.version_id)
        dna = DnaRecord(
            dna_id=identity, extractor=extractor.name, comparability_key="k", version_id=commit.version_id, n_images=2,
            n_neurons=1, shards=(shard.id,), compute_keys=("c",), layers=[], n_dead=0, clipped_share=0.0,
            n_images_extracted=2, extraction_s=0.0, created_at="2026-01-01T00:00:00+00:00",
        )  # fmt: skip
        path = project.lake.layout.dna_record(identity)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(dna.to_bytes())
    current = wanted_pairs(project, extractor.name).current
    project.lake.distances.note_complete("k", current.values(), [])
    project.lake.distances.note_drawn(extractor.name, matrix_id(wanted_pairs(project, extractor.name)))
    return Project(root)


def _timed(function) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started
