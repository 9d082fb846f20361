"""The command that finds duplicates: duplicates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dna_pipelines.analysis.images.duplicates import MOST_BITS, MOST_DISTANCE, Duplicates, find_duplicates, leakage
from dna_pipelines.cli.app import COMPARE, FAILED, app, project_of
from dna_pipelines.cli.interruption import interruptible
from dna_pipelines.cli.look import ExtractorName, Json
from dna_pipelines.cli.terminal import TerminalProgress, note, out, save, show_json, show_table
from dna_pipelines.errors import NothingToCompare, UserError
from dna_pipelines.project.current import current_dnas
from dna_pipelines.project.progress import counted


@app.command(rich_help_panel=COMPARE)
def duplicates(
    context: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="One dataset, version or slice: duplicates within it. Two: what they share. More, or none (all "
            "datasets): a table of what each shares with each.",
            show_default=False,
        ),
    ] = None,
    extractor: ExtractorName = None,
    bits: Annotated[
        float, typer.Option(help="Largest share of sign bits that may differ.", min=0, max=0.5)
    ] = MOST_BITS,
    distance: Annotated[
        float,
        typer.Option(
            help="Largest difference of averaged activations, in spreads of the datasets; 0 for exact copies.", min=0
        ),
    ] = MOST_DISTANCE,
    top: Annotated[int, typer.Option(help="Most pairs to show (JSON gives all).", min=1)] = 20,
    picture: Annotated[
        Path | None, typer.Option(help="Save a contact sheet of the pairs (PNG) here.", show_default=False)
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if there is any duplicate.")] = False,
    json: Json = False,
) -> None:
    """Find images that occur twice: the same bytes, or nearly the same to the network.

    Between a training and a test set that is leakage.
    """
    project = project_of(context)
    name = project.extractor_name(extractor)
    chosen = list(names or current_dnas(project, name))
    if not chosen:
        raise NothingToCompare(f"no dataset has a DNA of {name} yet; run `dna run`")
    limits: dict[str, Any] = {"extractor": name, "most_bits": bits, "most_distance": distance}
    if len(chosen) > 2 or not names:
        if picture:
            raise UserError("a picture shows the pairs of one or two datasets; name them")
        found = interruptible(
            lambda steps: leakage(project, chosen, **limits, progress=steps), TerminalProgress(), note
        )
        if json:
            show_json([{key: value for key, value in one.to_json().items() if key != "pairs"} for one in found])
        else:
            _show_leakage(chosen, found)
    else:
        found = [
            interruptible(
                lambda steps: find_duplicates(project, *chosen, **limits, progress=steps), TerminalProgress(), note
            )
        ]
        if picture:
            from dna_pipelines.analysis.images.contact_sheets import duplicates_sheet

            save(picture, duplicates_sheet(project, found[0]))
        if json:
            show_json(found[0].to_json())
        else:
            _show_pairs(found[0], top)
    if not json:
        _note_plain(found)
    if strict and any(one.pairs for one in found):
        raise typer.Exit(FAILED)


def _show_pairs(found: Duplicates, top: int) -> None:
    if found.within:
        said = (
            f"{found.a.label}: of {counted(len(found.a), 'image')}, {found.exact_a:,} more of the same bytes, "
            f"{found.near_a:,} that have one nearly the same"
        )
    else:
        said = f"{found.a.label} and {found.b.label}: " + ", ".join(
            f"{exact:,} of {n:,} images of {label} are in the other byte for byte, {near:,} nearly"
            for exact, near, n, label in (
                (found.exact_a, found.near_a, len(found.a), found.a.label),
                (found.exact_b, found.near_b, len(found.b), found.b.label),
            )
        )
    out.print(said, markup=False, soft_wrap=True)
    rows = [
        (
            found.a.rows[pair.place_a].name,
            found.b.rows[pair.place_b].name,
            "the same bytes" if pair.exact else "nearly",
            pair.n_bits,
            pair.distance,
        )
        for pair in found.pairs[:top]
    ]
    if rows:
        names = ("one", "other") if found.within else (found.a.label, found.b.label)
        show_table(
            None, (*names, "", f"bits of {found.n_bits}", "distance"), rows, (f"bits of {found.n_bits}", "distance")
        )
    if len(found.pairs) > top:
        note(f"{len(found.pairs):,} pairs, of which {top} are shown (--top)")


def _note_plain(found: list[Duplicates]) -> None:
    """How many images were left out of the search for near copies; of a table, within each dataset."""
    if why := found[0].plain_unknown:
        note(f"plain images are not told from others, so expect false near copies among them: {why}", style="yellow")
    counts = {side.label: n for one in found for side, n in ((one.a, one.plain_a), (one.b, one.plain_b))}
    counts |= {one.a.label: one.plain_a for one in found if one.within}
    n_plain = sum(counts.values())
    were = "plain image was" if n_plain == 1 else "plain images were"
    if n_plain:
        note(f"{n_plain:,} {were} compared by bytes only: to the network, all such images are alike")


def _show_leakage(names: list[str], found: list[Duplicates]) -> None:
    counts: dict[tuple[str, str], tuple[int, int]] = {}
    for one in found:
        counts[one.a.label, one.b.label] = (one.exact_a, one.near_a)
        counts[one.b.label, one.a.label] = (one.exact_b, one.near_b)
    short = [str(place + 1) for place in range(len(names))]
    sizes = {one.a.label: len(one.a) for one in found}
    rows = [
        (short[place], name, sizes[name], *(_cell(counts[name, other]) for other in names))
        for place, name in enumerate(names)
    ]
    show_table(
        "images of each dataset (down) that are also in another (across): byte for byte + nearly",
        ("", "dataset", "images", *short),
        rows,
        ("", "images", *short),
    )


def _cell(count: tuple[int, int]) -> str:
    return "·" if count == (0, 0) else f"{count[0]:,} + {count[1]:,}"
