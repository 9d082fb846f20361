"""The command that shows the distances between all datasets: matrix."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import Annotated, Any

import typer

from dna_pipelines.cli.app import COMPARE, app, project_of
from dna_pipelines.cli.options import ExtractorName, Json, Picture, SelectionName, metric_option
from dna_pipelines.cli.progress import run_with_progress
from dna_pipelines.cli.terminal import note, save_figure, show_json, show_matrix
from dna_pipelines.project.progress import counted


@app.command(rich_help_panel=COMPARE)
def matrix(
    context: typer.Context,
    extractor: ExtractorName = None,
    metric: Annotated[str, metric_option("The distance; `dna metrics` explains each. Default: emd_bins.")] = "emd_bins",
    selection: SelectionName = None,
    significance: Annotated[
        bool, typer.Option("--significance", help="Test every pair, and mark those that do not differ significantly.")
    ] = False,
    picture: Picture = None,
    json: Json = False,
) -> None:
    """Show the distances between all datasets."""
    project = project_of(context)
    result = run_with_progress(
        project.matrix, extractor=extractor, metric=metric, selection=selection, test=significance
    )
    distances, marks = result.matrix, result.marks()
    if result.pairs is not None:
        _note_tests(result.pairs)
    if picture:
        save_figure(picture, result.figure())
    if json:
        show_json(result.to_json())
        return
    cells = [
        [
            "·" if a == b else marks.get((a, b), "") + ("?" if isnan(value) else f"{value:.3g}")
            for b, value in zip(distances.names, values, strict=True)
        ]
        for a, values in zip(distances.names, distances.values, strict=True)
    ]
    show_matrix(distances.title, distances.names, cells)
    if result.missing:
        note(f"not in the matrix: {', '.join(result.missing)} (`dna status` shows why)", style="yellow")


def _note_tests(tested: Sequence[Any]) -> None:
    """Note how many pairs differ, and what the marks mean."""
    if n_extracted := sum(one.result.n_images_extracted for one in tested):
        note(f"{counted(n_extracted, 'image')} extracted for samples of much larger datasets; their DNAs are stored")
    if not_stored := next((one.result.not_stored for one in tested if one.result.not_stored), ""):
        note(f"results are shown, but not stored: {not_stored}", style="yellow")
    n_significant = sum(one.significant is True for one in tested)
    note(
        f"{n_significant:,} of {counted(len(tested), 'pair')} differ significantly; those that do not are marked ≈ (p "
        "corrected for all pairs by Benjamini-Yekutieli, at the 5 % level)"
    )
    if unknown := [one for one in tested if one.significant is None]:
        first = unknown[0]
        note(
            f"{counted(len(unknown), 'pair')} not tested (marked ?), for example {first.a} and {first.b}: "
            f"{first.result.not_tested or first.result.summary}",
            style="yellow",
        )
    if caveats := [one for one in tested if one.result.caveats]:
        first = caveats[0]
        note(
            f"{counted(len(caveats), 'pair')} with assumptions violated (marked ! where significant), for example "
            f"{first.a} and {first.b}: {'; '.join(map(str, first.result.caveats))}",
            style="yellow",
        )
