"""The application: its options, its errors and its exit codes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

import dna_pipelines
from dna_pipelines.cli.options import wants_json
from dna_pipelines.cli.terminal import note, show_error, strays_aside, warnings_as_notes
from dna_pipelines.errors import ConfigError, DnaError

if TYPE_CHECKING:  # completion and help import no more than they show
    from dna_pipelines.api.project.project import Project

DATASETS, COMPARE, NETWORKS, TOOLS = "Datasets", "Compare and explain", "Networks", "Project and lake"
"""The headings of the help, under which the commands are listed."""

OK, FAILED, USAGE, INCOMPLETE, INTERRUPTED = 0, 1, 2, 3, 130

_EPILOG = (
    "Exit codes: 0 success, 1 failure (the message has a code and says why), 2 wrong usage, 3 some datasets could "
    "not be updated (the others were), 130 interrupted (finished work is kept)."
)


_ORDER = (
    "add", "remove", "list", "scan", "run", "status",
    "compare", "matrix", "images", "duplicates", "inspect", "map", "select", "metrics", "sql",
    "extractors", "calibrate", "ranges", "export", "profile",
    "doctor", "prune", "ui", "replay",
)  # fmt: skip
"""Commands in the order of the help: as a project comes to need them."""


class _Group(TyperGroup):
    """Shows the errors of this package as messages."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of all commands, in the order of the help."""
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            with warnings_as_notes():
                return super().invoke(ctx)
        except DnaError as error:
            show_error(error, json=wants_json(ctx))
            raise typer.Exit(FAILED) from None
        except KeyboardInterrupt:
            note("interrupted; finished work is kept, run the command again to continue", style="yellow")
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    name="dna",
    cls=_Group,
    help="Fingerprint image datasets, keep the fingerprints current, and see whether, where and why images changed.",
    epilog=_EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(asked: bool) -> None:
    if asked:
        print(f"dna_pipelines {dna_pipelines.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    root: Annotated[
        Path | None,
        typer.Option(
            help="The project: a folder with data/datasets.yaml. Default: DNA_ROOT, else the nearest folder above "
            "with that file, else this folder.",
            show_default=False,
        ),
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    context.obj = root


def exit_code(statuses: Iterable[str]) -> int:
    """The exit code of a command that went through datasets.

    Args:
        statuses: of their problems (see `project.problem.Status`); empty for a dataset without one.

    Returns:
        `FAILED` if every dataset failed, `INCOMPLETE` if some are not up to date, else `OK`.
    """
    listed = list(statuses)
    if listed and all(status and status != "blocked" for status in listed):
        return FAILED
    return INCOMPLETE if any(listed) else OK


def project_of(context: typer.Context) -> Project:
    """The project of a command; from here on, what a user's own code prints goes to standard error."""
    from dna_pipelines.api.project.project import find_project

    context.with_resource(strays_aside())
    return find_project(context.obj)


def require_datasets(project: Project) -> None:
    """Refuse a command about datasets in a project that has none.

    Raises:
        ConfigError: when the datasets file names none.
    """
    folder = project.folder
    if not folder.config().datasets:
        raise ConfigError(
            f"{folder.file.path} names no datasets yet; add one with `dna add NAME LOCATION`",
            code="cli.no-datasets",
            path=str(folder.file.path),
        )
