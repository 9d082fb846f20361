"""A fingerprint in memory: compared, added and tested without a project."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dna_pipelines import comparison as distances
from dna_pipelines.analysis.significance.pair import N_PERMUTATIONS
from dna_pipelines.api.in_memory.measuring import Measuring
from dna_pipelines.api.in_memory.memory_test import memory_significance
from dna_pipelines.api.inputs.collection import Collection, EitherReader, collect
from dna_pipelines.api.progress import Shown, watched
from dna_pipelines.api.results.comparison import Distances, require_permutations
from dna_pipelines.api.results.result import Result
from dna_pipelines.api.results.significance import TestResult
from dna_pipelines.api.results.tables import Table
from dna_pipelines.distributions import Blocks
from dna_pipelines.dna import Dna, dna_id
from dna_pipelines.dna.traits import layer_traits
from dna_pipelines.errors import Incomparable, NothingToCompare
from dna_pipelines.identity import multiset_id
from dna_pipelines.project.progress import Progress, counted

_NAMED = 10
"""Unreadable images that an error names."""


@dataclass(frozen=True, eq=False, repr=False)
class Fingerprint(Result):
    """The Visual DNA of a collection of images, in memory.

    It refers to the images it was made of, because a test of two collections that share images, or of which one is far
    larger, measures a part of one again.

    It can be pickled. Images that were given in memory are pickled with it; files and other locations are not, but read
    again where they lie when a test needs them. A network is pickled by its name; one that was given as a `Network` is
    lost, after which the fingerprint can still be compared, added and, where no image must be measured again, tested,
    but not be `like=` of others (`api.pickled-network`).

    Attributes:
        images: the readable images, by digest, and those that are quarantined.
        dna: the counts of every neuron (`dna.counts`, (n_neurons, 1000) uint64) and its moments.
        blocks: coarse counts of 64 random parts of the images, which is what tests permute.
        measuring: the network and its activation ranges.
    """

    images: Collection
    dna: Dna
    blocks: Blocks
    measuring: Measuring

    @property
    def label(self) -> str:
        """What results call it."""
        return self.images.label

    @property
    def n_images(self) -> int:
        """Readable images; copies count."""
        return len(self.images.items)

    @property
    def n_neurons(self) -> int:
        """Neurons, over all layers."""
        return self.dna.layers.n_neurons

    @property
    def quarantined(self) -> Table:
        """Images that cannot be read: `path` (or index), `reason` and `detail`."""
        return self.images.quarantined

    @property
    def table(self) -> Table:
        """A layer a row, with `n_dead`, `n_saturated`, `zero_share`, `kurtosis`, `effective_rank` and more."""
        return Table.of(row.to_json() for row in layer_traits(self.dna.layers, self.dna.histogram, self.dna.moments))

    @property
    def summary(self) -> str:
        """What it is of."""
        unreadable = f", {len(self.quarantined):,} unreadable" if len(self.quarantined) else ""
        return (
            f"fingerprint of {self.label} ({self.measuring.name}, {counted(self.n_images, 'image')}{unreadable}, "
            f"{self.n_neurons:,} neurons)"
        )

    def compare(self, other: Any, *, progress: Shown = False) -> Distances:
        """All distances to another fingerprint, layer by layer.

        Args:
            other: a fingerprint, or images, which are measured like this one.
            progress: True shows images being measured; see `Project`.

        Raises:
            Incomparable: when the two were not measured in the same way (`api.incomparable`).
        """
        alike = self.alike(other, progress=progress)
        require_comparable(self, alike)
        compared = distances.compare(self.dna, alike.dna)
        selection = distances.Selection.everything(self.dna.layers)
        return Distances(compared, selection, compared.summary(selection))

    def __add__(self, other: Fingerprint) -> Fingerprint:
        """The fingerprint of both collections together: counts add up, so no image is measured again.

        Raises:
            Incomparable: when the two were not measured in the same way (`api.incomparable`).
        """
        if not isinstance(other, Fingerprint):
            return NotImplemented
        require_comparable(self, other)
        one, two = self.images, other.images
        together = Collection(
            f"{one.label} + {two.label}",
            (*one.items, *two.items),
            (*one.names, *two.names),
            Table(one.quarantined.columns, (*one.quarantined.values, *two.quarantined.values)),
            EitherReader(one.read, two.read, frozenset(item.digest for item in one.items)),
        )
        histogram = self.dna.histogram.merge(other.dna.histogram)
        moments = self.dna.moments.merge(other.dna.moments)
        identity = dna_id(self.dna.key.id, multiset_id(together.items))
        dna = Dna(identity, self.dna.key, self.dna.layers, histogram, moments, together.label)
        return Fingerprint(together, dna, self.blocks.merge(other.blocks), self.measuring)

    def __radd__(self, other: object) -> Fingerprint:
        """So that `sum` works, which begins with 0."""
        return self if isinstance(other, int) and other == 0 else NotImplemented

    def test(self, other: Any, n_permutations: int = N_PERMUTATIONS, *, progress: Shown = False) -> TestResult:
        """Test whether this and another fingerprint differ significantly; the same as `dna_pipelines.test`.

        Args:
            other: a fingerprint, or images, which are measured like this one.
            n_permutations: at least 99.
            progress: True shows it; see `Project`.

        Raises:
            Incomparable: when the two were not measured in the same way (`api.incomparable`).
            UserError: for fewer permutations (`api.permutations`).
        """
        n_permutations = require_permutations(n_permutations)
        alike = self.alike(other, progress=progress)
        require_comparable(self, alike)

        def work(steps: Progress) -> TestResult:
            return TestResult(memory_significance(self, alike, n_permutations, steps))

        return watched(work, progress)

    def alike(self, other: Any, *, progress: Shown = False) -> Fingerprint:
        """A fingerprint as it is; images measured as this one was.

        Args:
            other: a fingerprint, or images, as `fingerprint` takes them.
            progress: True shows it; see `Project`.
        """
        if isinstance(other, Fingerprint):
            return other
        return watched(lambda steps: measured(collect(other, progress=steps), self.measuring, steps), progress)

    def _json(self) -> Any:
        return {
            "label": self.label,
            "network": self.measuring.name,
            "comparability_key": self.dna.key.id,
            "n_images": self.n_images,
            "n_neurons": self.n_neurons,
            "quarantined": list(self.quarantined),
            "layers": list(self.table),
        }


def measured(images: Collection, measuring: Measuring, progress: Progress) -> Fingerprint:
    """The fingerprint of images.

    Raises:
        NothingToCompare: when no image is readable (`api.no-image`).
    """
    require_readable(images)
    dna, blocks = measuring.measure(images, progress)
    return Fingerprint(images, dna, blocks, measuring)


def require_readable(images: Collection) -> None:
    """Refuse a collection without a readable image.

    Raises:
        NothingToCompare: (`api.no-image`).
    """
    if images.items:
        return
    quarantined = images.quarantined
    reasons, paths = sorted({row["reason"] for row in quarantined}), quarantined.column("path")
    named = "".join(f"\n  {row['path']}: {row['reason']}" for row in quarantined[:_NAMED])
    more = f"\n  and {len(paths) - _NAMED:,} more" if len(paths) > _NAMED else ""
    raise NothingToCompare(
        f"{images.label}: no image is readable{named or ' (there is none)'}{more}",
        code="api.no-image",
        label=images.label,
        n_quarantined=len(paths),
        reasons=reasons,
        paths=paths[:_NAMED],
    )


def require_comparable(a: Fingerprint, b: Fingerprint) -> None:
    """Refuse two fingerprints that were not measured in the same way.

    Raises:
        Incomparable: listing every difference (`api.incomparable`).
    """
    if differences := a.dna.key.differences(b.dna.key):
        raise Incomparable(
            f"{a.label} and {b.label} were not measured in the same way:\n  "
            + "\n  ".join(differences)
            + "\nfingerprint(…, like=other) measures like another fingerprint",
            code="api.incomparable",
            differences=differences,
        )
