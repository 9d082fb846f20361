"""The command that finds duplicates: duplicates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dna_pipelines.cli.app import COMPARE, FAILED, app, project_of
from dna_pipelines.cli.options import ExtractorName, Json, dataset_names, picture_option
from dna_pipelines.cli.progress import run_with_progress
from dna_pipelines.cli.terminal import note, save_image, say, show_json, show_matrix, show_table
from dna_pipelines.project.progress import counted

if TYPE_CHECKING:
    from dna_pipelines.analysis.images.duplicates import Duplicates


@app.command(rich_help_panel=COMPARE)
def duplicates(
    context: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="One dataset, version or slice: duplicates within it. Two: images that both have. More, or none "
            "(all datasets): a table of the numbers of shared images.",
            show_default=False,
            autocompletion=dataset_names,
        ),
    ] = None,
    extractor: ExtractorName = None,
    bits: Annotated[
        float | None,
        typer.Option(
            help="Maximum share of sign bits that may differ; by default 0.1.",
            metavar="SHARE",
            min=0,
            max=0.5,
            show_default=False,
        ),
    ] = None,
    distance: Annotated[
        float | None,
        typer.Option(
            help="Maximum distance of the features of two images, in units of the datasets' spread; by default 0.2, "
            "and 0 for exact copies.",
            metavar="DISTANCE",
            min=0,
            show_default=False,
        ),
    ] = None,
    top: Annotated[int, typer.Option(help="Pairs to show at most (--json has all).", metavar="N", min=1)] = 20,
    picture: Annotated[Path | None, picture_option("Save a contact sheet of the pairs (PNG) here.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with code 1 if there is any duplicate.")] = False,
    json: Json = False,
) -> None:
    """Find duplicate images: the same bytes, or nearly the same features.

    Duplicates between a training and a test set are leakage.
    """
    result = run_with_progress(
        project_of(context).duplicates, *(names or ()), most_bits=bits, most_distance=distance, extractor=extractor
    )
    if picture:
        save_image(picture, result.sheet())
    if json:
        show_json(result.to_json())
    else:
        if result.each:
            _show_leakage(result.results)
        else:
            _show_pairs(result.results[0], top)
        _note_featureless(result.results)
    if strict and result.n_pairs:
        raise typer.Exit(FAILED)


def _show_pairs(search: Duplicates, top: int) -> None:
    if search.within:
        answer = (
            f"{search.a.label}: {search.exact_a:,} exact and {search.near_a:,} near duplicates among "
            f"{counted(len(search.a), 'image')}"
        )
    else:
        answer = f"{search.a.label} and {search.b.label}: " + ", ".join(
            f"{exact:,} exact and {near:,} near duplicates among {n:,} images of {label}"
            for exact, near, n, label in (
                (search.exact_a, search.near_a, len(search.a), search.a.label),
                (search.exact_b, search.near_b, len(search.b), search.b.label),
            )
        )
    say(answer)
    rows = [
        (
            search.a.rows[pair.index_a].name,
            search.b.rows[pair.index_b].name,
            "exact" if pair.exact else "near",
            pair.n_bits,
            pair.distance,
        )
        for pair in search.pairs[:top]
    ]
    if rows:
        names = ("first", "second") if search.within else (search.a.label, search.b.label)
        show_table(
            None, (*names, "", f"bits of {search.n_bits}", "distance"), rows, (f"bits of {search.n_bits}", "distance")
        )
    if len(search.pairs) > top:
        note(f"{len(search.pairs):,} pairs, {top} shown (--top)")


def _note_featureless(searches: Sequence[Duplicates]) -> None:
    """How many featureless images were compared by bytes only; of a table, within each dataset."""
    if why := searches[0].featureless_unknown:
        note(
            f"featureless images cannot be recognized, so expect false near duplicates among them: {why}",
            style="yellow",
        )
    counts = {
        side.label: n
        for search in searches
        for side, n in ((search.a, search.featureless_a), (search.b, search.featureless_b))
    }
    counts |= {search.a.label: search.featureless_a for search in searches if search.within}
    n_featureless = sum(counts.values())
    if n_featureless:
        note(f"{counted(n_featureless, 'featureless image')} compared by bytes only, because their features are alike")


def _show_leakage(searches: Sequence[Duplicates]) -> None:
    names = list(dict.fromkeys(side.label for search in searches for side in (search.a, search.b)))
    counts: dict[tuple[str, str], tuple[int, int]] = {}
    for search in searches:
        counts[search.a.label, search.b.label] = (search.exact_a, search.near_a)
        counts[search.b.label, search.a.label] = (search.exact_b, search.near_b)
    sizes = {search.a.label: f"{len(search.a):,}" for search in searches}
    cells = [[_cell(counts[name, other]) for other in names] for name in names]
    title = "images of each dataset (row) that are also in another (column): exact + near duplicates"
    show_matrix(title, names, cells, ("images", [sizes[name] for name in names]))


def _cell(count: tuple[int, int]) -> str:
    return "·" if count == (0, 0) else f"{count[0]:,} + {count[1]:,}"
