"""DNAs that were not measured here, and what may be compared with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.distributions import Layers, Moments
from dna_pipelines.dna.fingerprint import Dna
from dna_pipelines.errors import Incomparable
from dna_pipelines.identity import Key

_OF_HISTOGRAMS = {"ranges", "n_bins", "range_scale", "hist_range"}
"""Parts of a key that matter only where two histograms are compared."""


@dataclass(frozen=True, eq=False)
class ImportedDna:
    """A DNA from a file of another program. It has what the file has, and nothing else.

    It has no blocks, so no distance to it can be tested for significance, and no id, so nothing of
    it is kept in the lake: what needs either takes a `Dna`.

    Attributes:
        key: the parts of the comparability key that the file states; `extractor` and `layers` always.
        layers: the layers the arrays run over.
        n_images: images it was made from.
        counts: (n_neurons, n_bins) uint64, all 0 for a neuron the file leaves out; None without histograms.
        moments: over images, with 0 images for a neuron the file leaves out; None without any.
        label: what messages call it.
    """

    key: Key
    layers: Layers
    n_images: int
    counts: NDArray[np.uint64] | None
    moments: Moments | None
    label: str

    @property
    def extractor(self) -> str:
        """The name of the network it was made with."""
        return str(self.key.parts["extractor"])


Comparable = Dna | ImportedDna
"""Whatever can be compared."""


def require_comparable(a: Comparable, b: Comparable) -> None:
    """Raise unless both were measured in the same way, as far as both say.

    Raises:
        Incomparable: listing every difference.
    """
    if isinstance(a, Dna) and isinstance(b, Dna):
        a.require_comparable(b)
        return
    differences = _differences(a, b)
    if differences:
        raise Incomparable(
            f"{a.label} and {b.label} were not measured the same way:\n  " + "\n  ".join(differences),
            code="compare.different-keys",
            a=a.label,
            b=b.label,
            differences=differences,
        )
    if (a.counts is None or b.counts is None) and (a.moments is None or b.moments is None):
        one, other = (a, b) if a.counts is None else (b, a)
        raise Incomparable(
            f"{one.label} has only Gaussians and {other.label} has only histograms, so there is nothing to compare",
            code="compare.no-common-measure",
            a=one.label,
            b=other.label,
        )


def _differences(a: Comparable, b: Comparable) -> list[str]:
    left, right = a.key.parts, b.key.parts
    binned = a.counts is not None and b.counts is not None
    both = (left.keys() & right.keys()) - {"layers"} - (set() if binned else _OF_HISTOGRAMS)
    differences = Key({name: left[name] for name in both}).differences(Key({name: right[name] for name in both}))
    differences += layer_differences(a.layers, b.layers, a.label, b.label)
    # Two files of the reference need not state their ranges, because those belong to the name of the network.
    if binned and ("ranges" in left) != ("ranges" in right):
        silent = a if "ranges" not in left else b
        differences.append(
            f"ranges: {silent.label} does not say which activation ranges it was binned with; "
            "name the file that has them with ranges= (--ranges)"
        )
    return differences


def layer_differences(a: Layers, b: Layers, label_a: str, label_b: str) -> list[str]:
    """One readable line for each layer that two sets of layers do not agree on."""
    left, right = ({layer.name: layer for layer in layers} for layers in (a, b))
    differences = []
    for name in dict.fromkeys([*left, *right]):
        if name not in left or name not in right:
            has, misses = (label_a, label_b) if name in left else (label_b, label_a)
            differences.append(f"layer {name}: in {has}, not in {misses}")
        elif left[name].n_neurons != right[name].n_neurons:
            differences.append(f"layer {name}: {left[name].n_neurons:,} neurons against {right[name].n_neurons:,}")
        elif left[name].kind != right[name].kind:
            differences.append(f"layer {name}: of kind {left[name].kind} against {right[name].kind}")
    if not differences and a.names != b.names:
        differences.append(f"layers: in the order {', '.join(a.names)} against {', '.join(b.names)}")
    return differences
