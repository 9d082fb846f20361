"""Whether a distance is more than chance: what is tested against what, and the verdict, kept.

No image is read and no network runs: the blocks of DNAs are all it takes. Where two sides share images, what the
one has more is tested against the other, because the shared ones would hide it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.comparison import Selection, Significance, significance, why_untestable
from dna_pipelines.comparison.significance import LEVEL, METHOD
from dna_pipelines.distributions import N_BINS
from dna_pipelines.dna import Comparable, Dna, dna_id
from dna_pipelines.identity import stable_hash
from dna_pipelines.pipeline.counts import Counts, counts_of, counts_of_rest
from dna_pipelines.pipeline.members import Members, doubts, find_members
from dna_pipelines.pipeline.progress import Progress, Silent
from dna_pipelines.pipeline.project import Project
from dna_pipelines.storage.selections import weights_id
from dna_pipelines.storage.verdicts import Question

N_RESAMPLES = 1000
"""How often blocks are dealt anew, unless somebody asks for more."""

U64 = NDArray[np.uint64]


@dataclass(frozen=True)
class Judgement:
    """What there is to say of chance in a comparison: a verdict, or why there is none.

    Attributes:
        verdict: None where it could not be tested.
        why_not: None where it could.
        same: both sides are the same images, so that there is nothing to test.
        a, b: what was tested, which differs from what was asked where the sides share images.
        n_shared: images that both sides have.
        unit: what is taken for independent.
        doubts: why it may not be.
    """

    verdict: Significance | None
    why_not: str | None
    same: bool = False
    a: str = ""
    b: str = ""
    n_images_a: int = 0
    n_images_b: int = 0
    n_shared: int = 0
    unit: str = ""
    doubts: tuple[str, ...] = ()

    @property
    def in_words(self) -> str:
        """The p-value and what it says, or why there is none."""
        if self.verdict is None:
            return "the same images" if self.same else f"not tested: {self.why_not}"
        return p_in_words(self.verdict)

    def to_json(self) -> dict[str, Any]:
        """As a JSON value; p-values of neurons only of those that changed."""
        found = {name: value for name, value in vars(self).items() if name != "verdict"}
        if self.verdict is None:
            return {**found, "p": None, "in_words": self.in_words}
        plain = {name: value for name, value in vars(self.verdict).items() if name not in ("layers", "neuron_p")}
        layers = [asdict(layer) for layer in self.verdict.layers]
        counted = {"n_tested": self.verdict.n_tested, "n_changed": self.verdict.n_changed}
        return {**found, **plain, **counted, "in_words": self.in_words, "layers": layers}


def p_in_words(verdict: Significance) -> str:
    """The p-value, and whether the distance is more than chance."""
    if np.isnan(verdict.p):
        return "not tested: no neuron has values on both sides"
    said = "more than chance at these sizes" if verdict.p <= LEVEL else "no more than chance"
    few = f" ({verdict.p_tail:.1g} by extrapolation)" if verdict.extrapolated else ""
    return f"p = {verdict.p:.2g}{few}: {said}"


def judge_pair(
    project: Project,
    left: Comparable,
    right: Comparable,
    selection: Selection,
    *,
    n_resamples: int = N_RESAMPLES,
    progress: Progress | None = None,
) -> Judgement:
    """Test the distance of two DNAs, of the same comparability key, that their labels name.

    Args:
        project: where they are.
        left, right: see `compare_pair`.
        selection: of their neurons.
        n_resamples: how often blocks are dealt anew.
        progress: shows the neurons that are done.
    """
    if why := _no_blocks(left, right):
        return Judgement(None, why, a=left.label, b=right.label)
    a, b = (find_members(project, side.label) for side in (left, right))
    return judge_members(project, a, b, left.key.id, selection, n_resamples=n_resamples, progress=progress)


def judge_members(
    project: Project,
    a: Members,
    b: Members,
    key: str,
    selection: Selection,
    *,
    n_resamples: int = N_RESAMPLES,
    progress: Progress | None = None,
) -> Judgement:
    """Test two sets of images that have DNAs of a comparability key; see `judge_pair`."""
    if a.digests == b.digests:
        return Judgement(None, None, same=True, a=a.label, b=b.label, n_shared=len(a.items))
    n_shared = sum((a.digests & b.digests).values())
    sides = _sides(project, a, b, key) if n_shared else (_whole(project, a, key), _whole(project, b, key))
    if isinstance(sides, str):
        return Judgement(None, sides, a=a.label, b=b.label, n_shared=n_shared)
    first, second = sides
    units = {first.members.unit, second.members.unit}
    facts: dict[str, Any] = {
        "a": first.members.label,
        "b": second.members.label,
        "n_images_a": len(first.members.items),
        "n_images_b": len(second.members.items),
        "n_shared": n_shared,
        "unit": units.pop() if len(units) == 1 else "group, or image without one",
        "doubts": tuple(doubts(first.members, second.members)),
    }
    in_blocks = {side.dna_id: side.counts.blocks(0).n_images for side in sides}
    if why := why_untestable(in_blocks[first.dna_id], in_blocks[second.dna_id]):
        return Judgement(None, why, **facts)
    # Whoever asks in whatever order gets the same answer.
    one, other = sorted(sides, key=lambda side: side.dna_id)
    question = Question(
        one.dna_id, other.dna_id, one.members.label, other.members.label,
        len(one.members.items), len(other.members.items),
        weights_id(selection.layers, selection.weights), METHOD, n_resamples, facts["unit"],
    )  # fmt: skip
    if kept := project.lake.verdicts.get(question, selection.layers):
        return Judgement(kept, None, **facts)
    places = {name: place for place, name in enumerate(selection.layers.names)}
    n_neurons = int((selection.weights > 0).sum())
    with (progress or Silent()).task("dealing blocks anew", n_neurons) as advance:
        verdict = significance(
            selection,
            lambda name: (one.counts.blocks(places[name]).counts, other.counts.blocks(places[name]).counts),
            in_blocks[one.dna_id],
            in_blocks[other.dna_id],
            n_resamples=n_resamples,
            seed=int(stable_hash(["significance", METHOD, one.dna_id, other.dna_id]), 16),
            n_bins=N_BINS,
            on_neurons=advance,
        )
    project.lake.verdicts.put(question, verdict, selection.layers)
    return Judgement(verdict, None, **facts)


class _Side(NamedTuple):
    """What is dealt of one side: its images, the id their DNA has or would have, and its counts."""

    members: Members
    dna_id: str
    counts: Counts


def _no_blocks(left: Comparable, right: Comparable) -> str | None:
    files = [side.label for side in (left, right) if not isinstance(side, Dna)]
    return f"{files[0]} is a file of another program, which has no blocks to deal" if files else None


def _whole(project: Project, members: Members, key: str) -> _Side:
    identity = dna_id(key, members.id)
    return _Side(members, identity, counts_of(project, identity))


def _sides(project: Project, a: Members, b: Members, key: str) -> tuple[_Side, _Side] | str:
    """What can be tested of two sides that share images; or why nothing can."""
    older, newer = (b, a) if a.commit.dataset == b.commit.dataset and a.commit.seq > b.commit.seq else (a, b)
    if not (rest := newer.without(older)).items:
        older, newer = newer, older
        rest = newer.without(older)
    counts = counts_of_rest(project, rest, newer, older, key)
    if isinstance(counts, str):
        return counts
    return _Side(rest, dna_id(key, rest.id), counts), _whole(project, older, key)
