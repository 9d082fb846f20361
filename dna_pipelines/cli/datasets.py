"""Commands about the datasets file: add, remove, list, scan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from dna_pipelines.api.results.datasets import CHANGES
from dna_pipelines.cli.app import DATASETS, app, exit_code, project_of, require_datasets
from dna_pipelines.cli.options import Json, dataset_names
from dna_pipelines.cli.progress import run_with_progress
from dna_pipelines.cli.terminal import note, one_line, say, show_json, show_table
from dna_pipelines.errors import SourceError

_SHOWN = 10


@app.command(rich_help_panel=DATASETS)
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Its name: letters, digits, '.', '_' and '-'.")],
    location: Annotated[
        str,
        typer.Argument(help="A folder, an index .txt, a .zip, .tar or .parquet, or a URI such as s3://bucket/images."),
    ],
    glob: Annotated[
        list[str] | None,
        typer.Option(help="Only files that match, such as '*.png'. Repeatable.", metavar="GLOB", show_default=False),
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="Skip files that match. Repeatable.", metavar="GLOB", show_default=False)
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            help="Format, where the suffix does not say it: tar, parquet, …", metavar="KIND", show_default=False
        ),
    ] = None,
    image_column: Annotated[
        str | None,
        typer.Option(help="The column of a table that holds the images.", metavar="COLUMN", show_default=False),
    ] = None,
    metadata: Annotated[
        str | None,
        typer.Option(
            help="A table (.csv, .parquet, .jsonl) that describes the images, by their column 'path'.",
            metavar="URI",
            show_default=False,
        ),
    ] = None,
    every: Annotated[
        int | None,
        typer.Option(help="Take one image in this many: a stable random sample.", metavar="N", show_default=False),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(help="Take at most this many images: a stable random sample.", metavar="N", show_default=False),
    ] = None,
    group_by: Annotated[
        str | None,
        typer.Option(
            help="The sampling unit: 'folder', 'regex:PATTERN' or 'column:NAME'.", metavar="UNIT", show_default=False
        ),
    ] = None,
    bits: Annotated[
        int | None,
        typer.Option(help="How many bits whole numbers use: 12 where white is 4095.", metavar="N", show_default=False),
    ] = None,
    value_range: Annotated[
        tuple[float, float] | None,
        typer.Option(help="The values that are black and white.", metavar="BLACK WHITE", show_default=False),
    ] = None,
    bands: Annotated[
        str | None,
        typer.Option(
            help="The bands that are red, green and blue, such as 4,3,2; or one that is grey.",
            metavar="BANDS",
            show_default=False,
        ),
    ] = None,
    pages: Annotated[
        str | None,
        typer.Option(help="Pages and frames that are images: all or first.", metavar="PAGES", show_default=False),
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="KEY=VALUE or KEY. Repeatable.", metavar="TAG", show_default=False)
    ] = None,
    scan_every: Annotated[
        str | None,
        typer.Option(help="How often the daemon scans it: 15m, 1h, never.", metavar="TIME", show_default=False),
    ] = None,
    owner: Annotated[
        list[str] | None,
        typer.Option(help="A mail address, or team:NAME. Repeatable.", metavar="OWNER", show_default=False),
    ] = None,
    further: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Any other key of the datasets file, such as 'checks={min_images: 100}'. Repeatable.",
            metavar="KEY=VALUE",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Add it even if its location cannot be listed now.")] = False,
    json: Json = False,
) -> None:
    """Add a dataset to data/datasets.yaml, which is created if it does not exist."""
    project = project_of(context)
    is_first = not project.folder.file.path.exists()
    tags = dict(text.partition("=")[::2] for text in tag or ())
    settings: dict[str, Any] = {"globs": glob or (), "exclude": exclude or (), "kind": kind, "limit": limit}
    settings |= {"bits": bits, "value_range": value_range, "bands": _bands(bands), "pages": pages}
    settings |= {"image_column": image_column, "every": every, "metadata": {"uri": metadata} if metadata else None}
    given = {"scan_every": scan_every, "owners": list(owner or ())}
    settings["settings"] = {**{key: value for key, value in given.items() if value}, **_further(further or ())}
    try:
        added = project.add(name, location, **settings, group_by=group_by, tags=tags, force=force)
    except SourceError:
        note("nothing was added; --force adds a dataset whose location cannot be listed now", style="yellow")
        raise
    if json:
        show_json(added.to_json())
        return
    say(added.summary)
    if added.n_files == 0:
        note("no file there is recognized as an image; see --glob and --kind", style="yellow")
    if is_first:
        note(f"created {project.folder.file.path}; `dna run` fingerprints the datasets in it and compares them")


@app.command(rich_help_panel=DATASETS)
def remove(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The dataset.", autocompletion=dataset_names)],
    json: Json = False,
) -> None:
    """Remove a dataset from data/datasets.yaml. Its fingerprints stay in the lake; its images are never touched."""
    project_of(context).remove(name)
    if json:
        show_json({"removed": name})
    else:
        say(f"removed {name} from the datasets file; its fingerprints stay in the lake")


@app.command("list", rich_help_panel=DATASETS)
def list_datasets(context: typer.Context, json: Json = False) -> None:
    """List the datasets."""
    project = project_of(context)
    rows = project.list().rows
    if json:
        show_json(rows)
        return
    require_datasets(project)
    cells = [(row["dataset"], row["n_images"], row["uri"], _tags(row["tags"]), row["group_by"] or "") for row in rows]
    columns = ("dataset", "images", "location", "tags", "sampling unit")
    used = [index for index, name in enumerate(columns) if index < 3 or any(row[index] for row in cells)]
    show_table(
        None,
        [columns[index] for index in used],
        [[row[index] for index in used] for row in cells],
        ("images",),
        words=("tags",),
        optional=("tags", "sampling unit"),
    )


@app.command(rich_help_panel=DATASETS)
def scan(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(help="Datasets; by default all.", autocompletion=dataset_names)
    ] = None,
    json: Json = False,
) -> None:
    """Show what changed since the last run. New files are read, nothing is stored."""
    project = project_of(context)
    require_datasets(project)
    result = run_with_progress(project.scan, *(names or ()))
    if json:
        show_json(result.to_json())
    else:
        say(result.summary)
        for row in result.rows:
            _show_scan(row)
    raise typer.Exit(exit_code("failed" if row.get("problem") else "" for row in result.rows))


def _show_scan(scanned: Mapping[str, Any]) -> None:
    name = scanned["dataset"]
    if problem := scanned.get("problem"):
        note(f"{name}: {problem}", style="red")
        return
    changes = ", ".join(f"{len(scanned[what]):,} {what}" for what in CHANGES if scanned[what])
    counts = {"not sampled": scanned["n_not_sampled"], "ignored": scanned["n_ignored"]}
    excluded = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    images = f"{scanned['n_images']:,} images{f' ({excluded})' if excluded else ''}"
    say((name, "bold"), f": {images}; {changes or 'nothing changed'}")
    if scanned["remark"]:
        note(f"{name}: {scanned['remark']}", style="yellow")
    for what in CHANGES:
        _show_some(what, scanned[what])
    _show_some("quarantined", [f"{row['path']}  ({row['reason']}: {row['detail']})" for row in scanned["quarantined"]])


def _show_some(what: str, lines: list[str]) -> None:
    for line in lines[:_SHOWN]:
        say(f"{what:<11} {one_line(line)}", indent=2)
    if len(lines) > _SHOWN:
        say(f"{what:<11} … and {len(lines) - _SHOWN:,} more (--json lists all)", indent=2)


def _bands(text: str | None) -> list[int]:
    try:
        return [int(band) for band in (text or "").split(",") if text]
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no list of numbers, such as 4,3,2", param_hint="--bands") from error


def _further(texts: list[str] | tuple[str, ...]) -> dict[str, Any]:
    """By key, the values as the datasets file would have them."""
    settings = {}
    for text in texts:
        key, equals, value = text.partition("=")
        try:
            settings[key] = YAML(typ="safe").load(value) if equals else None
        except YAMLError as error:
            raise typer.BadParameter(f"{value!r} is no value of a YAML file", param_hint="--set") from error
        if settings[key] is None:
            raise typer.BadParameter(f"{text!r} is not KEY=VALUE", param_hint="--set")
    return settings


def _tags(tags: dict[str, str]) -> str:
    return ", ".join(f"{key}={value}" if value else key for key, value in tags.items())
