"""What a difference consists of: in words, layers, neurons and images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dna_pipelines.analysis.significance.result import with_aliases
from dna_pipelines.api.progress import Shown
from dna_pipelines.api.results.images import ImagesResult, top_images
from dna_pipelines.api.results.result import Result
from dna_pipelines.api.results.tables import Table
from dna_pipelines.comparison.significance import LEVEL
from dna_pipelines.errors import Incomparable, NothingToCompare
from dna_pipelines.reporting.words import explain as in_words

if TYPE_CHECKING:  # each returns the other
    from dna_pipelines.api.results.comparison import Comparison
    from dna_pipelines.api.results.significance import TestResult

N_LEADING, N_IMAGES = 8, 5


@dataclass(frozen=True, eq=False, repr=False)
class Explanation(Result):
    """What a difference consists of.

    Attributes:
        words: sentences, where the neurons have names and the difference is significant; else empty.
        layers: the layers that stand out most from the null: `layer`, `p` (corrected for all layers),
            `bias_corrected_bins`.
        neurons: the neurons that changed most: `layer`, `neuron` (its index), `name`, `emd_bins`, `p` (corrected).
        images: those that contribute most; None where none can be named, and `why_no_images` says why.
        why_no_images: see `images`; empty where there are some.
        of, against: the sides that `images` compares.
    """

    words: tuple[str, ...]
    layers: Table
    neurons: Table
    images: ImagesResult | None
    why_no_images: str
    of: str
    against: str

    @property
    def table(self) -> Table:
        """The same as `neurons`."""
        return self.neurons

    @property
    def summary(self) -> str:
        """The words, and up to three layers that are significant."""
        layers = [f"{row['layer']} (p = {row['p']:.3g})" for row in self.layers if row["p"] <= LEVEL][:3]
        leading = [f"leading layers: {', '.join(layers)}"] if layers else []
        return "\n".join([*self.words, *leading]) or self.why_no_images or "no layer stands out"

    def _json(self) -> Any:
        return {
            "words": list(self.words),
            "layers": [with_aliases(row) for row in self.layers],
            "neurons": list(self.neurons),
            "images": self.images.to_json() if self.images else None,
        }


def explain(compared: Comparison, test: TestResult, progress: Shown) -> Explanation:
    """See `Comparison.explain`."""
    # Of images that were added and removed, those of the side that stands out.
    of, against = compared.a, compared.b
    if test.result.remainder_of == against:
        of, against = against, of
    images, why = _images(compared, test, of, against, progress)
    words = _words(compared) if test.significant else ()
    return Explanation(words, _layers(test), _neurons(compared, test), images, why, of, against)


def _words(compared: Comparison) -> tuple[str, ...]:
    return tuple(in_words(compared.comparison, _names(compared)))


def _names(compared: Comparison) -> dict[str, tuple[str, ...]]:
    """What the neurons are called, by layer; empty where they have no names."""
    return compared.folder.lake.fingerprints.names(compared.comparison.a.key.id)


def _layers(test: TestResult) -> Table:
    rows = sorted(test.layers, key=lambda row: (row["p"], row["null_mean_bins"] - row["emd_bins"]))
    return Table.of(
        (
            {"layer": row["layer"], "p": row["p"], "bias_corrected_bins": row["emd_bins"] - row["null_mean_bins"]}
            for row in rows[:N_LEADING]
        ),
        ("layer", "p", "bias_corrected_bins"),
    )


def _neurons(compared: Comparison, test: TestResult) -> Table:
    verdict, layers, names = test.result.statistics, compared.comparison.a.layers, _names(compared)
    rows = []
    if verdict:
        emd = np.nan_to_num(compared.comparison.emd_bins, nan=0.0)
        tested = np.flatnonzero(np.isfinite(verdict.neuron_p))
        order = tested[np.lexsort((-emd[tested], verdict.neuron_p[tested]))][:N_LEADING]
        labels = layers.labels()
        for index in order.tolist():
            layer = labels[index]
            neuron = index - layers.slice_of(layer).start
            facts = {"emd_bins": float(emd[index]), "p": float(verdict.neuron_p[index])}
            name = names[layer][neuron] if layer in names else ""
            rows.append({"layer": layer, "neuron": neuron, "name": name, **facts})
    return Table.of(rows, ("layer", "neuron", "name", "emd_bins", "p"))


def _images(
    compared: Comparison, test: TestResult, of: str, against: str, progress: Shown
) -> tuple[ImagesResult | None, str]:
    if not test.significant:
        return (
            None,
            "the difference was not tested" if test.significant is None else "the difference is not significant",
        )
    try:
        return top_images(compared.folder, of, against, compared.extractor, N_IMAGES, 0, progress), ""
    except (NothingToCompare, Incomparable) as error:
        return None, str(error)
