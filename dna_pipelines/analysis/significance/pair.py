"""Whether a distance is more than chance: the verdict on what is tested against what, kept.

The blocks of DNAs are all it takes. Images are read only where one side is smaller than a block of the other: then a
sample of that one is measured, once.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from dna_pipelines.analysis.significance.design import Side, Tested, find_tested
from dna_pipelines.analysis.significance.subsample import fit_sample
from dna_pipelines.comparison import Selection, Significance, significance
from dna_pipelines.comparison.significance import METHOD
from dna_pipelines.distributions import N_BINS
from dna_pipelines.errors import UserError
from dna_pipelines.identity import stable_hash
from dna_pipelines.project.image_set import ImageSet
from dna_pipelines.project.progress import Progress, Silent
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.storage.selections import weights_id
from dna_pipelines.storage.verdicts import Question

N_RESAMPLES = 1000
"""How often blocks are dealt anew, unless somebody asks for more."""


@dataclass(frozen=True)
class Judgement:
    """What there is to say of chance in a comparison: a verdict, or why there is none.

    Attributes:
        verdict: None where it could not be tested.
        why_not: None where it could.
        same: both sides are the same images, so that there is nothing to test.
        a, b: what was tested, which differs from what was asked where the sides share images, or where one is a sample.
        rest_of: the side that `a` is the rest of, where the sides share images; else empty.
        n_shared: images that both sides have.
        n_sampled_of: images of the larger side where a sample of them was tested; 0 where all were.
        n_images_extracted: for that sample, now; 0 where it was measured before.
        unit: what is taken for independent.
        doubts: why it may not be.
        also: the other test, where each side has images that the other lacks; the first is the one that is farther
            out, and the p-values of either are corrected for both.
    """

    verdict: Significance | None
    why_not: str | None
    same: bool = False
    a: str = ""
    b: str = ""
    rest_of: str = ""
    n_images_a: int = 0
    n_images_b: int = 0
    n_shared: int = 0
    n_sampled_of: int = 0
    n_images_extracted: int = 0
    unit: str = ""
    doubts: tuple[str, ...] = ()
    also: Judgement | None = None

    @property
    def in_words(self) -> str:
        """What the test says and its p-values, or why there is none."""
        if self.verdict is None:
            return "the same images" if self.same else f"not tested: {self.why_not}"
        return p_in_words(self.verdict)

    def to_json(self) -> dict[str, Any]:
        """As a JSON value; p-values of neurons only of those that changed."""
        found = {name: value for name, value in vars(self).items() if name not in ("verdict", "also")}
        if self.also:
            found["also"] = self.also.to_json()
        if self.verdict is None:
            return {**found, "more_than_chance": None, "p": None, "in_words": self.in_words}
        plain = {name: value for name, value in vars(self.verdict).items() if name not in ("layers", "neuron_p")}
        layers = [asdict(layer) for layer in self.verdict.layers]
        drawn = {name: getattr(self.verdict, name) for name in ("more_than_chance", "n_tested", "n_changed")}
        return {**found, **plain, **drawn, "in_words": self.in_words, "layers": layers}


def p_in_words(verdict: Significance) -> str:
    """Whether the difference is more than chance, and how rare its mean and its strongest neuron are alone."""
    if np.isnan(verdict.p):
        return "not tested: no neuron has values on both sides"
    said = "more than chance at these sizes" if verdict.more_than_chance else "no more than chance"
    few = f", {verdict.p_tail:.1g} by extrapolation" if verdict.extrapolated else ""
    if np.isnan(verdict.p_strongest):
        return f"{said}: p = {verdict.p:.2g}{few} (of the mean distance alone: no neuron differs from deal to deal)"
    alone = f"mean distance {verdict.p_mean:.2g}, strongest neuron {verdict.p_strongest:.2g}"
    return f"{said}: p = {verdict.p:.2g}{few} ({alone})"


def judge_pair(
    project: ProjectFolder,
    a: ImageSet,
    b: ImageSet,
    key: str,
    selection: Selection,
    extractor: str,
    n_resamples: int = N_RESAMPLES,
    progress: Progress | None = None,
) -> Judgement:
    """Test the distance of two sets of images that have DNAs of a comparability key.

    Args:
        project: where they are.
        a, b: the sets.
        key: the comparability key.
        selection: of their neurons.
        extractor: that measures a sample of a far larger side, if there is none yet.
        n_resamples: how often blocks are dealt anew.
        progress: shows the images of a sample being extracted, and the neurons that are done.
    """
    if a.digests == b.digests:
        return Judgement(None, None, same=True, a=a.label, b=b.label, n_shared=len(a.items))
    tested = find_tested(project, a, b, key)
    # By what can be tested at all, whatever came of it.
    n_tests = max(sum(one.why_not is None for one in tested), 1)
    found = [_judged(project, one, n_tests, key, selection, extractor, n_resamples, progress) for one in tested]
    if len(found) == 1:
        return found[0]
    leads, also = sorted(found, key=lambda one: np.nan_to_num(one.verdict.p_tail, nan=2.0) if one.verdict else 3.0)
    doubts = tuple(dict.fromkeys((*leads.doubts, *also.doubts)))
    n_extracted = leads.n_images_extracted + also.n_images_extracted
    return replace(leads, also=also, doubts=doubts, n_images_extracted=n_extracted)


def _judged(
    project: ProjectFolder,
    tested: Tested,
    n_tests: int,
    key: str,
    selection: Selection,
    extractor: str,
    n_resamples: int,
    progress: Progress | None,
) -> Judgement:
    told = partial(
        Judgement,
        a=tested.a.members.label,
        b=tested.b.members.label,
        rest_of=tested.rest_of,
        n_images_a=len(tested.a.members.items),
        n_images_b=len(tested.b.members.items),
        n_shared=tested.n_shared,
        n_sampled_of=tested.n_sampled_of,
        unit=tested.unit,
        doubts=tested.doubts,
    )
    if tested.why_not:
        return told(None, tested.why_not)
    # Whoever asks in whatever order gets the same answer.
    one, other = sorted((tested.a, tested.b), key=lambda side: side.dna_id)
    question = Question(
        one.dna_id, other.dna_id, one.members.label, other.members.label,
        len(one.members.items), len(other.members.items),
        weights_id(selection.layers, selection.weights), METHOD, n_resamples, tested.unit, tested.doubts, n_tests,
    )  # fmt: skip
    if kept := project.lake.verdicts.get(question, selection.layers):
        return told(kept, None)
    n_extracted = 0
    if tested.sample:
        try:
            n_extracted = fit_sample(project, tested.sample, key, extractor, progress)
        except UserError as error:
            return told(None, f"{tested.coarse}, those of {tested.sample.label}, which cannot be measured: {error}")
    verdict = _dealt(one, other, selection, n_resamples, progress).corrected(n_tests)
    project.lake.verdicts.put(question, verdict, selection.layers)
    return told(verdict, None, n_images_extracted=n_extracted)


def _dealt(one: Side, other: Side, selection: Selection, n_resamples: int, progress: Progress | None) -> Significance:
    places = {name: place for place, name in enumerate(selection.layers.names)}
    n_neurons = int((selection.weights > 0).sum())
    with (progress or Silent()).task("dealing blocks anew", n_neurons) as advance:
        return significance(
            selection,
            lambda name: (one.counts.blocks(places[name]).counts, other.counts.blocks(places[name]).counts),
            one.members.in_blocks,
            other.members.in_blocks,
            n_resamples=n_resamples,
            seed=int(stable_hash(["significance", METHOD, one.dna_id, other.dna_id]), 16),
            n_bins=N_BINS,
            on_neurons=advance,
        )
