"""Options that several commands have, and what a shell completes them with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from dna_pipelines.errors import DnaError, UserError

PICTURE_ENDINGS = (".png",)
"""Endings of the files that pictures are saved to."""


def _remember_json(context: typer.Context, value: bool) -> bool:
    # The handler of errors sees no options of the command.
    context.meta["json"] = value
    return value


def wants_json(context: Any) -> bool:
    """Whether the command of this context prints JSON."""
    return bool(context.meta.get("json"))


def _png(value: Path | None) -> Path | None:
    if value is not None and value.suffix.lower() not in PICTURE_ENDINGS:
        raise UserError(
            f"{value} cannot be saved: pictures are written as {', '.join(PICTURE_ENDINGS)}; name a file that ends so",
            code="cli.picture-ending",
            path=str(value),
            ending=value.suffix,
            known=list(PICTURE_ENDINGS),
        )
    return value


def picture_option(help_text: str) -> Any:
    """An option that takes the file of a picture, whose ending is checked before any work begins."""
    return typer.Option(help=help_text, metavar="FILE", callback=_png, show_default=False)


def _completed(names: Callable[[Any], list[str]]) -> Callable[[typer.Context, str], list[str]]:
    """Completion by names of the project; a project that cannot be read has none."""

    def complete(context: typer.Context, incomplete: str) -> list[str]:
        from dna_pipelines.project.project import ProjectFolder

        try:
            config = ProjectFolder.find(context.find_root().params.get("root")).config()
        except DnaError:
            return []
        return [name for name in names(config) if name.startswith(incomplete)]

    return complete


dataset_names = _completed(lambda config: [dataset.name for dataset in config.datasets])
"""Completes an argument with the names of the datasets."""

extractor_names = _completed(lambda config: [extractor.name for extractor in config.extractors])
"""Completes an option with the names of the extractors."""

# Before all others, because they may raise errors.
Json = Annotated[bool, typer.Option("--json", help="Print JSON.", callback=_remember_json, is_eager=True)]
ExtractorName = Annotated[
    str | None,
    typer.Option(
        "--extractor",
        help="An extractor of the datasets file; by default its first.",
        metavar="NAME",
        show_default=False,
        autocompletion=extractor_names,
    ),
]
Picture = Annotated[Path | None, picture_option("Save a picture (PNG) to this file.")]
SelectionName = Annotated[
    str | None,
    typer.Option(
        help="Only the neurons of this selection: NAME or NAME@2 (see `dna select`).",
        metavar="NAME",
        show_default=False,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]


def _known_metric(value: str | None) -> str | None:
    from dna_pipelines.comparison.metrics import METRICS

    known = [metric.name for metric in METRICS]
    if value is not None and value not in known:
        raise typer.BadParameter(f"{value!r} is not one of {', '.join(known)}")
    return value


def _metric_names(incomplete: str) -> list[str]:
    from dna_pipelines.comparison.metrics import METRICS

    return [metric.name for metric in METRICS if metric.name.startswith(incomplete)]


def metric_option(help_text: str) -> Any:
    """An option that takes the name of a distance, checked when it is given."""
    return typer.Option(
        help=help_text, metavar="METRIC", callback=_known_metric, autocompletion=_metric_names, show_default=False
    )


REFERENCE = "NAME, NAME@COMMIT, NAME@-1 (the version before), NAME@VERSION_ID or a slice: 'NAME\\[COLUMN=VALUE]'."
"""What a dataset, version or slice may be written as, for help texts."""
