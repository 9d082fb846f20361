"""The significance test of one pair, whose result is stored.

The blocks of DNAs are all it takes. Images are read only where one side is smaller than a block of the other: then a
sample of that one is measured, once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dna_pipelines.analysis.significance.design import Design, designs_of
from dna_pipelines.analysis.significance.result import SignificanceResult
from dna_pipelines.analysis.significance.subsample import fit_sample
from dna_pipelines.comparison import Selection, Significance, significance
from dna_pipelines.comparison.caveats import NotTested
from dna_pipelines.comparison.significance import METHOD
from dna_pipelines.distributions import N_BINS
from dna_pipelines.dna import dna_id
from dna_pipelines.errors import UserError
from dna_pipelines.identity import stable_hash
from dna_pipelines.project.image_set import ImageSet
from dna_pipelines.project.progress import Progress, Silent
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.storage.selections import weights_id
from dna_pipelines.storage.significance import SignificanceKey

N_PERMUTATIONS = 1000
"""Permutations, unless asked otherwise."""


def pair_significance(
    project: ProjectFolder,
    a: ImageSet,
    b: ImageSet,
    key: str,
    selection: Selection,
    extractor: str,
    n_permutations: int = N_PERMUTATIONS,
    progress: Progress | None = None,
) -> SignificanceResult:
    """Test the distance of two sets of images that have DNAs of a comparability key. The result is stored.

    Args:
        project: where they are.
        a, b: the sets.
        key: the comparability key.
        selection: of their neurons.
        extractor: measures a sample of a far larger side, if there is none yet.
        n_permutations: how often blocks are permuted.
        progress: shows the images of a sample being extracted, and the neurons that are done.
    """
    if a.digests == b.digests:
        return SignificanceResult(None, same=True, a=a.label, b=b.label, n_shared=len(a.items))
    designs = designs_of(project, a, b, key)
    # By what can be tested at all, whatever its result.
    n_tests = max(sum(design.not_tested is None for design in designs), 1)
    test = _Test(project, key, selection, extractor, n_permutations, n_tests, progress)
    results = [test.result(design) for design in designs]
    if len(results) == 1:
        return results[0]
    first, also = sorted(results, key=_rank)
    caveats = tuple({caveat.message: caveat for caveat in (*first.caveats, *also.caveats)}.values())
    n_extracted = first.n_images_extracted + also.n_images_extracted
    return replace(first, also=also, caveats=caveats, n_images_extracted=n_extracted)


def _rank(result: SignificanceResult) -> float:
    """The test that is farther out comes first, then one without values, then one that was not possible."""
    return float(np.nan_to_num(result.statistics.p_tail, nan=2.0)) if result.statistics else 3.0


@dataclass(frozen=True)
class _Test:
    """What the tests of one pair have in common; see `pair_significance`."""

    project: ProjectFolder
    key: str
    selection: Selection
    extractor: str
    n_permutations: int
    n_tests: int
    progress: Progress | None

    def result(self, design: Design) -> SignificanceResult:
        """Of a design: the stored one if there is one."""
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
        key, store = self._stored_key(design), self.project.lake.significance
        if stored := store.get(key, self.selection.layers):
            return replace(result, statistics=stored)
        n_extracted = 0
        if design.sample:
            try:
                n_extracted = fit_sample(self.project, design.sample, self.key, self.extractor, self.progress)
            except UserError as error:
                return replace(result, not_tested=_unmeasurable(design, design.sample, error))
        statistics = self._permuted(design).corrected(self.n_tests)
        store.put(key, statistics, self.selection.layers)
        return replace(result, statistics=statistics, n_images_extracted=n_extracted)

    def _sides(self, design: Design) -> list[tuple[str, int]]:
        """The ids of the sides' DNAs in their order, so that the order in which sides are named has no effect."""
        return sorted((dna_id(self.key, side.id), index) for index, side in enumerate((design.a, design.b)))

    def _stored_key(self, design: Design) -> SignificanceKey:
        (one_id, one), (other_id, other) = self._sides(design)
        sides = (design.a, design.b)
        return SignificanceKey(
            dna_a=one_id,
            dna_b=other_id,
            label_a=sides[one].label,
            label_b=sides[other].label,
            n_images_a=len(sides[one].items),
            n_images_b=len(sides[other].items),
            selection_id=weights_id(self.selection.layers, self.selection.weights),
            method=METHOD,
            n_permutations=self.n_permutations,
            sampling_unit=design.sampling_unit,
            caveats=tuple(map(str, design.caveats)),
            n_tests=self.n_tests,
        )

    def _permuted(self, design: Design) -> Significance:
        (one_id, one), (other_id, other) = self._sides(design)
        sides, counts = (design.a, design.b), (design.counts_a, design.counts_b)
        indices = {name: index for index, name in enumerate(self.selection.layers.names)}
        n_neurons = int((self.selection.weights > 0).sum())
        with (self.progress or Silent()).task("permuting blocks", n_neurons) as advance:
            return significance(
                self.selection,
                lambda name: (counts[one].blocks(indices[name]).counts, counts[other].blocks(indices[name]).counts),
                sides[one].in_blocks,
                sides[other].in_blocks,
                n_permutations=self.n_permutations,
                seed=int(stable_hash(["significance", METHOD, one_id, other_id]), 16),
                n_bins=N_BINS,
                on_neurons=advance,
            )


def _unmeasurable(design: Design, sample: ImageSet, error: UserError) -> NotTested:
    return NotTested(
        "significance.sample-not-measurable",
        f"{design.coarse}, those of {sample.label}, which cannot be measured: {error}",
        {"sample": sample.label, "error": error.code, "coarse": design.coarse.code if design.coarse else ""},
    )
