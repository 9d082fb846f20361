"""The command that shows which images contribute to a difference: images."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dna_pipelines.cli.app import COMPARE, app, project_of
from dna_pipelines.cli.options import ExtractorName, Json, dataset_names, picture_option
from dna_pipelines.cli.progress import run_with_progress
from dna_pipelines.cli.tables import elided
from dna_pipelines.cli.terminal import note, save_image, say, show_json, show_table
from dna_pipelines.errors import UserError
from dna_pipelines.project.progress import counted

if TYPE_CHECKING:
    from dna_pipelines.analysis.images.attribution import Attribution
    from dna_pipelines.analysis.images.attribution_by_group import AttributionByGroup
    from dna_pipelines.analysis.images.contrast import Contrast
    from dna_pipelines.analysis.images.scores import Fit
    from dna_pipelines.api.project.project import Project

_MOST_OF_A_LABEL = 28
"""Letters of a dataset's name that a title shows."""


@app.command(rich_help_panel=COMPARE)
def images(
    context: typer.Context,
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="A B",
            help="Two datasets, versions or slices: which images of A contribute to its distance from B. With "
            "--against: image files, folders or other locations, which need not belong to the project.",
            autocompletion=dataset_names,
        ),
    ],
    against: Annotated[
        list[str] | None,
        typer.Option(
            help="Score images from anywhere against this dataset. Repeatable.",
            metavar="NAME",
            show_default=False,
            autocompletion=dataset_names,
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            help="Sum the contributions by `group`, `shard` or a metadata column.", metavar="COLUMN", show_default=False
        ),
    ] = None,
    top: Annotated[int, typer.Option(help="Rows to show at most.", metavar="N", min=1)] = 20,
    detail: Annotated[
        int,
        typer.Option(
            help="Number of images to extract again, for exact contributions in every layer.", metavar="N", min=0
        ),
    ] = 200,
    extractor: ExtractorName = None,
    picture: Annotated[
        Path | None, picture_option("Save a contact sheet (PNG) of these images beside typical images of B.")
    ] = None,
    json: Json = False,
) -> None:
    """Show which images contribute most to a difference.

    For two versions of one dataset, the images of A that are not in B are ranked. Nothing is stored.
    """
    _require_agreement(names, against=against, by=by, picture=picture)
    project = project_of(context)
    if against:
        _score(project, names, against, extractor, top=top, json=json)
    elif by:
        _sum_by_group(project, names, by, extractor, top=top, json=json)
    else:
        _rank(project, names, extractor, top=top, detail=detail, picture=picture, json=json)


def _require_agreement(names: list[str], *, against: list[str] | None, by: str | None, picture: Path | None) -> None:
    """Refuse options that contradict each other, and any number of names but two."""
    asked = [option for option, value in (("--by", by), ("--picture", picture)) if value]
    if against and asked:
        raise UserError(
            "--against scores each image on its own; leave out --by and --picture",
            code="cli.options-conflict",
            options=["--against", asked[0]],
        )
    if not against and len(names) != 2:
        raise UserError(
            "name two datasets, A and B; or images and --against a dataset", code="cli.two-names", names=names
        )
    if len(asked) == 2:
        raise UserError("--picture shows images; leave out --by", code="cli.options-conflict", options=asked)


def _score(
    project: Project, locations: list[str], against: list[str], extractor: str | None, *, top: int, json: bool
) -> None:
    result = run_with_progress(project.image_fits, locations, against, extractor=extractor)
    for row in result.quarantined:
        note(f"{row['path']}: {row['problem']}", style="yellow")
    if json:
        show_json(result.to_json())
    else:
        _show_fits(result.fits, several=len(against) > 1, top=top)


def _sum_by_group(project: Project, names: list[str], by: str, extractor: str | None, *, top: int, json: bool) -> None:
    groups = run_with_progress(project.image_groups, *names, by, extractor=extractor)
    if json:
        show_json(groups.to_json())
    else:
        _show_groups(groups.attribution, top)


def _rank(
    project: Project,
    names: list[str],
    extractor: str | None,
    *,
    top: int,
    detail: int,
    picture: Path | None,
    json: bool,
) -> None:
    result = run_with_progress(project.images, *names, extractor=extractor, n=top, in_detail=detail)
    if picture:
        save_image(picture, result.sheet())
    if json:
        show_json(result.to_json())
    else:
        show_attribution(result.attribution)


