"""The command that compares two datasets: how far apart they are, whether that is significant, and where it is."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dna_pipelines.cli.app import COMPARE, app, project_of
from dna_pipelines.cli.explanations import number, show_explanation
from dna_pipelines.cli.options import (
    REFERENCE,
    ExtractorName,
    Json,
    Picture,
    SelectionName,
    dataset_names,
    metric_option,
)
from dna_pipelines.cli.progress import run_with_progress
from dna_pipelines.cli.terminal import note, save_figure, say, show_json, show_table
from dna_pipelines.errors import UserError
from dna_pipelines.project.progress import counted

if TYPE_CHECKING:
    from dna_pipelines.api.results.comparison import Comparison
    from dna_pipelines.api.results.significance import TestResult


@app.command(rich_help_panel=COMPARE)
def compare(
    context: typer.Context,
    a: Annotated[
        str,
        typer.Argument(help=f"{REFERENCE} Or a VDNA file (.json).", autocompletion=dataset_names),
    ],
    b: Annotated[str, typer.Argument(help="The other side, written likewise.", autocompletion=dataset_names)],
    extractor: ExtractorName = None,
    layer: Annotated[
        list[str] | None, typer.Option(help="Only this layer. Repeatable.", metavar="LAYER", show_default=False)
    ] = None,
    neuron: Annotated[
        list[str] | None,
        typer.Option(help="Only LAYER:3,17 or LAYER:0-9. Repeatable.", metavar="NEURONS", show_default=False),
    ] = None,
    selection: SelectionName = None,
    metric: Annotated[str | None, metric_option("Another distance as well; `dna metrics` lists them.")] = None,
    ranges: Annotated[
        Path | None,
        typer.Option(
            help="The activation ranges that a VDNA file was binned with, if it does not say.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    test: Annotated[bool, typer.Option("--test/--no-test", help="Test whether the distance is significant.")] = True,
    permutations: Annotated[int, typer.Option(help="Number of permutations of the test.", metavar="N", min=99)] = 1000,
    resamples: Annotated[int | None, typer.Option(hidden=True, min=99)] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Name the layers, neurons and images that contribute most.")
    ] = False,
    picture: Picture = None,
    json: Json = False,
) -> None:
    r"""Compare two datasets, versions or slices, neuron by neuron.

    A slice is the images whose metadata match: 'NAME\[weather=rain,camera!=front]'. Its images are extracted once.
    """
    if explain and not test:
        raise UserError(
            "--explain needs the significance test; leave out --no-test",
            code="cli.options-conflict",
            options=["--explain", "--no-test"],
        )
    comparison = run_with_progress(
        project_of(context).compare, a, b, extractor=extractor, layers=layer or (), neurons=neuron or (),
        selection=selection, metric=metric, ranges=ranges,
    )  # fmt: skip
    tested = run_with_progress(comparison.test, resamples or permutations) if test else None
    _note(comparison, tested)
    if picture:
        save_figure(picture, comparison.figure())
    explanation = run_with_progress(comparison.explain, tested) if explain else None
    if json:
        facts = comparison.to_json()
        facts |= {"significance": tested.to_json()} if tested is not None else {}
        show_json(facts | ({"explanations": explanation.to_json()} if explanation is not None else {}))
        return
    _show(comparison, tested.result if tested is not None else None)
    if explanation is not None:
        show_explanation(explanation)


def _note(comparison: Comparison, tested: TestResult | None) -> None:
    """Note what was extracted, what a check blocks, and which assumptions are violated."""
    for reference, n_images in comparison.n_images_extracted.items():
        note(f"{reference}: {counted(n_images, 'image')} extracted; its DNA is stored")
    for reference, reason in comparison.blocked.items():
        note(f"{reference} is blocked by a check and not in the matrix: {reason}", style="yellow")
    if not_stored := comparison.pair.not_stored or (tested.result.not_stored if tested else ""):
        note(f"the result is shown, but not stored: {not_stored}", style="yellow")
    if tested is None:
        return
    if tested.result.n_images_extracted:
        note(f"{counted(tested.result.n_images_extracted, 'image')} extracted for a sample; its DNA is stored")
    for caveat in tested.caveats:
        note(f"assumptions violated: {caveat}", style="yellow")


def _show(comparison: Comparison, result: Any) -> None:
    summary, has_emd = comparison.facts, comparison.comparison.n_bins is not None
    answer = result.summary if result else f"EMD {summary['emd_bins']:.4g} bins" if has_emd else "no EMD"
    say((f"{comparison.a} against {comparison.b}", "bold"), f": {answer}")
    if result:
        _show_test(result)
    if has_emd:
        say(f"EMD  {summary['emd_bins']:.4g} bins ({summary['emd_range']:.3%} of the activation range)", indent=2)
    else:
        say("EMD  – (histograms are not on both sides)", indent=2)
    say(f"NFD  {number(summary['nfd'])}", indent=2)
    if summary["fd"] is not None:
        layers = ", ".join(row["layer"] for row in summary["layers"] if row["fd"] is not None)
        say(f"FD   {number(summary['fd'])} (layers with a covariance: {layers})", indent=2)
    if other := summary.get("metric"):
        say(f"{other['metric']}  {number(other['value'])} ({other['unit']})", indent=2)
    say(f"extractor {summary['extractor']}, {summary['n_neurons']:,} neurons", indent=2)
    _show_layers(summary, result)


def _show_test(result: Any) -> None:
    """What was tested, and the figures of the test."""
    also = result.also
    if result.n_shared and not result.same:
        both = ", p corrected for both tests" if also and result.statistics and also.statistics else ""
        say(f"{counted(result.n_shared, 'shared image')} excluded; tested{both}:", indent=2)
    for part in (result, *([also] if also else [])):
        if part.n_shared or part.remainder_of or part.n_sampled_of:
            _show_sides(part, with_answer=part is not result)
        if part.statistics:
            _show_figures(part)


def _show_sides(part: Any, *, with_answer: bool) -> None:
    sides = f"{part.a} ({part.n_images_a:,}) against {part.b} ({part.n_images_b:,})"
    emd = f", EMD {part.statistics.emd_bins:.4g} bins" if part.statistics else ""
    sample = f"; a sample of {part.n_sampled_of:,} images, because the other side is smaller than one of its blocks"
    answer = f": {part.summary}" if with_answer else ""
    say(f"{sides}{emd}{sample if part.n_sampled_of else ''}{answer}", indent=2)


def _show_figures(part: Any) -> None:
    figures = part.statistics
    say(
        f"bias-corrected EMD {figures.bias_corrected_bins:.3g} bins "
        f"(95 % CI {figures.ci_low_bins:.3g} to {figures.ci_high_bins:.3g}); "
        f"null mean and SD {figures.null_mean_bins:.3g} and {figures.null_sd_bins:.2g}",
        indent=2,
    )
    if figures.by_strongest_neuron:
        say("the strongest neuron is significant, the mean distance is not", indent=2)
    changed = f"{figures.n_changed:,} of {figures.n_tested:,} neurons changed; " if figures.n_tested else ""
    say(f"{changed}sampling unit: {part.sampling_unit}", indent=2)


def _show_layers(summary: Mapping[str, Any], result: Any) -> None:
    other = summary.get("metric")
    of_other = {row["layer"]: row["value"] for row in other["layers"]} if other else {}
    corrected = {row.layer: row.p for row in result.statistics.layers} if result and result.statistics else {}
    highest = max((row["emd_bins"] for row in summary["layers"] if not isnan(row["emd_bins"])), default=0.0) or 1.0
    rows = [
        (
            row["layer"], row["n_neurons"], number(row["emd_bins"]),
            *([number(corrected[row["layer"]], 3)] if corrected else []),
            number(row["nfd"]), *([number(of_other[row["layer"]])] if other else []),
            row["top_neuron"], row["top_neuron_emd_bins"],
            "█" * round(16 * row["emd_bins"] / highest) if not isnan(row["emd_bins"]) else "",
        )
        for row in summary["layers"]
        if row["n_neurons"]
    ]  # fmt: skip
    more = (["p"] if corrected else [], [other["metric"]] if other else [])
    numbers = ("neurons", "EMD (bins)", *more[0], "NFD", *more[1], "top neuron", "its EMD")
    optional = ("top neuron", "its EMD", "neurons", "")
    show_table("by layer", ("layer", *numbers, ""), rows, numbers, optional=optional)
    if missing := [row["layer"] for row in summary["layers"] if not row["n_neurons"]]:
        note(f"not compared, because one side has no values: {', '.join(missing)}")
