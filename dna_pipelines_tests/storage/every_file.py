"""A small lake with a file of every kind, and what reads each kind."""

from __future__ import annotations

import dataclasses
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dna_pipelines.comparison import LayerSignificance, Significance, SteeredDistance, compare
from dna_pipelines.project.current import publish
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.storage.catalog_files import TABLES
from dna_pipelines.storage.records import DnaRecord
from dna_pipelines.storage.significance import SignificanceKey
from dna_pipelines.update.pairs import matrix_id, update_pairs, wanted_pairs
from dna_pipelines.update.staleness import scan
from dna_pipelines_tests.toy import bring_up_to_date, image_bytes, toy_project

Read = Callable[[ProjectFolder], Any]


class Kind(NamedTuple):
    """A kind of file: where it lies in the lake, and what reads it."""

    pattern: str
    read: Read


def make_project(root: Path) -> ProjectFolder:
    """A project with a file of every kind."""
    images = {f"{number}.png": number for number in range(4)}
    project = toy_project(root, {"a": images, "b": {f"{number}.png": number for number in range(8, 12)}})
    archive = root / "z.tar"
    with tarfile.open(archive, "w") as file:
        for number in range(20, 24):
            member = tarfile.TarInfo(f"{number}.png")
            member.size = len(image_bytes(number))
            file.addfile(member, io.BytesIO(image_bytes(number)))
    os.utime(archive, (1e9, 1e9))
    project.file.add({"name": "z", "uri": "z.tar"})
    bring_up_to_date(project)
    (root / "images" / "a" / "new.png").write_bytes(image_bytes(99))
    for dataset in project.config().datasets:
        scan(project, dataset)
        project.lake.versions.note_scanned(dataset.name, 1e9)
    update_pairs(project, "toy")
    _by_hand(project)
    publish(project)
    return project


def _by_hand(project: ProjectFolder) -> None:
    """What further commands store."""
    lake = project.lake
    a, b, *_ = sorted(_records(project), key=lambda record: record.dna_id)
    dnas = [lake.fingerprints.dna(record.dna_id, "") for record in (a, b)]
    layers = dnas[0].layers
    lake.fingerprints.put_names(a.comparability_key, {"0": [f"name {number}" for number in range(4)]})
    lake.distances.put_neurons(compare(*dnas))
    lake.distances.note_drawn("toy", matrix_id(wanted_pairs(project, "toy")))
    weights = np.linspace(0, 1, layers.n_neurons)
    record = lake.selections.put("some", layers, weights, extractor="toy", comparability_key=None, how={"by": "hand"})
    lake.distances.put_steered(record.weights_id, [SteeredDistance(a.dna_id, b.dna_id, 1.5, 0.25, 2.5)])
    lake.significance.put(significance_key(project), significance(layers.n_neurons), layers)
    lake.attempts.begin("manifest", "a", "input")
    lake.attempts.fail("manifest", "a", "problem")


def significance_key(project: ProjectFolder) -> SignificanceKey:
    """The key of the one test that is stored."""
    a, b, *_ = sorted(record.dna_id for record in _records(project))
    return SignificanceKey(a, b, "a", "b", 4, 4, "s", 1, 99, "image", ("none",))


def significance(n_neurons: int) -> Significance:
    """Its result."""
    layers = (LayerSignificance("0", 4, 3.5, 1.5, 0.25), LayerSignificance("2", 5, 4.5, 2.5, 0.5))
    numbers = [1.5, 0.5, 0.25, 0.75, 0.1, 0.2, 0.04, 0.03]
    return Significance(*numbers, False, 0.05, 0.06, 99, 4, 4, layers, np.linspace(0, 1, n_neurons))


def _records(project: ProjectFolder) -> list[DnaRecord]:
    return project.lake.fingerprints.dna_records()


def known_layers(project: ProjectFolder) -> Any:
    """The layers of the network, which need no file of the lake."""
    from dna_pipelines.update.extractors import load

    return load(project.config().extractors[0]).layers


def values(thing: Any) -> Any:
    """Anything that a store returns as values that can be compared."""
    if isinstance(thing, np.ndarray):
        return thing.dtype.str, thing.shape, thing.tobytes()
    if dataclasses.is_dataclass(thing):
        return {field.name: values(getattr(thing, field.name)) for field in dataclasses.fields(thing)}
    if hasattr(thing, "model_dump"):
        return thing.model_dump()
    if isinstance(thing, dict):
        return {name: values(value) for name, value in thing.items()}
    if isinstance(thing, list | tuple) and not hasattr(thing, "_fields"):
        return [values(item) for item in thing]
    return thing


