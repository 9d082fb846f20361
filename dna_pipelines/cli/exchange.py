"""Commands that exchange files with the reference implementation: export, ranges."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dna_pipelines.cli.app import NETWORKS, app, project_of
from dna_pipelines.cli.options import REFERENCE, ExtractorName, Json, Yes, dataset_names, extractor_names
from dna_pipelines.cli.progress import run_with_progress
from dna_pipelines.cli.terminal import note, require_yes, say, show_json
from dna_pipelines.project.progress import counted

if TYPE_CHECKING:
    from dna_pipelines.api.results.extractors import RangesResult

Type = StrEnum("Type", {"histogram": "histogram", "gaussian": "gaussian", "layer_gaussian": "layer-gaussian"})
Force = Annotated[bool, typer.Option("--force", help="Overwrite existing files.")]
Extractor = Annotated[str, typer.Argument(help="An extractor of the datasets file.", autocompletion=extractor_names)]

ranges_app = typer.Typer(
    name="ranges", help="Import an extractor's activation ranges from a file, or export them.", no_args_is_help=True
)
app.add_typer(ranges_app, rich_help_panel=NETWORKS)


@app.command(rich_help_panel=NETWORKS)
def export(
    context: typer.Context,
    reference: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help=REFERENCE,
            autocompletion=dataset_names,
        ),
    ],
    file: Annotated[Path, typer.Argument(help="The .json file to write; the arrays go to an .npz file beside it.")],
    kind: Annotated[Type, typer.Option("--type", help="The part of the DNA to write.")] = Type.histogram,
    extractor: ExtractorName = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Write a DNA in the format of the reference implementation (vdna 0.1.1), which `dna compare` reads too."""
    result = run_with_progress(
        project_of(context).export, reference, file, kind=str(kind), extractor=extractor, force=force
    )
    done = result.exported
    if json:
        show_json({**result.to_json(), "type": str(kind), "blocked": done.blocked, "held_back": done.blocked})
        return
    size = f"{counted(len(done.layers), 'layer')}, {counted(done.n_images, 'image')}"
    say(f"wrote {file} and {file.with_suffix('.npz')}: {kind}, {size}")
    if done.blocked:
        note(f"{reference} is blocked by a check and not in the matrix: {done.blocked}", style="yellow")
    if done.left_out:
        why = "no covariance is stored for them" if str(kind) == "layer-gaussian" else "their neurons are virtual"
        note(f"left out, because {why}: {', '.join(done.left_out)}")


@ranges_app.command("export")
def export_ranges(
    context: typer.Context,
    extractor: Extractor,
    file: Annotated[Path, typer.Argument(help="The file, such as activation_ranges.json.")],
    force: Force = False,
    json: Json = False,
) -> None:
    """Write the activation ranges in the format of the reference implementation."""
    ranges = project_of(context).export_ranges(extractor, file, force=force)
    if json:
        show_json({"file": str(file), "extractor": extractor, "n_neurons": ranges.n_neurons})
    else:
        say(f"wrote {file}: {counted(ranges.n_neurons, 'neuron')}")


@ranges_app.command("import")
def import_ranges(
    context: typer.Context,
    extractor: Extractor,
    file: Annotated[Path, typer.Argument(help="A file such as the reference's activation_ranges.json.")],
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Import the activation ranges from a file. Where others were in use, every DNA is recomputed."""
    project = project_of(context)
    ranges = project.import_ranges(extractor, file, dry_run=True)
    if ranges.changed:
        if ranges.replaces and not yes:
            require_yes(f"All DNAs of {extractor} will have to be recomputed. Continue?")
        run_with_progress(project.import_ranges, extractor, file)
    if json:
        facts = {"changed": ranges.changed, "n_constant": ranges.n_constant}
        show_json({"extractor": extractor, "from": ranges.origin, **facts})
    else:
        _show_import(ranges)


def _show_import(ranges: RangesResult) -> None:
    if not ranges.changed:
        say(f"{ranges.extractor} has these activation ranges already")
        return
    say(f"imported the activation ranges of {ranges.extractor} from {ranges.origin}; `dna run` recomputes its DNAs")
    if ranges.n_constant:
        note(
            f"equal bounds in {counted(ranges.n_constant, 'neuron')}: the reference makes their range 2e-8 wide, so "
            "that nearly every value lies outside"
        )
