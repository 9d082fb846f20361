"""The pairs of the matrix: which are wanted, which are missing, and the layer distances of those."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from dna_pipelines.comparison import LayerMeasures, layer_distances, portions
from dna_pipelines.distributions import Layers
from dna_pipelines.dna import dna_id
from dna_pipelines.errors import LakeError
from dna_pipelines.identity import stable_hash
from dna_pipelines.project.current import current_dnas
from dna_pipelines.project.progress import Progress, Silent
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.project.resolve import used_extractor
from dna_pipelines.storage.distances import Pair


class WantedPairs(NamedTuple):
    """The pairs of a matrix."""

    current: dict[str, str]
    """By dataset, see `current_dnas`."""
    changes: list[Pair]
    """Each dataset's DNA with its DNA before its last change."""
    missing: list[Pair]
    """Pairs that are not compared yet."""
    n_known: int


def wanted_pairs(project: ProjectFolder, extractor: str) -> WantedPairs:
    """All pairs of current DNAs, each current DNA with its previous one, and the pairs that are not compared yet."""
    key, distances = used_extractor(project, extractor).comparability_key, project.lake.distances
    current = current_dnas(project, extractor)
    changes = set()
    for name, identity in current.items():
        if (before := _previous_dna(project, name, key)) and before != identity:
            changes.add((min(before, identity), max(before, identity)))
    ids, (complete, compared) = set(current.values()), distances.complete(key)
    # Only new DNAs are looked up: 1,000 datasets have half a million pairs, too many for every tick.
    fresh = ids - complete
    asked = {(min(a, b), max(a, b)) for a in fresh for b in ids if a != b} | (changes - compared)
    missing = asked - distances.known_pairs(key, {identity for pair in asked for identity in pair}) if asked else set()
    n_wanted = len(ids) * (len(ids) - 1) // 2 + sum(not ids.issuperset(pair) for pair in changes)
    return WantedPairs(current, sorted(changes), sorted(missing), n_wanted - len(missing))


def matrix_id(pairs: WantedPairs) -> str:
    """The id of what the matrix shows: the datasets with a DNA, in order, those DNAs, and the missing pairs."""
    return stable_hash([list(pairs.current.items()), pairs.missing])


def _previous_dna(project: ProjectFolder, dataset: str, key: str) -> str | None:
    latest = project.lake.versions.latest(dataset)
    seq = latest.seq - 1 if latest else 0
    while latest and seq > 0:
        try:
            commit = project.lake.versions.commit(dataset, seq)
        except LakeError:
            # A command that names it reports the damage, and so does the doctor.
            return None
        if commit.version_id != latest.version_id:
            identity = dna_id(key, commit.version_id)
            return identity if project.lake.fingerprints.dna_record(identity) else None
        seq -= 1
    return None


@dataclass(frozen=True)
class PairsUpdated:
    """The result of updating the pairs of an extractor."""

    extractor: str
    dnas: dict[str, str]
    """The id of the current DNA of each dataset that has one."""
    n_computed: int
    n_reused: int
    left_out: tuple[str, ...]
    """Watched datasets without a current DNA (empty, blocked by a check, or not fitted yet)."""


def update_pairs(project: ProjectFolder, extractor: str, progress: Progress | None = None) -> PairsUpdated:
    """Compute the layer distances of every pair of current DNAs that has none."""
    store, key = project.lake.fingerprints, used_extractor(project, extractor).comparability_key
    project.lake.distances.remove_damaged(key)
    current, changes, pairs, n_known = wanted_pairs(project, extractor)
    if pairs:
        record = store.dna_record(pairs[0][0])
        layers = Layers.from_key(record.layers if record else [])
        indices = {name: index for index, name in enumerate(layers.names)}

        def measures(identity: str, layer: str) -> LayerMeasures:
            return LayerMeasures(*store.dna_layer(identity, indices[layer]))

        with (progress or Silent()).task(f"comparing {extractor}", len(pairs) * len(layers)) as advance:
            # Each portion is stored at once, so an interruption loses only the one being computed.
            for some in portions(pairs):
                project.lake.distances.put_layers(key, layer_distances(some, layers, measures, advance))
    project.lake.distances.note_complete(key, set(current.values()), changes)
    watched = [dataset.name for dataset in project.config().datasets]
    left_out = tuple(name for name in watched if name not in current)
    return PairsUpdated(extractor, current, len(pairs), n_known, left_out)
