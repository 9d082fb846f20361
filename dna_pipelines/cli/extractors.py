"""The command about networks: extractors."""

from __future__ import annotations

from itertools import groupby
from typing import Annotated

import typer
from rich.text import Text

from dna_pipelines.cli.app import NETWORKS, app, project_of
from dna_pipelines.cli.look import Json
from dna_pipelines.cli.terminal import out, show_json, show_table
from dna_pipelines.project.progress import counted
from dna_pipelines.update.networks import KINDS, Detail, Listed, describe_network, list_networks


@app.command(rich_help_panel=NETWORKS)
def extractors(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(help="Load this one and show its layers; any `network:` will do.", show_default=False),
    ] = None,
    json: Json = False,
) -> None:
    """List the networks that fingerprints can be made with, or show one in detail."""
    project = project_of(context)
    if name is not None:
        detail = describe_network(project, name)
        show_json(detail.to_json()) if json else _show(detail)
        return
    found = list_networks(project)
    if json:
        show_json([listed.to_json() for listed in found])
        return
    for group, some in groupby(found, key=lambda listed: listed.group):
        out.print(Text(group, style="bold underline"))
        for listed in some:
            _show_listed(listed)
    out.print(Text("besides, as `network:` in the datasets file", style="bold underline"))
    for place, what in KINDS.items():
        out.print(Text.assemble((place, "bold"), f": {what}"), soft_wrap=True)


def _show_listed(listed: Listed) -> None:
    name = listed.extractor if listed.extractor == listed.network else f"{listed.extractor} = {listed.network}"
    name += f", {listed.view}" if listed.view else ""
    used, summary = " (used here)" if listed.used_here else "", f": {listed.summary}" if listed.summary else ""
    out.print(Text.assemble((name, "bold"), f"{used}{summary}"), soft_wrap=True)
    for line in (_size(listed), _weights(listed)):
        if line:
            out.print(f"  {line}", markup=False, soft_wrap=True)


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
    called = "" if listed.network == listed.extractor else f" = {listed.network}"
    called += f", {listed.view}" if listed.view else ""
    out.print(Text.assemble((listed.extractor, "bold"), f"{called}: {listed.summary}"), soft_wrap=True)
    facts = [
        _size(listed),
        f"weights sha256 {listed.weights_sha256}" if listed.weights_sha256 else _weights(listed),
        f"{detail.architecture}, tokens: {detail.tokens}",
    ]
    facts.append(", ".join(f"{key} {value}" for key, value in detail.preprocessing.items() if key != "rules"))
    for line in facts:
        out.print(f"  {line}", markup=False, soft_wrap=True)
    first = {layer: f"{names[0]}, …" for layer, names in detail.neuron_names.items()}
    rows = [(layer, width, *([first.get(layer, "")] if first else [])) for layer, width in detail.each_layer.items()]
    show_table(None, ("layer", "neurons", *(["called"] if first else [])), rows, ("neurons",))
    if detail.left_out:
        out.print(f"left out, because they have no map to cut: {', '.join(detail.left_out)}", markup=False)
