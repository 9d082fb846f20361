"""The command that says which images are behind a difference: images."""

from __future__ import annotations

from collections.abc import Callable
from math import isnan
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from dna_pipelines.analysis.images.attribution import IN_DETAIL, Attribution, attribute
from dna_pipelines.analysis.images.attribution_by_group import Parts, carrying_parts
from dna_pipelines.analysis.images.contrast import Sides
from dna_pipelines.analysis.images.scores import Fit, fit_outside
from dna_pipelines.cli.app import COMPARE, app, project_of
from dna_pipelines.cli.interruption import interruptible
from dna_pipelines.cli.look import ExtractorName, Json
from dna_pipelines.cli.terminal import TerminalProgress, note, out, save, show_json, show_table
from dna_pipelines.errors import UserError
from dna_pipelines.project.progress import Progress, counted
from dna_pipelines.project.project import ProjectFolder

T = TypeVar("T")


@app.command(rich_help_panel=COMPARE)
def images(
    context: typer.Context,
    places: Annotated[
        list[str],
        typer.Argument(
            metavar="A B",
            help="Two datasets, versions or slices: what of A carries its distance from B. With --against: image "
            "files, folders or other places, which need not belong to the project.",
        ),
    ],
    against: Annotated[
        list[str] | None,
        typer.Option(help="Hold images from anywhere against this dataset. Repeatable.", show_default=False),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(help="Sum up by `group`, `shard` or a column of the metadata.", show_default=False),
    ] = None,
    top: Annotated[int, typer.Option(help="How many to show.", min=1)] = 20,
    detail: Annotated[
        int,
        typer.Option(help="How many images to extract once more, to see all their positions in every layer.", min=0),
    ] = IN_DETAIL,
    extractor: ExtractorName = None,
    picture: Annotated[
        Path | None,
        typer.Option(help="Save a contact sheet (PNG) here: the images beside typical ones of B.", show_default=False),
    ] = None,
    json: Json = False,
) -> None:
    """Show which images are behind a difference.

    Of two versions of one dataset, the images that A has and B has not are held against B. Nothing is changed, and
    what is extracted once more is not kept.
    """
    project = project_of(context)
    if against:
        if by or picture:
            raise UserError("--by and --picture are for two datasets; --against shows every image on its own")
        _held_against(project, places, against, extractor, top=top, json=json)
        return
    if len(places) != 2:
        raise UserError("name two datasets, A and B; or images and --against a dataset")
    a, b = places
    if by:
        if picture:
            raise UserError("--picture shows images; leave out --by")
        parts = _watched(lambda steps: carrying_parts(project, a, b, by, extractor=extractor, progress=steps))
        if json:
            show_json(parts.to_json())
        else:
            _show_parts(parts, top)
        return
    found = _watched(
        lambda steps: attribute(project, a, b, extractor=extractor, top=top, in_detail=detail, progress=steps)
    )
    if picture:
        from dna_pipelines.analysis.images.contact_sheets import attribution_sheet

        save(picture, attribution_sheet(project, found))
    if json:
        show_json(found.to_json())
    else:
        show_attribution(found)


def _watched(work: Callable[[Progress], T]) -> T:
    return interruptible(work, TerminalProgress(), note)


def _held_against(
    project: ProjectFolder, places: list[str], against: list[str], extractor: str | None, *, top: int, json: bool
) -> None:
    fits, problems = _watched(lambda steps: fit_outside(project, places, against, extractor=extractor, progress=steps))
    for path, problem in problems.items():
        note(f"{path}: {problem}", style="yellow")
    if json:
        show_json({"images": [fit.to_json() for fit in fits], "unreadable": problems})
    else:
        _show_fits(fits, several=len(against) > 1, top=top)


def show_attribution(found: Attribution) -> None:
    """Print the images behind a difference."""
    _say_what(found.sides, found.emd_bins, found.beyond_chance_bins)
    rows = found.rows
    grouped = any(rows.rows[one.place].group is not None for one in found.images)
    table = [
        (
            rows.rows[one.place].name,
            f"{one.share:.1%}",
            one.contribution_bins,
            _share(one.seldom, 2),
            *([rows.rows[one.place].group] if grouped else []),
            ", ".join(f"{key}={value}" for key, value in sorted((rows.rows[one.place].metadata or {}).items())),
        )
        for one in found.images
    ]
    numbers = ("share", "EMD (bins)", "as odd in B")
    show_table(
        f"what carries it, of {found.sides.words}",
        ("image", *numbers, *(["group"] if grouped else []), "metadata" if rows.columns else ""),
        table,
        numbers,
    )
    if found.without_bins is not None:
        n = counted(found.n_without, "image")
        out.print(f"without the {n} of these that were read again, the EMD is {found.without_bins:.4g} bins")
    problems = [one for one in found.images if one.problem]
    for one in problems:
        note(f"{rows.rows[one.place].name} is known by its averages only: {one.problem}", style="yellow")


def _show_parts(found: Parts, top: int) -> None:
    _say_what(found.sides, found.emd_bins, found.beyond_chance_bins)
    numbers = ("images", "of all", "carries", "times", *(("EMD (bins)", "EMD without") if found.exact else ()))
    rows = [
        (
            "(none)" if part.value is None else part.value,
            part.n_images,
            f"{part.share_of_images:.1%}",
            f"{part.share:.1%}",
            f"{part.times:.2g}",
            *((part.contribution_bins, part.without_bins) if found.exact else ()),
        )
        for part in found.parts[:top]
    ]
    show_table(None, (found.by, *numbers), rows, numbers)
    if not found.exact:
        note("shares are of what the images' averages over positions differ by, in the layers that are kept for images")
    if len(found.parts) > top:
        note(f"{len(found.parts):,} values, of which {top} are shown (--top)")


def _say_what(sides: Sides, emd_bins: float, beyond_chance_bins: float) -> None:
    alone = sides.in_one_block
    beyond = f", of which {beyond_chance_bins:.4g} lie where the distributions differ by more than chance"
    out.print(
        f"{sides.words} against {sides.rows_b.label} ({sides.extractor}): EMD {emd_bins:.4g} bins"
        f"{'' if alone else beyond}",
        markup=False,
        soft_wrap=True,
    )
    if alone:
        said = f"how much of it is chance cannot be told, because {alone} has one independent unit only"
    elif not beyond_chance_bins:
        said = "nowhere is the difference more than chance"
    else:
        return
    note(f"{said}: what follows shows odd images, not a cause", style="yellow")


def _show_fits(fits: list[Fit], *, several: bool, top: int) -> None:
    numbers = (
        "as odd in it",
        "nearest",
        "rare neurons",
        "Mahalanobis",
        "EMD (bins)",
        *(["likelier"] if several else []),
    )
    rows: list[tuple[Any, ...]] = [
        (
            fit.path, fit.dataset, _share(fit.seldom, 2), fit.nearest, _share(fit.rarity, 1), fit.mahalanobis,
            fit.emd_bins,
            *([fit.log_ratio] if several else []),
        )
        for fit in sorted(fits, key=lambda fit: fit.seldom if not several else 0)[:top]
    ]  # fmt: skip
    show_table(None, ("image", "dataset", *numbers), rows, numbers)
    if len(fits) > top:
        note(f"{len(fits):,} lines, of which {top} are shown (--top)")


def _share(value: float | None, digits: int) -> str:
    """A share for people; a dash where there is none."""
    return "–" if value is None or isnan(value) else f"{value:.{digits}%}"
