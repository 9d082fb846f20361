"""Commands about named selections of neurons: save, learn, list, show, remove."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dna_pipelines.cli.app import COMPARE, app, project_of
from dna_pipelines.cli.options import ExtractorName, Json, dataset_names
from dna_pipelines.cli.progress import run_with_progress
from dna_pipelines.cli.terminal import note, say, show_json, show_table
from dna_pipelines.project.progress import counted

if TYPE_CHECKING:
    from dna_pipelines.storage.records import SelectionRecord

select_app = typer.Typer(
    name="select",
    help="Save selections of neurons for distances: chosen by hand, or learned from metadata.",
    no_args_is_help=True,
)
app.add_typer(select_app, rich_help_panel=COMPARE)

Method = StrEnum("Method", {"squares": "squares", "ratio": "ratio"})
SelectionName = Annotated[str, typer.Argument(metavar="NAME", help="The name of the selection.")]
Versioned = Annotated[str, typer.Argument(metavar="NAME", help="NAME, or NAME@2 for a version of it.")]
_SHOWN = 8


@select_app.command()
def save(
    context: typer.Context,
    name: SelectionName,
    layer: Annotated[
        list[str] | None, typer.Option(help="This layer. Repeatable.", metavar="LAYER", show_default=False)
    ] = None,
    neuron: Annotated[
        list[str] | None,
        typer.Option(help="LAYER:3,17 or LAYER:0-9. Repeatable.", metavar="NEURONS", show_default=False),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="A .csv or .parquet file with the columns layer, neuron and weight.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    extractor: ExtractorName = None,
    json: Json = False,
) -> None:
    """Save a selection of neurons under a name; an existing name gets a new version."""
    selection = project_of(context).select(
        name, layers=layer or (), neurons=neuron or (), weights=weights, extractor=extractor
    )
    if json:
        show_json(selection.to_json()[0])
    else:
        say(selection.summary)


@select_app.command()
def learn(
    context: typer.Context,
    name: SelectionName,
    datasets: Annotated[
        list[str],
        typer.Option(
            help="A dataset, version or slice to learn from. Repeatable.",
            metavar="NAME",
            show_default=False,
            autocompletion=dataset_names,
        ),
    ],
    respond_to: Annotated[
        list[str] | None,
        typer.Option(
            help="COLUMN=VALUE of the metadata to respond to. Repeatable.", metavar="ATTRIBUTE", show_default=False
        ),
    ] = None,
    ignore: Annotated[
        list[str] | None, typer.Option(help="A column to ignore. Repeatable.", metavar="COLUMN", show_default=False)
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            help="A column whose influence to suppress (or, with --ignore, to preserve). Default: every other "
            "column with few values. Repeatable.",
            metavar="COLUMN",
            show_default=False,
        ),
    ] = None,
    within: Annotated[
        str | None,
        typer.Option(
            help="Compare only images that agree in this column, where it is correlated with others.",
            metavar="COLUMN",
            show_default=False,
        ),
    ] = None,
    layer: Annotated[
        list[str] | None,
        typer.Option(help="Only neurons of this layer. Repeatable.", metavar="LAYER", show_default=False),
    ] = None,
    method: Annotated[
        Method, typer.Option(help="squares: least-squares weights; ratio: the best neurons, with equal weights.")
    ] = Method.squares,
    share: Annotated[
        float, typer.Option(help="With ratio: the share of neurons to choose.", metavar="SHARE", min=0.0, max=1.0)
    ] = 0.05,
    extractor: ExtractorName = None,
    json: Json = False,
) -> None:
    """Learn from metadata which neurons respond to an attribute, or how to ignore it.

    Example: dna select learn rain --respond-to weather=rain --datasets cameras
    """
    learned = run_with_progress(
        project_of(context).select, name, datasets=datasets, respond_to=respond_to or (), ignore=ignore or (),
        against=against or (), within=within, layers=layer or (), method=str(method), share=share, extractor=extractor,
    )  # fmt: skip
    if learned.n_images_extracted:
        note(f"{counted(learned.n_images_extracted, 'image')} extracted for slices; their DNAs are stored")
    for remark in learned.left_out:
        note(f"left out: {remark}", style="yellow")
    if json:
        show_json(learned.to_json()[0])
        return
    say(learned.summary)
    rows = [
        (one["what"], one["role"], one["emd_bins_equal"], one["emd_bins_steered"])
        for one in learned.records[0].how.get("contrasts", [])
    ]
    numbers = ("equal weights", "this selection")
    show_table("contrasts it was learned from (EMD in bins)", ("contrast", "role", *numbers), rows, numbers)


@select_app.command("list")
def list_all(context: typer.Context, json: Json = False) -> None:
    """List the selections."""
    selections = project_of(context).selections()
    if json:
        show_json(selections.to_json())
        return
    records = selections.records
    if not records:
        note("no selection yet; create one with `dna select save` or `dna select learn`")
        return
    rows = [(one.name, one.seq, one.extractor, one.n_chosen, _origin(one), one.created_at) for one in records]
    numbers = ("version", "neurons")
    show_table(
        None,
        ("selection", "version", "extractor", "neurons", "origin", "created"),
        rows,
        numbers,
        words=("origin",),
        optional=("extractor", "created"),
    )


@select_app.command()
def show(context: typer.Context, name: Versioned, json: Json = False) -> None:
    """Show the origin and the weights of a selection."""
    selection = project_of(context).selection(name)
    record, weights = selection.records[0], selection.weights
    if json:
        show_json({**selection.to_json()[0], "weights": {layer: own.tolist() for layer, own in weights.items()}})
        return
    say(selection.summary)
    for key, value in record.how.items():
        if value and key not in ("contrasts", "made_by"):
            say(f"{key}: {_plain(value)}", indent=2)
    for one in record.how.get("contrasts", []):
        change = f"{_number(one['emd_bins_equal'])} -> {_number(one['emd_bins_steered'])} bins"
        say(f"{one['role']}, {one['what']}: {change}", indent=2)
    total = sum(own.sum() for own in weights.values())
    rows = []
    for layer, own in weights.items():
        heaviest = [
            f"{neuron} ({own[neuron]:.3g})" for neuron in (-own).argsort(kind="stable")[:_SHOWN] if own[neuron] > 0
        ]
        rows.append((layer, len(own), int((own > 0).sum()), own.sum() / total, ", ".join(heaviest)))
    numbers = ("neurons", "chosen", "weight share")
    show_table(None, ("layer", *numbers, "largest weights"), rows, numbers, words=("largest weights",))


@select_app.command()
def remove(context: typer.Context, name: SelectionName, json: Json = False) -> None:
    """Remove a selection. Its versions remain available as NAME@VERSION."""
    project_of(context).remove_selection(name)
    if json:
        show_json({"removed": name})
    else:
        say(f"removed {name}; its versions remain available as {name}@VERSION")


def _origin(record: SelectionRecord) -> str:
    how = record.how
    if how.get("made_by") == "learning":
        what = ", ".join(how.get("respond_to") or how.get("ignore") or [])
        verb = "responds to" if how.get("respond_to") else "ignores"
        return f"{verb} {what} (learned from {', '.join(how.get('datasets', []))})"
    return (
        str(how["file"]) if how.get("made_by") == "file" else _plain([*how.get("layers", []), *how.get("neurons", [])])
    )


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
