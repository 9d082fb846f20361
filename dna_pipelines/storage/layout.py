"""Every path of the lake.

lake.json                                     the format
registry.json                                 the watched datasets, as last synced
keys/<id>.json                                the parts of a comparability or compute key
extractors/<name>.json                        the current keys of an extractor
names/<comparability key>.parquet             the names of neurons, where they have names
datasets/<name>/commits/<seq>.json            commit records: the last one is current
datasets/<name>/manifests/<id>.parquet        one row per image
datasets/<name>/seen.json                     the last scan result that showed a change of its location
datasets/<name>/looked.json                   when the last refresh began to list the location
attempts/<asset>/<partition>.json             the last attempt to bring something up to date, if it failed
current/<name>.parquet                        the current manifest, for SQL
ranges/<extractor>/<seq>.parquet              activation ranges, one file for each calibration
partials/<compute key>/<table>/<shard>.parquet
dna/<table>/<dna id>.parquet
dna/records/<dna id>.json                     written last: a DNA exists when its record does
dna/current.json                              the current DNA of each watched dataset and extractor, as last synced
contents/<id>.arrow                           the listing of an archive or a table of images (read again if missing)
distances/layers/<id>.parquet                 layer distances of a set of pairs
distances/neurons/<dna a>-<dna b>.parquet     neuron distances of a pair
distances/complete/<comparability key>        the last set of pairs that was complete, and its files
distances/steered/<id>.parquet                distances of a set of pairs under a selection
selections/records/<name>/<seq>.json          versions of a selection: the last one is current
selections/weights/<id>.parquet               weights of neurons; the record of a selection names them
verdicts/<dna a>-<dna b>-<id>.parquet         significance test of a pair, for a selection and a number of permutations
scanned.json                                  when each dataset's location was scanned last
distances/drawn/<extractor>                   the id of the matrix that was drawn last
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FORMAT = 1
"""The format of the lake; a lake of another one is refused."""

_TESTS = "verdicts"
_REPAIRS = {
    "ranges": "restore it from a copy",
    "manifests": "restore it from a copy; `dna run` writes that of a current version again once you remove it",
    "partials": "remove it and the DNA records that `dna doctor` names, and run `dna run` to recompute it",
    "neurons": "remove it; `dna compare` computes it again",
    "steered": "remove it; `dna matrix` computes it again for the selection",
    _TESTS: "the next test of the pair computes it again",
    "weights": "restore it from a copy, or define the selection again",
}
"""By a folder of the lake, what to do about a damaged table in it."""


def repair_of(table: Path) -> str:
    """What to do about a damaged table."""
    advice = (_REPAIRS[folder] for folder in table.parts[-4:-1] if folder in _REPAIRS)
    return next(advice, "remove it and run `dna run` to recompute it")


@dataclass(frozen=True)
class Layout:
    """Paths below the root of a lake."""

    root: Path

    @property
    def marker(self) -> Path:
        """The file with the format of the lake."""
        return self.root / "lake.json"

    @property
    def registry(self) -> Path:
        """The watched datasets, for SQL."""
        return self.root / "registry.json"

    def key(self, key_id: str) -> Path:
        """The parts of a key."""
        return self.root / "keys" / f"{key_id}.json"

    def extractor(self, name: str) -> Path:
        """The current keys of an extractor."""
        return self.root / "extractors" / f"{name}.json"

    def names(self, comparability_key: str) -> Path:
        """The names of the neurons of a key's DNAs."""
        return self.root / "names" / f"{comparability_key}.parquet"

    def commits(self, dataset: str) -> Path:
        """The folder of a dataset's commit records."""
        return self.root / "datasets" / dataset / "commits"

    def commit(self, dataset: str, seq: int) -> Path:
        """One commit record."""
        return self.commits(dataset) / f"{seq:08d}.json"

    def manifest(self, dataset: str, manifest_id: str) -> Path:
        """One manifest."""
        return self.root / "datasets" / dataset / "manifests" / f"{manifest_id}.parquet"

    def scan_result(self, dataset: str) -> Path:
        """The last scan result that showed a change of the location."""
        return self.root / "datasets" / dataset / "seen.json"

    @property
    def scanned(self) -> Path:
        """When each dataset's location was scanned last."""
        return self.root / "scanned.json"

    def refreshed(self, dataset: str) -> Path:
        """When the last refresh began to list the location."""
        return self.root / "datasets" / dataset / "looked.json"

    def attempt(self, asset: str, partition: str) -> Path:
        """The last attempt to bring something up to date."""
        return self.root / "attempts" / asset / f"{partition}.json"

    def current_manifest(self, dataset: str) -> Path:
        """The current manifest, under a name that does not change."""
        return self.root / "current" / f"{dataset}.parquet"

    def ranges(self, extractor: str) -> Path:
        """The folder of an extractor's activation ranges."""
        return self.root / "ranges" / extractor

    def partial(self, compute_key: str, table: str, shard_id: str) -> Path:
        """One table of a partial."""
        return self.root / "partials" / compute_key / table / f"{shard_id}.parquet"

    def dna(self, table: str, dna_id: str) -> Path:
        """One table of a DNA."""
        return self.root / "dna" / table / f"{dna_id}.parquet"

    def dna_record(self, dna_id: str) -> Path:
        """The record of a DNA."""
        return self.root / "dna" / "records" / f"{dna_id}.json"

    @property
    def current_dnas(self) -> Path:
        """The current DNAs by extractor and dataset, for SQL."""
        return self.root / "dna" / "current.json"

    def contents(self, location_id: str) -> Path:
        """The listing of an archive or a table."""
        return self.root / "contents" / f"{location_id}.arrow"

    def layer_distances(self, batch_id: str) -> Path:
        """Layer distances of a set of pairs."""
        return self.root / "distances" / "layers" / f"{batch_id}.parquet"

    def significance(self, a: str, b: str, key_id: str) -> Path:
        """The result of a significance test of a pair."""
        return self.root / _TESTS / f"{a}-{b}-{key_id}.parquet"

    def complete_pairs(self, comparability_key: str) -> Path:
        """A note of the last set of pairs that was complete."""
        return self.root / "distances" / "complete" / comparability_key

    def drawn(self, extractor: str) -> Path:
        """A note of the matrix that was drawn last."""
        return self.root / "distances" / "drawn" / extractor

    def neuron_distances(self, a: str, b: str) -> Path:
        """Neuron distances of a pair."""
        return self.root / "distances" / "neurons" / f"{a}-{b}.parquet"

    def steered_distances(self, batch_id: str) -> Path:
        """Distances of a set of pairs under a selection."""
        return self.root / "distances" / "steered" / f"{batch_id}.parquet"

    @property
    def selections(self) -> Path:
        """The folder of all selections' records."""
        return self.root / "selections" / "records"

    def selection(self, name: str, seq: int) -> Path:
        """The record of one version of a selection."""
        return self.selections / name / f"{seq:08d}.json"

    def selection_weights(self, weights_id: str) -> Path:
        """Weights of neurons."""
        return self.root / "selections" / "weights" / f"{weights_id}.parquet"
