"""The application: its options, its errors and its exit codes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import dna_pipelines
from dna_pipelines.cli.terminal import note, strays_aside
from dna_pipelines.errors import ConfigError, DnaError
from dna_pipelines.project.project import ProjectFolder

DATASETS, COMPARE, NETWORKS, TOOLS = "Datasets", "Compare and explain", "Networks", "Around it"
"""Under which heading of the help a command stands."""

OK, FAILED, USAGE, INCOMPLETE, INTERRUPTED = 0, 1, 2, 3, 130

_EPILOG = (
    "Exit codes: 0 all is well, 1 it failed (the message says why), 2 the command was not understood, "
    "3 some datasets could not be brought up to date (the others were), 130 interrupted (what was finished is kept)."
)


class _Group(TyperGroup):
    """Shows the errors of this package as messages."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except DnaError as error:
            note(f"error: {error}", style="red")
            raise typer.Exit(FAILED) from None
        except KeyboardInterrupt:
            note("interrupted; what was finished is kept, run again to go on", style="yellow")
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    name="dna",
    cls=_Group,
    help="Fingerprints of image datasets that keep themselves current: whether, where and why your data changed.",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
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
            "that has one, else this one.",
            show_default=False,
        ),
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    context.obj = root


def project_of(context: typer.Context) -> ProjectFolder:
    """The project that the command is about; from here on, what its code prints is no result."""
    context.with_resource(strays_aside())
    return ProjectFolder.find(context.obj)


def require_datasets(project: ProjectFolder) -> None:
    """Refuse a command that is about datasets where there is none.

    Raises:
        ConfigError: that there is none.
    """
    if not project.config().datasets:
        raise ConfigError(f"{project.file.path} names no datasets yet; `dna add NAME PLACE` adds one")
