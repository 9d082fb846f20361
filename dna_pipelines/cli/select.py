"""Commands about named selections of neurons: save, learn, list, show, remove."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from dna_pipelines.cli.app import COMPARE, app, project_of
from dna_pipelines.cli.interruption import interruptible
from dna_pipelines.cli.look import ExtractorName, Json
from dna_pipelines.cli.terminal import TerminalProgress, note, out, show_json, show_table
from dna_pipelines.distributions import Layers
from dna_pipelines.project.current import publish
from dna_pipelines.project.progress import counted
from dna_pipelines.storage.records import SelectionRecord

select_app = typer.Typer(
    name="select",
    help="Choose the neurons that distances are taken over, by hand or by what they respond to.",
    no_args_is_help=True,
)
app.add_typer(select_app, rich_help_panel=COMPARE)

Method = StrEnum("Method", {"squares": "squares", "ratio": "ratio"})
SelectionName = Annotated[str, typer.Argument(metavar="NAME", help="Of the selection.")]
Versioned = Annotated[str, typer.Argument(metavar="NAME", help="NAME, or NAME@2 for a version.")]
_SHOWN = 8


@select_app.command()
def save(
    context: typer.Context,
    name: SelectionName,
    layer: Annotated[list[str] | None, typer.Option(help="This layer. Repeatable.")] = None,
    neuron: Annotated[list[str] | None, typer.Option(help="LAYER:3,17 or LAYER:0-9. Repeatable.")] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="A .csv or .parquet with the columns layer, neuron, weight.", show_default=False),
    ] = None,
    extractor: ExtractorName = None,
) -> None:
    """Keep neurons that you choose under a name; a name that is there gets a new version."""
    from dna_pipelines.analysis.neuron_weights import save_selection

    project = project_of(context)
    record = save_selection(
        project, name, extractor=extractor, layers=layer or (), neurons=neuron or (), weights=weights
    )
    publish(project)
    out.print(_said(record), markup=False, soft_wrap=True)


@select_app.command()
def learn(
    context: typer.Context,
    name: SelectionName,
    datasets: Annotated[
        list[str], typer.Option(help="Learn from this dataset, version or slice. Repeatable.", show_default=False)
    ],
    respond_to: Annotated[
        list[str] | None, typer.Option(help="COLUMN=VALUE of the metadata: respond to it alone. Repeatable.")
    ] = None,
    ignore: Annotated[list[str] | None, typer.Option(help="A column that is not to matter. Repeatable.")] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(help="A column not to respond to, or to keep; by default every other of few values. Repeatable."),
    ] = None,
    within: Annotated[
        str | None,
        typer.Option(help="Compare images of one value of this column only, because it goes together with others."),
    ] = None,
    layer: Annotated[list[str] | None, typer.Option(help="Only neurons of this layer. Repeatable.")] = None,
    method: Annotated[
        Method, typer.Option(help="squares: weights by least squares; ratio: the best neurons, equally.")
    ] = Method.squares,
    share: Annotated[float, typer.Option(help="With ratio: which part of the neurons.", min=0.0, max=1.0)] = 0.05,
    extractor: ExtractorName = None,
    json: Json = False,
) -> None:
    """Learn from the images' metadata which neurons respond to an attribute, or how to ignore it.

    For example: dna select learn rain --respond-to weather=rain --datasets cameras
    """
    from dna_pipelines.analysis.learned_weights import Asked, learn_selection

    project, chosen = project_of(context), "ratio" if method is Method.ratio else "squares"
    asked = Asked(
        tuple(datasets), tuple(respond_to or ()), tuple(ignore or ()), tuple(against or ()), within, tuple(layer or ()),
        chosen, share,  # type: ignore[arg-type]
    )  # fmt: skip
    learned = interruptible(
        lambda steps: learn_selection(project, name, asked, extractor=extractor, progress=steps),
        TerminalProgress(),
        note,
    )
    publish(project)
    if learned.n_images_extracted:
        note(f"{counted(learned.n_images_extracted, 'image')} extracted for slices, whose DNAs are kept from now on")
    for remark in learned.left_out:
        note(f"left out: {remark}", style="yellow")
    if json:
        show_json(_facts(learned.record))
        return
    out.print(_said(learned.record), markup=False, soft_wrap=True)
    rows = [(what, role, before, after) for what, role, before, after in learned.contrasts]
    numbers = ("equal weights", "this selection")
    show_table("what it was learned from (EMD in bins)", ("contrast", "role", *numbers), rows, numbers)


@select_app.command("list")
def list_all(context: typer.Context, json: Json = False) -> None:
    """List the selections."""
    from dna_pipelines.analysis.neuron_weights import list_selections

    found = list_selections(project_of(context))
    if json:
        show_json([_facts(record) for record in found])
        return
    if not found:
        note("there is no selection yet; `dna select save` and `dna select learn` make one")
        return
    rows = [(one.name, one.seq, one.extractor, one.n_chosen, _origin(one), one.created_at) for one in found]
    numbers = ("version", "neurons")
    show_table(None, ("selection", "version", "extractor", "neurons", "made from", "at"), rows, numbers)


@select_app.command()
def show(context: typer.Context, name: Versioned, json: Json = False) -> None:
    """Show what a selection was made from, and its weights."""
    from dna_pipelines.analysis.neuron_weights import find_record

    project = project_of(context)
    record = find_record(project, name)
    weights, layers = project.lake.selections.weights(record), Layers.from_key(record.layers)
    if json:
        lists = {layer: weights[part].tolist() for layer, part in layers.slices.items()}
        show_json({**_facts(record), "weights": lists})
        return
    out.print(_said(record), markup=False, soft_wrap=True)
    for key, value in record.how.items():
        if value and key not in ("contrasts", "made_by"):
            out.print(f"  {key}: {_plain(value)}", markup=False, soft_wrap=True)
    for one in record.how.get("contrasts", []):
        change = f"{_number(one['emd_bins_equal'])} -> {_number(one['emd_bins_steered'])} bins"
        out.print(f"  {one['role']}, {one['what']}: {change}", markup=False, soft_wrap=True)
    rows = []
    for layer, part in layers.slices.items():
        own = weights[part]
        heaviest = [
            f"{place} ({own[place]:.3g})" for place in np.argsort(-own, kind="stable")[:_SHOWN] if own[place] > 0
        ]
        rows.append((layer, len(own), int((own > 0).sum()), own.sum() / weights.sum(), ", ".join(heaviest)))
    numbers = ("neurons", "chosen", "share of weight")
    show_table(None, ("layer", *numbers, "heaviest"), rows, numbers)


@select_app.command()
def remove(context: typer.Context, name: SelectionName) -> None:
    """Remove a selection. NAME@VERSION still finds what it was."""
    from dna_pipelines.analysis.neuron_weights import remove_selection

    project = project_of(context)
    removed = remove_selection(project, name)
    publish(project)
    out.print(f"removed {removed.name}; its versions are kept as NAME@VERSION", markup=False, soft_wrap=True)


def _said(record: SelectionRecord) -> str:
    n_neurons = Layers.from_key(record.layers).n_neurons
    return f"{record.name}@{record.seq}: {record.n_chosen:,} of {n_neurons:,} neurons of {record.extractor}"


def _origin(record: SelectionRecord) -> str:
    how = record.how
    if how.get("made_by") == "learning":
        what = ", ".join(how.get("respond_to") or how.get("ignore") or [])
        verb = "responds to" if how.get("respond_to") else "ignores"
        return f"{verb} {what} (learned from {', '.join(how.get('datasets', []))})"
    return (
        str(how["file"]) if how.get("made_by") == "file" else _plain([*how.get("layers", []), *how.get("neurons", [])])
    )


def _facts(record: SelectionRecord) -> dict[str, Any]:
    facts = record.model_dump(mode="json", exclude={"removed", "layers"})
    return {"selection": facts.pop("name"), "version": facts.pop("seq"), **facts}


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