def kinds(project: ProjectFolder) -> dict[str, Kind]:
    """Every kind of file by name."""
    lake = project.lake
    commit = lake.versions.latest("a")
    assert commit
    extractor = lake.fingerprints.extractor("toy")
    assert extractor
    key, compute, fingerprint = extractor.comparability_key, extractor.compute_key, extractor.fingerprint
    record = next(record for record in _records(project) if record.version_id == commit.version_id)
    (shard,) = record.shards
    test, layers = significance_key(project), known_layers(project)
    drawn = lake.distances.drawn("toy")
    (selection,) = lake.selections.history("some")
    pairs = {other.dna_id for other in _records(project)}

    def sql(statement: str) -> Read:
        return lambda project: sorted(map(repr, project.catalog.rows(statement)))

    def partial(project: ProjectFolder) -> Any:
        return project.lake.fingerprints.partial(compute, shard)

    def dna(project: ProjectFolder) -> Any:
        store = project.lake.fingerprints
        return [store.dna(record.dna_id), store.dna_blocks(record.dna_id)]

    return {
        "marker": Kind("lake.json", lambda project: bool(project.lake)),
        "commit": Kind("datasets/a/commits/*.json", lambda project: project.lake.versions.history("a")),
        "manifest": Kind(
            f"datasets/a/manifests/{commit.manifest_id}.parquet", lambda project: project.lake.versions.manifest(commit)
        ),
        "members": Kind(
            f"datasets/a/manifests/{commit.manifest_id}.parquet", lambda project: project.lake.versions.members(commit)
        ),
        "scan result": Kind("datasets/a/seen.json", lambda project: project.lake.versions.scan_result("a")),
        "refreshed": Kind("datasets/a/looked.json", lambda project: project.lake.versions.refreshed_at_ns("a")),
        "scanned": Kind("scanned.json", lambda project: project.lake.versions.scanned()),
        "attempt": Kind("attempts/manifest/a.json", lambda project: project.lake.attempts.last("manifest", "a")),
        "comparability key": Kind(f"keys/{key}.json", lambda project: project.lake.fingerprints.key(key)),
        "compute key": Kind(f"keys/{compute}.json", lambda project: project.lake.fingerprints.key(compute)),
        "extractor": Kind("extractors/toy.json", lambda project: project.lake.fingerprints.extractor("toy")),
        "names": Kind("names/*.parquet", lambda project: project.lake.fingerprints.names(key)),
        "ranges": Kind("ranges/toy/*.parquet", lambda project: project.lake.fingerprints.ranges("toy", fingerprint)),
        **{
            f"partial {table}": Kind(f"partials/{compute}/{table}/{shard}.parquet", partial)
            for table in ("histogram", "moments", "covariance", "blocks", "images")
        },
        **{
            f"DNA {table}": Kind(f"dna/{table}/{record.dna_id}.parquet", dna)
            for table in ("histogram", "moments", "covariance", "blocks")
        },
        "DNA record": Kind(
            f"dna/records/{record.dna_id}.json", lambda project: project.lake.fingerprints.dna_record(record.dna_id)
        ),
        "contents": Kind(
            "contents/*.arrow",
            lambda project: list(project.source(project.file.dataset("z")).list().entries),
        ),
        "pairs": Kind("distances/layers/*.parquet", lambda project: project.lake.distances.known_pairs(key, pairs)),
        "complete": Kind(f"distances/complete/{key}", lambda project: project.lake.distances.complete(key)),
        "drawn": Kind("distances/drawn/toy", lambda project: project.lake.distances.drawn("toy") == drawn),
        "selection": Kind("selections/records/some/*.json", lambda project: project.lake.selections.history("some")),
        "weights": Kind("selections/weights/*.parquet", lambda project: project.lake.selections.weights(selection)),
        "test": Kind(
            str(lake.layout.significance("*", "*", "*").relative_to(lake.layout.root)),
            lambda project: project.lake.significance.get(test, layers),
        ),
        **{f"SQL {name}": Kind(pattern, sql(f"SELECT * FROM _{name}")) for name, (pattern, _) in TABLES.items()},
    }
