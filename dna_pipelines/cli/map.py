"""The command that arranges all datasets in a plane: map."""

from __future__ import annotations

from math import isnan
from typing import Annotated

import typer

from dna_pipelines.cli.app import COMPARE, app, project_of
from dna_pipelines.cli.options import ExtractorName, Json, Picture, SelectionName, metric_option
from dna_pipelines.cli.progress import run_with_progress
from dna_pipelines.cli.terminal import note, save_figure, say, show_json, show_table

_MISLEADING = 0.2


@app.command("map", rich_help_panel=COMPARE)
def map_(
    context: typer.Context,
    extractor: ExtractorName = None,
    metric: Annotated[str, metric_option("The distance; `dna metrics` explains each. Default: emd_bins.")] = "emd_bins",
    selection: SelectionName = None,
    clusters: Annotated[
        int | None,
        typer.Option(help="Number of clusters; by default the best separated.", metavar="N", show_default=False),
    ] = None,
    from_mean: Annotated[
        bool, typer.Option("--from-mean", help="Also the distance of each from the mean of all.")
    ] = False,
    picture: Picture = None,
    json: Json = False,
) -> None:
    """Arrange all datasets in a plane that preserves their distances, and group them into clusters."""
    result = run_with_progress(
        project_of(context).map,
        extractor=extractor,
        metric=metric,
        selection=selection,
        n_clusters=clusters,
        from_mean=from_mean,
    )
    if picture:
        save_figure(picture, result.figure())
    if json:
        show_json(result.to_json())
        return
    made = result.map
    if made.left_out:
        note(f"left out, because no {metric} is stored for them: {', '.join(made.left_out)}", style="yellow")
    means = made.from_mean_bins
    rows = [
        (dataset, int(cluster) + 1, float(x), float(y), *([means[dataset]] if means else []))
        for dataset, (x, y), cluster in zip(made.matrix.names, made.plane.positions, made.clusters, strict=True)
    ]
    rows.sort(key=lambda row: (row[1], row[0]))
    numbers = ("cluster", "x", "y", *(["from mean (bins)"] if means else []))
    show_table(made.matrix.title, ("dataset", *numbers), rows, numbers)
    silhouette = "" if isnan(made.silhouette) else f"; silhouette of the clusters {made.silhouette:.2f}"
    kept, stress = f"{made.plane.kept_share:.0%}", f"{made.plane.stress:.2f}"
    say(f"the plane preserves {kept} of the variance of the distances, stress {stress}{silhouette}")
    if made.plane.stress > _MISLEADING:
        note(
            "a stress above 0.2 means that the plane is misleading; `dna matrix` has the distances",
            style="yellow",
        )
