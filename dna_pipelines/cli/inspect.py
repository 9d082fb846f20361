"""The command about one dataset: inspect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from dna_pipelines.cli.app import COMPARE, app, project_of
from dna_pipelines.cli.interruption import interruptible
from dna_pipelines.cli.look import ExtractorName, Json
from dna_pipelines.cli.terminal import TerminalProgress, note, out, show_json, show_table
from dna_pipelines.project.progress import counted

if TYPE_CHECKING:  # the kernels of comparison take half a second to import
    from dna_pipelines.analysis.inspect import Inspected

_NUMBERS = (
    "neurons", "dead", "silent", "saturated", "zeros", "clipped", "kurtosis", "effective rank", "participation",
    "spread",
)  # fmt: skip


@app.command(rich_help_panel=COMPARE)
def inspect(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="NAME, NAME@COMMIT, NAME@-1, NAME@VERSION_ID or NAME[COLUMN=VALUE]."),
    ],
    then: Annotated[
        str | None,
        typer.Argument(metavar="THEN", help="Likewise: which neurons changed from NAME to it.", show_default=False),
    ] = None,
    extractor: ExtractorName = None,
    json: Json = False,
) -> None:
    """Show what a fingerprint says about one dataset: idle neurons, sparsity, richness of every layer.

    For example: dna inspect cameras@-1 cameras
    """
    from dna_pipelines.analysis.inspect import inspect as look_at
    from dna_pipelines.analysis.inspect import inspect_change

    project = project_of(context)
    if then is None:
        found = interruptible(
            lambda steps: look_at(project, name, extractor=extractor, progress=steps), TerminalProgress(), note
        )
        show_json(found.to_json()) if json else _show(found)
        return
    changed = interruptible(
        lambda steps: inspect_change(project, name, then, extractor=extractor, progress=steps), TerminalProgress(), note
    )
    if json:
        show_json(changed.to_json())
        return
    _show(changed.before)
    _show(changed.after)
    out.print(f"[bold]{escape(f'from {name} to {then}')}[/]")
    for what, neurons in changed.changes.items():
        out.print(f"  {what}: {_listed(neurons)}", markup=False, soft_wrap=True)


def _show(found: Inspected) -> None:
    size = f"{found.extractor}, {counted(found.n_images, 'image')}"
    rows = [
        (
            layer.layer if layer.kind == "neuron" else f"{layer.layer} ({layer.kind})",
            layer.n_neurons, layer.n_dead, layer.n_silent, layer.n_saturated, _share(layer.zero_share),
            _share(layer.clipped_share), layer.kurtosis, layer.effective_rank, layer.participation_ratio, layer.spread,
        )
        for layer in found.layers
    ]  # fmt: skip
    show_table(f"{found.reference} ({size})", ("layer", *_NUMBERS), rows, _NUMBERS)
    for state, neurons in found.neurons.items():
        if neurons:
            out.print(f"  {state}: {_listed(neurons)}", markup=False, soft_wrap=True)
    for layer in found.layers:
        if layer.n_images is not None and layer.n_images <= layer.n_neurons:
            sizes = f"{counted(layer.n_images, 'image')} for {counted(layer.n_neurons, 'neuron')}"
            most = layer.n_images - 1
            note(
                f"{layer.layer}: {sizes}, so the rank is at most {most}: compare it at equal numbers of images only",
                style="yellow",
            )


def _share(value: float | None) -> str | None:
    return None if value is None else f"{value:.2%}"


def _listed(neurons: list[str]) -> str:
    return "  ".join(neurons) or "none"
