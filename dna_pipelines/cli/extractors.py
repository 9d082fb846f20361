"""The command about networks: extractors."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from dna_pipelines.cli.app import NETWORKS, app, project_of
from dna_pipelines.cli.options import Json, extractor_names
from dna_pipelines.cli.terminal import say, show_json, show_table
from dna_pipelines.project.progress import counted

if TYPE_CHECKING:
    from dna_pipelines.api.results.extractors import ExtractorsResult
    from dna_pipelines.update.networks import Detail, Listed


@app.command(rich_help_panel=NETWORKS)
def extractors(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            help="Load this one and show its layers: a name of the list, or any value of `network:`.",
            show_default=False,
            autocompletion=extractor_names,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """List the networks that can fingerprint images, or show one in detail."""
    project = project_of(context)
    if name is not None:
        one = project.extractor(name)
        show_json(one.to_json()) if json else _show(one.detail)
        return
    networks = project.extractors()
    show_json(networks.to_json()) if json else _show_all(networks)


def _show_all(result: ExtractorsResult) -> None:
    for group, members in groupby(result.networks, key=lambda listed: listed.group):
        say((group, "bold underline"))
        for listed in members:
            _show_listed(listed)
    say(("any other, as `network:` in the datasets file", "bold underline"))
    for kind, what in result.kinds.items():
        say((kind, "bold"), f": {what}")


def _show_listed(listed: Listed) -> None:
    name = listed.extractor if listed.extractor == listed.network else f"{listed.extractor} = {listed.network}"
    name += f", {listed.view}" if listed.view else ""
    used, summary = " (used here)" if listed.used_here else "", f": {listed.summary}" if listed.summary else ""
    say((name, "bold"), f"{used}{summary}")
    for line in (_size(listed), _weights(listed)):
        if line:
            say(line, indent=2)


def _size(listed: Listed) -> str:
    if listed.layers is None or listed.neurons is None:
        return f"licence {listed.licence}" if listed.licence else ""
    size = f"{counted(listed.layers, 'layer')}, {counted(listed.neurons, 'neuron')}"
    return f"{size}, input {listed.input_px} x {listed.input_px} px; {listed.licence}"


def _weights(listed: Listed) -> str:
    if listed.weights_sha256:
        return f"weights {listed.weights_sha256[:12]}" + (f" in {listed.weights}" if listed.weights else "")
    return f"weights {listed.weights}" if listed.weights else ""


def _show(detail: Detail) -> None:
    listed = detail.listed
    network = "" if listed.network == listed.extractor else f" = {listed.network}"
    network += f", {listed.view}" if listed.view else ""
    say((listed.extractor, "bold"), f"{network}: {listed.summary}")
    facts = [
        _size(listed),
        f"weights sha256 {listed.weights_sha256}" if listed.weights_sha256 else _weights(listed),
        f"{detail.architecture}, tokens: {detail.tokens}",
    ]
    facts.append(", ".join(f"{key} {value}" for key, value in detail.preprocessing.items() if key != "rules"))
    for line in facts:
        say(line, indent=2)
    first = {layer: f"{names[0]}, …" for layer, names in detail.neuron_names.items()}
    rows = [(layer, width, *([first.get(layer, "")] if first else [])) for layer, width in detail.each_layer.items()]
    show_table(None, ("layer", "neurons", *(["first neuron"] if first else [])), rows, ("neurons",))
    if detail.left_out:
        say(f"left out, because they have no map to divide: {', '.join(detail.left_out)}")
