"""The command about one dataset: inspect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dna_pipelines.cli.app import COMPARE, app, project_of
from dna_pipelines.cli.options import REFERENCE, ExtractorName, Json, dataset_names
from dna_pipelines.cli.progress import run_with_progress
from dna_pipelines.cli.terminal import note, say, show_json, show_table
from dna_pipelines.project.progress import counted

if TYPE_CHECKING:
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
        typer.Argument(metavar="NAME", help=REFERENCE, autocompletion=dataset_names),
    ],
    then: Annotated[
        str | None,
        typer.Argument(
            metavar="THEN",
            help="A second one: show which neurons changed from NAME to it.",
            show_default=False,
            autocompletion=dataset_names,
        ),
    ] = None,
    extractor: ExtractorName = None,
    json: Json = False,
) -> None:
    """Show the neurons of one dataset: dead, silent and saturated ones, sparsity and rank of every layer.

    Example: dna inspect cameras@-1 cameras
    """
    result = run_with_progress(project_of(context).inspect, name, then, extractor=extractor)
    if json:
        show_json(result.to_json())
        return
    changed = result.changed
    if changed is None:
        _show(result.inspected)
        return
    _show(changed.before)
    _show(changed.after)
    say((f"from {name} to {then}", "bold"))
    for what, neurons in changed.changes.items():
        say(f"{what}: {_listed(neurons)}", indent=2)


def _show(inspected: Inspected) -> None:
    size = f"{inspected.extractor}, {counted(inspected.n_images, 'image')}"
    rows = [
        (
            layer.layer if layer.kind == "neuron" else f"{layer.layer} ({layer.kind})",
            layer.n_neurons, layer.n_dead, layer.n_silent, layer.n_saturated, _share(layer.zero_share),
            _share(layer.clipped_share), layer.kurtosis, layer.effective_rank, layer.participation_ratio, layer.spread,
        )
        for layer in inspected.layers
    ]  # fmt: skip
    show_table(f"{inspected.reference} ({size})", ("layer", *_NUMBERS), rows, _NUMBERS, optional=_NUMBERS[4:])
    for state, neurons in inspected.neurons.items():
        if neurons:
            say(f"{state}: {_listed(neurons)}", indent=2)
    for layer in inspected.layers:
        if layer.n_images is not None and layer.n_images <= layer.n_neurons:
            sizes = f"{counted(layer.n_images, 'image')} for {counted(layer.n_neurons, 'neuron')}"
            most = layer.n_images - 1
            note(
                f"{layer.layer}: {sizes}, so the rank is at most {most}; compare ranks at equal numbers of images only",
                style="yellow",
            )


def _share(value: float | None) -> str | None:
    return None if value is None else f"{value:.2%}"


def _listed(neurons: list[str]) -> str:
    return "  ".join(neurons) or "none"
