"""Fingerprints without a project: measured in memory, compared and tested there, and nothing stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from dna_pipelines import comparison as distances
from dna_pipelines.analysis.significance.pair import N_PERMUTATIONS
from dna_pipelines.api.arguments import number, one_of, texts, wrong_type
from dna_pipelines.api.collection import Collection, EitherReader, collect
from dna_pipelines.api.comparison import Distances, require_permutations
from dna_pipelines.api.measuring import Measuring, measuring_with
from dna_pipelines.api.memory_test import memory_significance
from dna_pipelines.api.progress import Shown, watched
from dna_pipelines.api.result import Result
from dna_pipelines.api.significance import TestResult
from dna_pipelines.api.tables import Table
from dna_pipelines.distributions import Blocks
from dna_pipelines.dna import Dna, dna_id
from dna_pipelines.dna.traits import layer_traits
from dna_pipelines.errors import Incomparable, NothingToCompare, UserError
from dna_pipelines.identity import multiset_id
from dna_pipelines.project.progress import Progress, counted

if TYPE_CHECKING:  # it imports torch
    from dna_pipelines.extraction.extractor import Network


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

    def compare(self, other: Fingerprint) -> Distances:
        """All distances to another fingerprint, layer by layer.

        Raises:
            Incomparable: when the two were not measured in the same way (`api.incomparable`).
        """
        require_comparable(self, other)
        compared = distances.compare(self.dna, other.dna)
        selection = distances.Selection.everything(self.dna.layers)
        return Distances(compared, selection, compared.summary(selection))

    def __add__(self, other: Fingerprint) -> Fingerprint:
        """The fingerprint of both collections together: counts add up, so no image is measured again.

        Raises:
            Incomparable: when the two were not measured in the same way (`api.incomparable`).
        """
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

    def test(self, other: Fingerprint, n_permutations: int = N_PERMUTATIONS, *, progress: Shown = False) -> TestResult:
        """Test whether this and another fingerprint differ significantly; the same as `dna_pipelines.test`.

        Args:
            other: a fingerprint, or images, which are measured like this one.
            n_permutations: at least 99.
            progress: True shows it; see `Project`.

        Raises:
            Incomparable: when the two were not measured in the same way (`api.incomparable`).
            UserError: for fewer permutations (`api.permutations`).
        """
        return test(self, other, n_permutations=n_permutations, progress=progress)

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


def fingerprint(
    images: Any,
    *,
    network: str | Network | None = None,
    like: Fingerprint | None = None,
    label: str | None = None,
    layers: str | Sequence[str] = (),
    tokens: Literal["all", "cls", "patch"] = "all",
    device: str = "cpu",
    precision: Literal["float32", "fast"] = "float32",
    batch_size: int = 32,
    workers: int = 0,
    globs: str | Sequence[str] = (),
    exclude: str | Sequence[str] = (),
    kind: str | None = None,
    every: int | None = None,
    limit: int | None = None,
    group_by: str | None = None,
    groups: Sequence[object] | None = None,
    image_column: str | None = None,
    progress: Shown = False,
) -> Fingerprint:
    """The fingerprint of images, measured in memory; nothing is stored.

    Args:
        images: a folder, archive, table, image file or URI; or paths of files, `bytes`, arrays (H, W) or (H, W, C)
            uint8 with 1, 3 or 4 channels, one array (N, H, W) or (N, H, W, C) of them, PIL images, a Hugging Face
            Dataset, or a torch Dataset with items image or (image, label), tensors being (C, H, W) uint8 or float in
            [0, 1]. What is listed twice counts twice.
        network: a name that `dna extractors` lists, `hf:ORG/REPO`, `timm:NAME`, `local:FOLDER`, `MODULE:FUNCTION`, or a
            `Network`; by default `builtin`.
        like: another fingerprint, whose network and activation ranges are used, so that the two compare. Needed for
            networks that come without activation ranges: those are measured on the first images otherwise.
        label: what results call it.
        layers: modules to tap, or patterns of them; the network's own by default.
        tokens: of a transformer, which tokens count.
        device: `cpu`, or one GPU, such as `cuda:0`.
        precision: `fast` computes in bfloat16.
        batch_size: images in one pass, at least 1.
        workers: threads, at least 1; 0 for as many as there are cores. The result does not depend on it.
        globs, exclude, kind, every, limit, group_by: of locations, as for `Project.add`.
        groups: of objects, the group of each (clip, patient, …): images of one group are not independent.
        image_column: of a table or a Hugging Face Dataset.
        progress: True shows it; see `Project`.

    Raises:
        NothingToCompare: when no image is readable (`api.no-image`), or none was given (`api.no-images-given`).
        SourceError: when a location cannot be listed.
        UserError: when objects are no images (`api.image-type`, `api.image-values`), a list of paths holds a folder
            (`api.folder-in-list`), or an argument is wrong (`api.argument`, `api.settings`).
        ExtractorError: when the network cannot serve.

    Examples:
        >>> import numpy as np
        >>> draw = np.random.default_rng(0)
        >>> noise = fingerprint([draw.integers(0, 256, (32, 32, 3), np.uint8) for _ in range(40)])
        >>> noise.n_images, noise.dna.counts.shape, len(noise.quarantined)
        (40, (240, 1000), 0)
    """
    if like is not None and (network is not None or layers or tokens != "all"):
        raise UserError("like= already says the network, its layers and tokens; leave those out", code="api.like")
    if like is not None and not isinstance(like, Fingerprint):
        raise wrong_type("like", like, "a Fingerprint")
    number("batch_size", batch_size, at_least=1)
    number("workers", workers, at_least=0)
    one_of("precision", precision, ("float32", "fast"))
    one_of("tokens", tokens, ("all", "cls", "patch"))
    chosen = {
        "globs": texts("globs", globs), "exclude": texts("exclude", exclude), "kind": kind, "group_by": group_by,
        "every": None if every is None else number("every", every, at_least=1),
        "limit": None if limit is None else number("limit", limit, at_least=1),
    }  # fmt: skip
    taps = texts("layers", layers)
    settings = {key: value for key, value in chosen.items() if value not in (None, ())}

    def work(steps: Progress) -> Fingerprint:
        collection = collect(
            images, label=label, settings=settings, groups=groups, image_column=image_column, progress=steps
        )
        if not collection.items:
            raise _none_readable(collection)
        measuring = like.measuring if like else measuring_with(
            network or "builtin", collection, layers=taps, tokens=tokens, device=device, precision=precision,
            batch_size=batch_size, workers=workers, progress=steps,
        )  # fmt: skip
        dna, blocks = measuring.measure(collection, steps)
        return Fingerprint(collection, dna, blocks, measuring)

    return watched(work, progress)


def _none_readable(collection: Collection) -> NothingToCompare:
    quarantined = collection.quarantined
    reasons, paths = sorted({row["reason"] for row in quarantined}), quarantined.column("path")
    named = "".join(f"\n  {row['path']}: {row['reason']}" for row in quarantined[:_NAMED])
    more = f"\n  and {len(paths) - _NAMED:,} more" if len(paths) > _NAMED else ""
    return NothingToCompare(
        f"{collection.label}: no image is readable{named or ' (there is none)'}{more}",
        code="api.no-image",
        label=collection.label,
        n_quarantined=len(paths),
        reasons=reasons,
        paths=paths[:_NAMED],
    )


def emd(a: Any, b: Any, *, progress: Shown = False) -> float:
    """The earth mover's distance of two fingerprints in bins (of 1,000), mean over all neurons.

    Args:
        a, b: fingerprints; or images, as `fingerprint` takes them, of which the second are measured like the first.
        progress: True shows images being measured; see `Project`.

    Raises:
        Incomparable: when the two were not measured in the same way (`api.incomparable`).

    Examples:
        >>> import numpy as np
        >>> draw = np.random.default_rng(0)
        >>> dark, light = (draw.integers(low, low + 128, (40, 32, 32, 3), np.uint8) for low in (0, 128))
        >>> emd(dark, light) > 10
        True
        >>> one = fingerprint(dark)
        >>> emd(one, one)
        0.0
    """
    left, right = _both(a, b, progress)
    return left.compare(right).emd


def test(a: Any, b: Any, *, n_permutations: int = N_PERMUTATIONS, progress: Shown = False) -> TestResult:  # noqa: PT028
    """Test whether two collections of images differ significantly.

    Images that both have are excluded, and where one side is far larger, a uniform sample of it is tested; `TestResult`
    says so. Images of one group are permuted together.

    Args:
        a, b: fingerprints; or images, as `fingerprint` takes them, of which the second are measured like the first.
        n_permutations: at least 99.
        progress: True shows it; see `Project`.

    Raises:
        Incomparable: when the two were not measured in the same way (`api.incomparable`).
        UserError: for fewer permutations (`api.permutations`).

    Examples:
        >>> import numpy as np
        >>> draw = np.random.default_rng(0)
        >>> dark, light = (draw.integers(low, low + 128, (64, 32, 32, 3), np.uint8) for low in (0, 128))
        >>> result = test(dark, light)
        >>> result.significant, result.p_value < 0.05, result.caveats
        (True, True, ())
    """
    require_permutations(n_permutations)
    left, right = _both(a, b, progress)
    require_comparable(left, right)

    def work(steps: Progress) -> TestResult:
        return TestResult(memory_significance(left, right, n_permutations, steps))

    return watched(work, progress)


test.__test__ = False  # type: ignore[attr-defined]  # pytest would take it for a test


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


def _both(a: Any, b: Any, progress: Shown) -> tuple[Fingerprint, Fingerprint]:
    if isinstance(a, Fingerprint):
        return a, b if isinstance(b, Fingerprint) else fingerprint(b, like=a, progress=progress)
    if isinstance(b, Fingerprint):
        return fingerprint(a, like=b, progress=progress), b
    first = fingerprint(a, progress=progress)
    return first, fingerprint(b, like=first, progress=progress)
