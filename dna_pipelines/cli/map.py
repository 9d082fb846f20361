"""The command that shows all datasets at once: map."""

from __future__ import annotations

from math import isnan
from typing import Annotated

import typer

from dna_pipelines.analysis.matrix import find_matrix
from dna_pipelines.cli.app import COMPARE, app, project_of
from dna_pipelines.cli.interruption import interruptible
from dna_pipelines.cli.look import ExtractorName, Json, Metric, Picture, SelectionName
from dna_pipelines.cli.terminal import TerminalProgress, note, out, save, show_json, show_table
from dna_pipelines.project.progress import Progress

_MISLEADS = 0.2


@app.command("map", rich_help_panel=COMPARE)
def map_(
    context: typer.Context,
    extractor: ExtractorName = None,
    metric: Annotated[Metric, typer.Option(help="Which distances.")] = Metric.emd_bins,  # type: ignore[attr-defined]
    selection: SelectionName = None,
    clusters: Annotated[
        int | None, typer.Option(help="How many; by default what separates best.", show_default=False)
    ] = None,
    from_mean: Annotated[bool, typer.Option("--from-mean", help="Also how far each is from the mean of all.")] = False,
    picture: Picture = None,
    json: Json = False,
) -> None:
    """Show all datasets in a plane that keeps their distances as well as it can, and which lie together."""
    from dna_pipelines.analysis.map import Map, make_map
    from dna_pipelines.analysis.matrix import steered_matrix
    from dna_pipelines.analysis.neuron_weights import extractor_selection

    project = project_of(context)
    name = project.extractor_name(extractor)

    chosen = extractor_selection(project, selection, name) if selection else None

    def made(steps: Progress) -> Map:
        asked = str(metric)
        matrix = (
            steered_matrix(project, name, asked, selection, steps) if selection else find_matrix(project, name, asked)
        )
        return make_map(project, matrix, n_clusters=clusters, from_mean=from_mean, selection=chosen, progress=steps)

    found = interruptible(made, TerminalProgress(), note)
    if picture:
        from dna_pipelines.reporting.map import map_picture

        save(picture, map_picture(found.matrix, found.plane, found.clusters, found.joins))
    if json:
        show_json(found.to_json())
        return
    if found.left_out:
        note(f"left out, because they have no {metric} from any other: {', '.join(found.left_out)}", style="yellow")
    means = found.from_mean_bins
    rows = sorted(
        (int(cluster) + 1, dataset, float(x), float(y), *([means[dataset]] if means else []))
        for dataset, (x, y), cluster in zip(found.matrix.names, found.plane.positions, found.clusters, strict=True)
    )
    numbers = ("cluster", "x", "y", *(["from the mean (bins)"] if means else []))
    show_table(found.matrix.title, ("cluster", "dataset", *numbers[1:]), rows, numbers)
    apart = "" if isnan(found.silhouette) else f"; silhouette of the clusters {found.silhouette:.2f}"
    kept, stress = f"{found.plane.kept_share:.0%}", f"{found.plane.stress:.2f}"
    out.print(f"the plane keeps {kept} of the distances' spread, stress {stress}{apart}", soft_wrap=True)
    if found.plane.stress > _MISLEADS:
        note(
            "a stress above 0.2 means that the plane misleads; `dna matrix` has the real distances",
            style="yellow",
        )
