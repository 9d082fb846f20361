"""The command that compares two datasets: how far apart they are, whether that is chance, and where it is."""

from __future__ import annotations

from math import isnan
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from dna_pipelines.cli.app import COMPARE, app, project_of
from dna_pipelines.cli.explanations import EXPLANATIONS, Compared, known
from dna_pipelines.cli.interruption import interruptible
from dna_pipelines.cli.look import ExtractorName, Json, Metric, Picture, SelectionName
from dna_pipelines.cli.terminal import TerminalProgress, note, out, save, show_json, show_table
from dna_pipelines.errors import UserError
from dna_pipelines.project.project import ProjectFolder


@app.command(rich_help_panel=COMPARE)
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
    selection: SelectionName = None,
    metric: Annotated[
        Metric | None, typer.Option(help="Another distance as well; `dna metrics` says what each sees.")
    ] = None,
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
    compared = _compared(project, a, b, {**chosen, "selection": selection}, resamples if test else None)
    if metric:
        from dna_pipelines.comparison import summary_in

        left, right = compared.comparison.a, compared.comparison.b
        compared.summary["metric"] = summary_in(left, right, str(metric), compared.selection)
    if picture:
        if compared.comparison.n_bins is None:
            raise UserError("the picture shows EMD, which takes histograms on both sides")
        from dna_pipelines.reporting.pictures import profile_picture

        save(picture, profile_picture(a, b, compared.summary["layers"]))
    shows = [explanation(compared) for explanation in EXPLANATIONS] if explain else []
    if json:
        show_json(compared.summary)
        return
    _show(compared)
    for show in shows:
        show()


def _compared(project: ProjectFolder, a: str, b: str, chosen: dict[str, Any], n_resamples: int | None) -> Compared:
    """Compare and test, and say what there is to note of either."""
    from dna_pipelines.analysis.compare import compare_pair, significance_of

    pair = interruptible(lambda steps: compare_pair(project, a, b, **chosen, progress=steps), TerminalProgress(), note)
    for reference, n_images in pair.n_images_extracted.items():
        note(f"{reference}: {n_images:,} images extracted, its DNA is kept from now on")
    for reference, reason in pair.blocked.items():
        note(f"{reference} is held back, so the matrix leaves it out: {reason}", style="yellow")
    summary = pair.to_json()
    if n_resamples is None:
        return Compared(project, a, b, pair.comparison, pair.selection, None, summary)
    judgement = interruptible(
        lambda steps: significance_of(project, pair, n_resamples=n_resamples, progress=steps), TerminalProgress(), note
    )
    summary["significance"] = judgement.to_json()
    if judgement.n_images_extracted:
        note(f"{judgement.n_images_extracted:,} images extracted for a sample, whose DNA is kept from now on")
    for doubt in judgement.doubts:
        note(doubt, style="yellow")
    return Compared(project, a, b, pair.comparison, pair.selection, judgement, summary)


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
    out.print(f"  NFD  {known(summary['nfd'])}")
    if summary["fd"] is not None:
        out.print(f"  FD   {known(summary['fd'])} (layers with a covariance: {_layers_with_fd(summary)})")
    other = summary.get("metric")
    if other:
        out.print(f"  {other['metric']}  {known(other['value'])} ({other['unit']})", markup=False)
    if judgement:
        _show_chance(judgement)
    of_other = {row["layer"]: row["value"] for row in other["layers"]} if other else {}
    corrected = {row.layer: row.p for row in judgement.verdict.layers} if judgement and judgement.verdict else {}
    highest = max((row["emd_bins"] for row in summary["layers"] if not isnan(row["emd_bins"])), default=0.0) or 1.0
    rows = [
        (
            row["layer"], row["n_neurons"], known(row["emd_bins"]),
            *([known(corrected[row["layer"]], 3)] if corrected else []),
            known(row["nfd"]), *([known(of_other[row["layer"]])] if other else []),
            row["top_neuron"], row["top_neuron_emd_bins"],
            "█" * round(16 * row["emd_bins"] / highest) if not isnan(row["emd_bins"]) else "",
        )
        for row in summary["layers"]
        if row["n_neurons"]
    ]  # fmt: skip
    more = (["p"] if corrected else [], [other["metric"]] if other else [])
    numbers = ("neurons", "EMD (bins)", *more[0], "NFD", *more[1], "top neuron", "its EMD")
    show_table("layer by layer", ("layer", *numbers, ""), rows, numbers)
    if lacking := [row["layer"] for row in summary["layers"] if not row["n_neurons"]]:
        note(f"a side has nothing that can be compared of {', '.join(lacking)}")


def _show_chance(judgement: Any) -> None:
    """The verdict and how it comes about, and what was tested where that is not what was asked."""
    also, shared = judgement.also, f"{judgement.n_shared:,} images are on both sides"
    if not also:
        _show_verdict(judgement, [shared] if judgement.n_shared else [])
        return
    both = ", and p is corrected for both tests" if judgement.verdict and also.verdict else ""
    _say(f"{shared}, so what each has more was tested{both}")
    for part in (judgement, also):
        _show_verdict(part, [])


def _show_verdict(judgement: Any, reasons: list[str]) -> None:
    verdict = judgement.verdict
    if judgement.n_sampled_of:
        reasons = [*reasons, f"a block of {judgement.n_sampled_of:,} images has more than the smaller side"]
    if judgement.rest_of or reasons:
        tested = f"{judgement.a} ({judgement.n_images_a:,}) against {judgement.b} ({judgement.n_images_b:,})"
        because = f"{' and '.join(reasons)}, so this was tested: " if reasons else ""
        _say(f"{because}{tested}{f', EMD {verdict.emd_bins:.4g} bins' if verdict else ''}")
    if verdict is None:
        _say(judgement.in_words)
        return
    interval = f"({verdict.low_bins:.3g} to {verdict.high_bins:.3g})"
    changed = f"; {verdict.n_changed:,} of {verdict.n_tested:,} neurons changed" if verdict.n_tested else ""
    _say(f"{judgement.in_words}{changed}")
    _say(
        f"noise floor {verdict.noise_floor_bins:.3g} ± {verdict.noise_spread_bins:.2g} bins, debiased "
        f"{verdict.debiased_bins:.3g} {interval}; independent unit: {judgement.unit}"
    )


def _say(text: str) -> None:
    out.print(f"  {text}", markup=False, soft_wrap=True)


def _layers_with_fd(summary: dict[str, Any]) -> str:
    return ", ".join(row["layer"] for row in summary["layers"] if row["fd"] is not None)