def show_attribution(attribution: Attribution) -> None:
    """Print the images that contribute most to a difference."""
    _show_answer(attribution.contrast, attribution.emd_bins, attribution.significant_emd_bins)
    rows = attribution.table.rows
    grouped = any(rows[image.index].group is not None for image in attribution.images)
    table = [
        (
            rows[image.index].name,
            f"{image.share:.1%}",
            image.contribution_bins,
            _share(image.conformal_p, 2),
            *([rows[image.index].group] if grouped else []),
            ", ".join(f"{key}={value}" for key, value in sorted((rows[image.index].metadata or {}).items())),
        )
        for image in attribution.images
    ]
    (in_b,) = elided([attribution.contrast.b.label], _MOST_OF_A_LABEL)
    numbers = ("share", "EMD (bins)", f"as rare in {in_b}")
    metadata = "metadata" if attribution.table.columns else ""
    columns = ("image", *numbers, *(["group"] if grouped else []), metadata)
    title = "contributions to the difference"
    show_table(title, columns, table, numbers, words=(metadata,), optional=("group", metadata), shortened=("image",))
    if attribution.emd_bins_without is not None:
        n = counted(attribution.n_without, "image")
        say(f"without {n} that were extracted again, the EMD is {attribution.emd_bins_without:.4g} bins")
    for image in attribution.images:
        if image.problem:
            note(f"{rows[image.index].name} is ranked by its stored features only: {image.problem}", style="yellow")


def _show_groups(attribution: AttributionByGroup, top: int) -> None:
    _show_answer(attribution.contrast, attribution.emd_bins, attribution.significant_emd_bins)
    exact = ("EMD (bins)", "EMD without") if attribution.exact else ()
    numbers = ("images", "of all", "contribution", "times", *exact)
    rows = [
        (
            "(none)" if group.value is None else group.value,
            group.n_images,
            f"{group.share_of_images:.1%}",
            f"{group.share:.1%}",
            f"{group.lift:.2g}",
            *((group.contribution_bins, group.emd_bins_without) if attribution.exact else ()),
        )
        for group in attribution.groups[:top]
    ]
    show_table(None, (attribution.by, *numbers), rows, numbers)
    if not attribution.exact:
        note("contributions are shares of the difference of the images' stored features, in the layers that have them")
    if len(attribution.groups) > top:
        note(f"{len(attribution.groups):,} values, {top} shown (--top)")


def _show_answer(contrast: Contrast, emd_bins: float, significant_bins: float) -> None:
    alone = contrast.single_block_label
    of_them = "" if alone else f", of which {significant_bins:.4g} where the distributions differ significantly"
    say(
        (f"{contrast.description} against {contrast.b.label}", "bold"),
        f" ({contrast.extractor}): EMD {emd_bins:.4g} bins{of_them}",
    )
    if alone:
        reason = f"not tested, because {alone} has a single sampling unit"
    elif not significant_bins:
        reason = "no neuron differs significantly"
    else:
        return
    note(f"{reason}: the images below are unusual, but explain no difference", style="yellow")


def _show_fits(fits: Sequence[Fit], *, several: bool, top: int) -> None:
    numbers = (
        "as rare in it",
        "nearest",
        "rare neurons",
        "Mahalanobis",
        "EMD (bins)",
        *(["log likelihood ratio"] if several else []),
    )
    rows: list[tuple[Any, ...]] = [
        (
            fit.path, fit.dataset, _share(fit.conformal_p, 2), fit.nearest, _share(fit.rarity, 1), fit.mahalanobis,
            fit.emd_bins,
            *([fit.log_ratio] if several else []),
        )
        for fit in sorted(fits, key=lambda fit: fit.conformal_p if not several else 0)[:top]
    ]  # fmt: skip
    show_table(None, ("image", "dataset", *numbers), rows, numbers, shortened=("image",))
    if len(fits) > top:
        note(f"{len(fits):,} rows, {top} shown (--top)")


def _share(value: float | None, digits: int) -> str:
    """A share for people; a dash where there is none."""
    return "–" if value is None or isnan(value) else f"{value:.{digits}%}"
