"""The command that compares two datasets: how far apart they are, whether that is chance, and where it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from dna_pipelines.cli.app import app, project_of
from dna_pipelines.cli.look import ExtractorName, Json, Picture, save_picture
from dna_pipelines.cli.terminal import TerminalProgress, note, out, show_json, show_table
from dna_pipelines.errors import UserError
from dna_pipelines.pipeline.interruption import interruptible
from dna_pipelines.pipeline.project import Project

_N_LEADING = 8


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

    project: Project
    a: str
    b: str
    comparison: Any
    selection: Any
    judgement: Any
    summary: dict[str, Any]


@app.command()
def compare(
    context: typer.Context,
    a: Annotated[
        str,
        typer.Argument(
            help="NAME, NAME@COMMIT, NAME@-1 (the one before), NAME@VERSION_ID, NAME[COLUMN=VALUE] or a VDNA .json."
        ),
    ],
    b: Annotated[str, typer.Argument(help="Likewise.")],
    extractor: ExtractorName = None,
    layer: Annotated[list[str] | None, typer.Option(help="Only this layer. Repeatable.")] = None,
    neuron: Annotated[list[str] | None, typer.Option(help="Only LAYER:3,17 or LAYER:0-9. Repeatable.")] = None,
    ranges: Annotated[
        Path | None,
        typer.Option(
            help="The activation ranges that a VDNA file was binned with, if it does not say.", show_default=False
        ),
    ] = None,
    test: Annotated[
        bool, typer.Option("--test/--no-test", help="Say whether the distance is more than chance.")
    ] = True,
    resamples: Annotated[int, typer.Option(help="How often the test deals the images' blocks anew.", min=99)] = 1000,
    explain: Annotated[bool, typer.Option("--explain", help="Say where the difference lies.")] = False,
    picture: Picture = None,
    json: Json = False,
) -> None:
    r"""Compare two datasets, versions or slices, neuron by neuron.

    A slice is the images whose metadata match: 'NAME\[weather=rain,camera!=front]'. It is extracted once.
    """
    if explain and not test:
        raise UserError("an explanation says which layers and neurons differ by more than chance: leave out --no-test")
    project = project_of(context)
    chosen: dict[str, Any] = {"extractor": extractor, "layers": layer or (), "neurons": neuron or (), "ranges": ranges}
    compared = _compared(project, a, b, chosen, resamples if test else None)
    if picture:
        if compared.comparison.n_bins is None:
            raise UserError("the picture shows EMD, which takes histograms on both sides")
        from dna_pipelines.reporting.pictures import profile_picture

        save_picture(picture, profile_picture(a, b, compared.summary["layers"]))
    shows = [explanation(compared) for explanation in EXPLANATIONS] if explain else []
    if json:
        show_json(compared.summary)
        return
    _show(compared)
    for show in shows:
        show()


def _compared(project: Project, a: str, b: str, chosen: dict[str, Any], n_resamples: int | None) -> Compared:
    """Compare and test, and say what there is to note of either."""
    from dna_pipelines.comparison import Selection
    from dna_pipelines.pipeline.compare import compare_pair
    from dna_pipelines.pipeline.significance import judge_pair

    comparison, summary = interruptible(
        lambda steps: compare_pair(project, a, b, **chosen, progress=steps), TerminalProgress(), note
    )
    for reference, n_images in summary["n_images_extracted"].items():
        note(f"{reference}: {n_images:,} images extracted, its DNA is kept from now on")
    for reference, reason in summary["held_back"].items():
        note(f"{reference} is held back, so the matrix leaves it out: {reason}", style="yellow")
    selection = Selection.of(comparison.a.layers, chosen["layers"], chosen["neurons"])
    if n_resamples is None:
        return Compared(project, a, b, comparison, selection, None, summary)
    judgement = interruptible(
        lambda steps: judge_pair(
            project, comparison.a, comparison.b, selection, n_resamples=n_resamples, progress=steps
        ),
        TerminalProgress(),
        note,
    )
    summary["significance"] = judgement.to_json()
    for doubt in judgement.doubts:
        note(doubt, style="yellow")
    return Compared(project, a, b, comparison, selection, judgement, summary)


def _show(compared: Compared) -> None:
    summary, judgement = compared.summary, compared.judgement
    out.print(
        f"[bold]{escape(f'{compared.a} against {compared.b}')}[/] "
        f"({summary['extractor']}, {summary['n_neurons']:,} neurons)"
    )
    if compared.comparison.n_bins is None:
        out.print("  EMD  – (histograms are not on both sides)")
    else:
        out.print(f"  EMD  {summary['emd_bins']:.4g} bins, {summary['emd_range']:.3%} of the activation range")
    out.print(f"  NFD  {_known(summary['nfd'])}")
    if summary["fd"] is not None:
        out.print(f"  FD   {_known(summary['fd'])} (layers with a covariance: {_layers_with_fd(summary)})")
    if judgement:
        _show_chance(judgement)
    corrected = {row.layer: row.p for row in judgement.verdict.layers} if judgement and judgement.verdict else {}
    highest = max((row["emd_bins"] for row in summary["layers"] if not isnan(row["emd_bins"])), default=0.0) or 1.0
    rows = [
        (
            row["layer"], row["n_neurons"], _known(row["emd_bins"]),
            *([_known(corrected[row["layer"]], 3)] if corrected else []),
            _known(row["nfd"]), row["top_neuron"], row["top_neuron_emd_bins"],
            "█" * round(16 * row["emd_bins"] / highest) if not isnan(row["emd_bins"]) else "",
        )
        for row in summary["layers"]
    ]  # fmt: skip
    numbers = ("neurons", "EMD (bins)", *(["p"] if corrected else []), "NFD", "top neuron", "its EMD")
    show_table("layer by layer", ("layer", *numbers, ""), rows, numbers)


def _show_chance(judgement: Any) -> None:
    """One line with the verdict, and what was tested where that is not what was asked."""
    verdict = judgement.verdict
    if verdict is None:
        out.print(f"  chance: {judgement.in_words}", markup=False, soft_wrap=True)
        return
    if judgement.n_shared:
        tested = f"{judgement.a} ({judgement.n_images_a:,}) against {judgement.b} ({judgement.n_images_b:,})"
        out.print(
            f"  {judgement.n_shared:,} images are on both sides, so this was tested: {tested}, "
            f"EMD {verdict.emd_bins:.4g} bins",
            markup=False,
            soft_wrap=True,
        )
    interval = f"({verdict.low_bins:.3g} to {verdict.high_bins:.3g})"
    out.print(
        f"  chance: noise floor {verdict.noise_floor_bins:.3g} ± {verdict.noise_spread_bins:.2g} bins, debiased "
        f"{verdict.debiased_bins:.3g} {interval}; {judgement.in_words}; {verdict.n_changed:,} of {verdict.n_tested:,} "
        f"neurons changed; independent unit: {judgement.unit}",
        markup=False,
        soft_wrap=True,
    )


def _known(value: float, digits: int = 4) -> str:
    return "–" if isnan(value) else f"{value:.{digits}g}"


def _layers_with_fd(summary: dict[str, Any]) -> str:
    return ", ".join(row["layer"] for row in summary["layers"] if row["fd"] is not None)


# Explanations


Explanation = Callable[[Compared], Callable[[], None]]
"""Adds what it finds to the summary, and returns what shows it to people."""


def _leading_layers(compared: Compared) -> Callable[[], None]:
    """The layers that stand out most from chance, corrected for all layers."""
    verdict = compared.judgement.verdict
    layers = sorted(verdict.layers, key=lambda row: (row.p, row.noise_floor_bins - row.emd_bins)) if verdict else []
    found = [
        {"layer": row.layer, "p": row.p, "debiased_bins": row.emd_bins - row.noise_floor_bins}
        for row in layers[:_N_LEADING]
    ]
    compared.summary.setdefault("explanations", {})["layers"] = found
    rows = [(row["layer"], _known(row["debiased_bins"]), _known(row["p"], 3)) for row in found]
    return lambda: _table("layers that lead (p is corrected for all layers)", ("layer", "debiased EMD", "p"), rows)


def _leading_neurons(compared: Compared) -> Callable[[], None]:
    """The neurons that changed most, corrected for all neurons."""
    import numpy as np

    verdict, layers = compared.judgement.verdict, compared.comparison.a.layers
    found = []
    if verdict:
        distances = np.nan_to_num(compared.comparison.emd_bins, nan=0.0)
        tested = np.flatnonzero(np.isfinite(verdict.neuron_p))
        order = tested[np.lexsort((-distances[tested], verdict.neuron_p[tested]))][:_N_LEADING]
        labels = layers.labels()
        found = [
            {
                "layer": labels[place],
                "neuron": int(place - layers.slice_of(labels[place]).start),
                "emd_bins": float(distances[place]),
                "p": float(verdict.neuron_p[place]),
            }
            for place in order
        ]
    compared.summary.setdefault("explanations", {})["neurons"] = found
    rows = [(row["layer"], row["neuron"], _known(row["emd_bins"]), _known(row["p"], 3)) for row in found]
    columns = ("layer", "neuron", "EMD (bins)", "p")
    return lambda: _table("neurons that lead (p is corrected for all neurons)", columns, rows)


def _table(title: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    if rows:
        show_table(title, columns, rows, columns[1:])


EXPLANATIONS: list[Explanation] = [_leading_layers, _leading_neurons]
"""What --explain says, in order. One more explanation is one more function here."""
