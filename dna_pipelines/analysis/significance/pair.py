"""The significance test of one pair, of a project or in memory.

A test needs the blocks of both DNAs only. In a project, results are stored, and images are read only where one side is
smaller than a block of the other: then a sample of the other is measured, once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dna_pipelines.analysis.significance.design import Design, designs_of
from dna_pipelines.analysis.significance.measurements import Measurements
from dna_pipelines.analysis.significance.result import SignificanceResult
from dna_pipelines.comparison import Selection, Significance, significance
from dna_pipelines.comparison.caveats import NotTested
from dna_pipelines.comparison.significance import METHOD
from dna_pipelines.distributions import N_BINS
from dna_pipelines.errors import UserError
from dna_pipelines.identity import stable_hash
from dna_pipelines.project.image_set import ImageSet
from dna_pipelines.project.progress import Progress, Silent
from dna_pipelines.storage.selections import weights_id
from dna_pipelines.storage.significance import SignificanceKey

N_PERMUTATIONS = 1000
"""The default number of permutations."""


def pair_significance(
    measured: Measurements,
    a: ImageSet,
    b: ImageSet,
    selection: Selection,
    n_permutations: int = N_PERMUTATIONS,
    progress: Progress | None = None,
) -> SignificanceResult:
    """Test the distance of two sets of images.

    Args:
        measured: the counts of both, and the store of results.
        a, b: the sets.
        selection: the neurons that count.
        n_permutations: the number of permutations.
        progress: shows the neurons being tested.
    """
    if a.digests == b.digests:
        return SignificanceResult(None, same=True, a=a.label, b=b.label, n_shared=len(a.items))
    designs = designs_of(measured, a, b)
    # The tests that are possible, whatever their results.
    n_tests = max(sum(design.not_tested is None for design in designs), 1)
    test = _Test(measured, selection, n_permutations, n_tests, progress)
    results = [test.result(design) for design in designs]
    if len(results) == 1:
        return results[0]
    first, also = sorted(results, key=_rank)
    caveats = tuple({caveat.message: caveat for caveat in (*first.caveats, *also.caveats)}.values())
    n_extracted = first.n_images_extracted + also.n_images_extracted
    not_stored = first.not_stored or also.not_stored
    return replace(first, also=also, caveats=caveats, n_images_extracted=n_extracted, not_stored=not_stored)


def _rank(result: SignificanceResult) -> float:
    """The smaller p comes first, then a test without values, then one that is not possible."""
    return float(np.nan_to_num(result.statistics.p_tail, nan=2.0)) if result.statistics else 3.0


@dataclass(frozen=True)
class _Test:
    """The arguments that the tests of one pair share; see `pair_significance`."""

    measured: Measurements
    selection: Selection
    n_permutations: int
    n_tests: int
    progress: Progress | None

    def result(self, design: Design) -> SignificanceResult:
        """The result of a design: the stored one, or a new one, which is stored."""
        result = SignificanceResult(
            None,
            design.not_tested,
            a=design.a.label,
            b=design.b.label,
            remainder_of=design.remainder_of.label if design.remainder_of else "",
            n_images_a=len(design.a.items),
            n_images_b=len(design.b.items),
            n_shared=design.n_shared,
            n_sampled_of=design.n_sampled_of,
            sampling_unit=design.sampling_unit,
            caveats=design.caveats,
        )
        if design.not_tested:
            return result
        key, layers = self._stored_key(design), self.selection.layers
        if stored := self.measured.stored(key, layers):
            return replace(result, statistics=stored)
        n_extracted = 0
        if design.sample:
            try:
                n_extracted = self.measured.measure_sample(design.sample)
            except UserError as error:
                return replace(result, not_tested=_unmeasurable(design, design.sample, error))
        statistics = self._permuted(design).corrected(self.n_tests)
        not_stored = self.measured.store(key, statistics, layers)
        return replace(result, statistics=statistics, n_images_extracted=n_extracted, not_stored=not_stored)

    def _sides(self, design: Design) -> list[tuple[str, int]]:
        """(DNA id, index) of both sides, sorted, so that the order in which sides are named has no effect."""
        return sorted((self.measured.dna_id(side), index) for index, side in enumerate((design.a, design.b)))

    def _stored_key(self, design: Design) -> SignificanceKey:
        (id_a, a), (id_b, b) = self._sides(design)
        sides = (design.a, design.b)
        return SignificanceKey(
            dna_a=id_a,
            dna_b=id_b,
            label_a=sides[a].label,
            label_b=sides[b].label,
            n_images_a=len(sides[a].items),
            n_images_b=len(sides[b].items),
            selection_id=weights_id(self.selection.layers, self.selection.weights),
            method=METHOD,
            n_permutations=self.n_permutations,
            sampling_unit=design.sampling_unit,
            caveats=tuple(map(str, design.caveats)),
            n_tests=self.n_tests,
        )

    def _permuted(self, design: Design) -> Significance:
        (id_a, a), (id_b, b) = self._sides(design)
        sides, counts = (design.a, design.b), (design.counts_a, design.counts_b)
        indices = {name: index for index, name in enumerate(self.selection.layers.names)}
        n_neurons = int((self.selection.weights > 0).sum())
        with (self.progress or Silent()).task("permuting blocks", n_neurons) as advance:
            return significance(
                self.selection,
                lambda name: (counts[a].blocks(indices[name]).counts, counts[b].blocks(indices[name]).counts),
                sides[a].in_blocks,
                sides[b].in_blocks,
                n_permutations=self.n_permutations,
                seed=int(stable_hash(["significance", METHOD, id_a, id_b]), 16),
                n_bins=N_BINS,
                on_neurons=advance,
            )


def _unmeasurable(design: Design, sample: ImageSet, error: UserError) -> NotTested:
    return NotTested(
        "significance.sample-not-measurable",
        f"{design.coarse}; the images of {sample.label} cannot be measured: {error}",
        {"sample": sample.label, "error": error.code, "coarse": design.coarse.code if design.coarse else ""},
    )
