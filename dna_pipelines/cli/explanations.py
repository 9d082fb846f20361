"""What `dna compare --explain` says: in words, which layers, which neurons, which images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isnan
from typing import Any

from dna_pipelines.cli.terminal import note, out, show_table
from dna_pipelines.errors import Incomparable, NothingToCompare
from dna_pipelines.project.project import ProjectFolder

_N_LEADING, _N_IMAGES = 8, 5


@dataclass(frozen=True, eq=False)
class Compared:
    """A comparison, for those who explain it.

    Attributes:
        project: where it is.
        a, b: as they were named.
        comparison: a `comparison.Comparison`.
        selection: the neurons that count, a `comparison.Selection`.
        judgement: whether it is chance, a `pipeline.significance.Judgement`; None where nobody asked.
        summary: what JSON shows, which explanations may add to.
    """

    project: ProjectFolder
    a: str
    b: str
    comparison: Any
    selection: Any
    judgement: Any
    summary: dict[str, Any]

    @property
    def more_than_chance(self) -> bool:
        """Whether it was tested, and is more than chance."""
        verdict = self.judgement.verdict
        return verdict is not None and bool(verdict.more_than_chance)

    @property
    def names(self) -> dict[str, tuple[str, ...]]:
        """What its neurons are called, by layer; empty where they have no names."""
        names: dict[str, tuple[str, ...]] = self.project.lake.fingerprints.names(self.comparison.a.key.id)
        return names


def known(value: float, digits: int = 4) -> str:
    """A number for people; a dash where there is none."""
    return "–" if isnan(value) else f"{value:.{digits}g}"


Explanation = Callable[[Compared], Callable[[], None]]
"""Adds what it finds to the summary, and returns what shows it to people."""


def _words(compared: Compared) -> Callable[[], None]:
    """What changed, in words, where the neurons have names; chance is not put into words."""
    from dna_pipelines.reporting.words import explain

    found = explain(compared.comparison, compared.names) if compared.more_than_chance else []
    compared.summary.setdefault("explanations", {})["words"] = found

    def show() -> None:
        for line in found:
            out.print(f"  {line}", markup=False, soft_wrap=True)

    return show


def _leading_layers(compared: Compared) -> Callable[[], None]:
    """The layers that stand out most from chance, corrected for all layers."""
    verdict = compared.judgement.verdict
    layers = sorted(verdict.layers, key=lambda row: (row.p, row.noise_floor_bins - row.emd_bins)) if verdict else []
    found = [
        {"layer": row.layer, "p": row.p, "debiased_bins": row.emd_bins - row.noise_floor_bins}
        for row in layers[:_N_LEADING]
    ]
    compared.summary.setdefault("explanations", {})["layers"] = found
    rows = [(row["layer"], known(row["debiased_bins"]), known(row["p"], 3)) for row in found]
    return lambda: _table("layers that lead (p is corrected for all layers)", ("layer", "debiased EMD", "p"), rows)


def _leading_neurons(compared: Compared) -> Callable[[], None]:
    """The neurons that changed most, corrected for all neurons."""
    import numpy as np

    verdict, layers = compared.judgement.verdict, compared.comparison.a.layers
    found, names = [], compared.names
    if verdict:
        distances = np.nan_to_num(compared.comparison.emd_bins, nan=0.0)
        tested = np.flatnonzero(np.isfinite(verdict.neuron_p))
        order = tested[np.lexsort((-distances[tested], verdict.neuron_p[tested]))][:_N_LEADING]
        labels = layers.labels()
        for place in order.tolist():
            layer = labels[place]
            neuron = place - layers.slice_of(layer).start
            name = names[layer][neuron] if layer in names else ""
            facts = {"emd_bins": float(distances[place]), "p": float(verdict.neuron_p[place])}
            found.append({"layer": layer, "neuron": neuron, "name": name, **facts})
    compared.summary.setdefault("explanations", {})["neurons"] = found
    rows = [
        (row["layer"], *([row["name"]] if names else []), row["neuron"], known(row["emd_bins"]), known(row["p"], 3))
        for row in found
    ]
    columns = ("layer", *(["called"] if names else []), "neuron", "EMD (bins)", "p")
    return lambda: _table("neurons that lead (p is corrected for all neurons)", columns, rows)


def _images(compared: Compared) -> Callable[[], None]:
    """The images that carry the difference, by what is kept of each; `dna images` looks closer."""
    from dna_pipelines.analysis.images.attribution import attribute
    from dna_pipelines.cli.images import show_attribution

    explanations = compared.summary.setdefault("explanations", {})
    explanations["images"] = None
    if not compared.more_than_chance:
        why = "was not tested" if compared.judgement.verdict is None else "is no more than chance"
        command = f"`dna images '{compared.a}' '{compared.b}'`"
        return lambda: note(
            f"no images are named, because the difference {why}; {command} shows the oddest all the same"
        )
    # Of what came and what went, the images of the one that stands out.
    of, against = compared.a, compared.b
    if compared.judgement.rest_of == against:
        of, against = against, of
    try:
        found = attribute(
            compared.project, of, against, extractor=compared.summary["extractor"], top=_N_IMAGES, in_detail=0
        )
    except (NothingToCompare, Incomparable) as error:
        reason = str(error)
        return lambda: note(f"the images behind it cannot be named: {reason}")
    explanations["images"] = found.to_json()

    def show() -> None:
        show_attribution(found)
        note(f"`dna images '{of}' '{against}' --picture sheet.png` shows them, and looks closer")

    return show


def _table(title: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    if rows:
        show_table(title, columns, rows, [name for name in columns if name not in ("layer", "called")])


EXPLANATIONS: list[Explanation] = [_words, _leading_layers, _leading_neurons, _images]
"""What --explain says, in order. One more explanation is one more function here."""
