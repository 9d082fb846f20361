"""The command that measures how fast this machine extracts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dna_pipelines.cli.app import NETWORKS, app, project_of, require_datasets
from dna_pipelines.cli.interruption import interruptible
from dna_pipelines.cli.look import ExtractorName, Json
from dna_pipelines.cli.terminal import TerminalProgress, note, out, show_json, show_table
from dna_pipelines.project.progress import counted

if TYPE_CHECKING:
    from dna_pipelines.maintenance.profile import Profile


@app.command(rich_help_panel=NETWORKS)
def profile(
    context: typer.Context,
    dataset: Annotated[
        str | None, typer.Argument(help="Whose images to measure with; the first by default.", show_default=False)
    ] = None,
    extractor: ExtractorName = None,
    images: Annotated[int, typer.Option(min=1, help="How many images.")] = 256,
    json: Json = False,
) -> None:
    """Measure every stage of an extraction on this machine, alone and together, and say what limits."""
    # The pipeline imports torch, which takes seconds.
    from dna_pipelines.maintenance.profile import profile as measure

    project = project_of(context)
    config = project.config()
    require_datasets(project)
    chosen = project.file.dataset(dataset) if dataset else config.datasets[0]
    network = project.extractor_config(project.extractor_name(extractor))
    found = interruptible(lambda steps: measure(project, chosen, network, images, steps), TerminalProgress(), note)
    if json:
        show_json(found.to_json())
    else:
        _show(found)


def _show(found: Profile) -> None:
    size = f"{found.width_px:,.0f} x {found.height_px:,.0f} px on average"
    images = f"{counted(found.n_images, 'image')} of {found.dataset}, {size}"
    out.print(f"{found.extractor} on {found.device}, {images}", soft_wrap=True)
    if found.n_unreadable:
        note(f"left out, because it could not be read: {counted(found.n_unreadable, 'image')}", style="yellow")
    rows = [(speed.stage, speed.images_per_s, speed.ms_per_image, speed.remark) for speed in found.alone]
    show_table("alone, one thread", ("stage", "images/s", "ms/image", "remark"), rows, ("images/s", "ms/image"))
    together = found.together
    where = f"{counted(together.n_workers, 'worker')}, {counted(together.n_readers, 'reader')}"
    where += f", {counted(together.n_devices, 'GPU')}" if together.n_devices else ""
    out.print(f"together ({where}): {together}", soft_wrap=True, markup=False)
    ideal = f"{found.ideal_images_per_s:.4g}/s if what is busiest never paused"
    out.print(f"that is {found.efficiency:.0%} of {ideal}", soft_wrap=True, markup=False)
    for line in found.advice:
        out.print(f"- {line}", soft_wrap=True, markup=False)
    note("nothing was written")
