"""Commands that exchange files with the reference implementation: export, ranges."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from dna_pipelines.cli.app import NETWORKS, app, project_of
from dna_pipelines.cli.interruption import interruptible
from dna_pipelines.cli.look import ExtractorName
from dna_pipelines.cli.terminal import TerminalProgress, note, out, require_yes
from dna_pipelines.interchange import TYPES, read_ranges
from dna_pipelines.project.progress import counted

Type = StrEnum("Type", {name: name for name in TYPES})  # type: ignore[misc]
Force = Annotated[bool, typer.Option("--force", help="Write over a file that is there.")]
Extractor = Annotated[str, typer.Argument(help="One of the extractors of the datasets file.")]

ranges_app = typer.Typer(
    name="ranges", help="Take an extractor's activation ranges from a file, or write them.", no_args_is_help=True
)
app.add_typer(ranges_app, rich_help_panel=NETWORKS)


@app.command(rich_help_panel=NETWORKS)
def export(
    context: typer.Context,
    reference: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="NAME, NAME@COMMIT, NAME@-1, NAME@VERSION_ID or a slice: 'NAME[COLUMN=VALUE]'.",
        ),
    ],
    file: Annotated[Path, typer.Argument(help="NAME.json; the arrays go to NAME.npz beside it.")],
    kind: Annotated[Type, typer.Option("--type", help="What of the DNA to write.")] = Type.histogram,  # type: ignore[attr-defined]
    extractor: ExtractorName = None,
    force: Force = False,
) -> None:
    """Write a DNA as the reference implementation (vdna 0.1.1) reads it. `dna compare` reads it too."""
    from dna_pipelines.maintenance.export import export_dna

    project = project_of(context)
    written: Any = str(kind)
    # The DNA of a slice may have to be made first.
    done = interruptible(
        lambda steps: export_dna(project, reference, file, written, extractor=extractor, force=force, progress=steps),
        TerminalProgress(),
        note,
    )
    size = f"{counted(len(done.layers), 'layer')}, {counted(done.n_images, 'image')}"
    out.print(f"wrote {file} and {file.with_suffix('.npz')}: {kind}, {size}", markup=False, soft_wrap=True)
    if done.held_back:
        note(f"{reference} is held back, so the matrix leaves it out: {done.held_back}", style="yellow")
    if done.left_out:
        why = "they keep no covariance" if str(kind) == "layer-gaussian" else "their neurons are virtual"
        note(f"left out, because {why}: {', '.join(done.left_out)}")


@ranges_app.command("export")
def export_ranges(
    context: typer.Context,
    extractor: Extractor,
    file: Annotated[Path, typer.Argument(help="The file, such as activation_ranges.json.")],
    force: Force = False,
) -> None:
    """Write the activation ranges as the reference implementation reads them."""
    from dna_pipelines.maintenance import export

    ranges = export.export_ranges(project_of(context), extractor, file, force=force)
    out.print(f"wrote {file}: {counted(ranges.layers.n_neurons, 'neuron')}", markup=False, soft_wrap=True)


@ranges_app.command("import")
def import_ranges(
    context: typer.Context,
    extractor: Extractor,
    file: Annotated[Path, typer.Argument(help="Such as the reference's activation_ranges.json.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Take the activation ranges from a file. Where there are others, every DNA is computed again."""
    from dna_pipelines.orchestration.headless import calibrate_anew

    project = project_of(context)
    project.extractor_config(extractor)
    found = read_ranges(file)
    known = project.lake.fingerprints.extractor(extractor)
    if known and found.own and found.own.id == known.ranges_id:
        out.print(f"{extractor} has these ranges already", soft_wrap=True)
        return
    if known and not yes:
        require_yes(f"All DNAs of {extractor} will have to be computed again. Go on?")
    path = str(file.absolute())
    interruptible(lambda steps: calibrate_anew(project, extractor, steps, file=path), TerminalProgress(), note)
    out.print(f"took the activation ranges of {extractor} from {found.name}", markup=False, soft_wrap=True)
    n_constant = int((found.minimum == found.maximum).sum())
    if n_constant and found.own is None:
        note(
            f"equal bounds in {counted(n_constant, 'neuron')}: by the reference's rule the range is 2e-8 wide there, "
            "and nearly every value is out of it"
        )
