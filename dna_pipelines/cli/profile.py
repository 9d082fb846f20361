"""The command that measures how fast this machine extracts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dna_pipelines.cli.app import NETWORKS, app, project_of, require_datasets
from dna_pipelines.cli.options import ExtractorName, Json, dataset_names
from dna_pipelines.cli.progress import run_with_progress
from dna_pipelines.cli.terminal import note, say, show_json, show_table
from dna_pipelines.project.progress import counted

if TYPE_CHECKING:
    from dna_pipelines.maintenance.profile import Profile


@app.command(rich_help_panel=NETWORKS)
def profile(
    context: typer.Context,
    dataset: Annotated[
        str | None,
        typer.Argument(
            help="The dataset whose images are used; by default the first.",
            show_default=False,
            autocompletion=dataset_names,
        ),
    ] = None,
    extractor: ExtractorName = None,
    images: Annotated[int, typer.Option(min=1, help="Number of images.", metavar="N")] = 256,
    json: Json = False,
) -> None:
    """Measure how fast this machine extracts, stage by stage, and what limits it. Nothing is stored."""
    # Torch takes seconds to import.
    from dna_pipelines.maintenance.profile import profile as measure

    project = project_of(context)
    folder = project.folder
    config = folder.config()
    require_datasets(project)
    chosen = folder.file.dataset(dataset) if dataset else config.datasets[0]
    network = folder.extractor_config(folder.extractor_name(extractor))
    measured = run_with_progress(measure, folder, chosen, network, images)
    if json:
        show_json(measured.to_json())
    else:
        _show(measured)


def _show(measured: Profile) -> None:
    together = measured.together
    where = f"{counted(together.n_workers, 'worker')}, {counted(together.n_readers, 'reader')}"
    where += f", {counted(together.n_devices, 'GPU')}" if together.n_devices else ""
    say(f"together ({where}): {together}")
    size = f"{measured.width_px:,.0f} x {measured.height_px:,.0f} px on average"
    images = f"{counted(measured.n_images, 'image')} of {measured.dataset}, {size}"
    say(f"{measured.extractor} on {measured.device}, {images}")
    if measured.n_unreadable:
        note(f"left out as unreadable: {counted(measured.n_unreadable, 'image')}", style="yellow")
    rows = [(speed.stage, speed.images_per_s, speed.ms_per_image, speed.remark) for speed in measured.alone]
    columns = ("stage", "images/s", "ms/image", "remark")
    show_table("each stage alone, on one thread", columns, rows, columns[1:3], words=("remark",))
    ideal = f"{measured.ideal_images_per_s:.4g}/s if the busiest stage never paused"
    say(f"that is {measured.efficiency:.0%} of {ideal}")
    for line in measured.advice:
        say(f"- {line}")
    note("nothing was stored")
