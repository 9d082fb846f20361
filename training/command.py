"""The command `python -m training run`, and commands that inspect a training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from PIL import Image

import dna_pipelines.extraction
from training import checkpoint
from training.checkpoint import OtherPlan
from training.export import NotFinished, export
from training.formulas import FAMILIES, draw_class
from training.palettes import labelled_palettes
from training.plan import Plan
from training.train import train
from training.views import look

app = typer.Typer(
    help="Train the embedded extractor on images drawn from formulas.", no_args_is_help=True, add_completion=False
)

DEFAULT = Plan()

SHIPPED = Path(dna_pipelines.extraction.__file__).parent / "weights"

Folder = Annotated[Path, typer.Option(help="Fields, checkpoint and log; a training in it is continued.")]


@app.command()
def run(
    folder: Folder = Path("training-run"),
    into: Annotated[Path | None, typer.Option(help="Where to write the files; by default, FOLDER/export.")] = None,
    steps: Annotated[int, typer.Option(help="Number of batches.")] = DEFAULT.n_steps,
    classes: Annotated[int, typer.Option(help="Number of formulas, from all families.")] = DEFAULT.n_classes,
    fields: Annotated[int, typer.Option(help="Stored fields per formula.")] = DEFAULT.n_fields,
    batch: Annotated[int, typer.Option(help="Images in a batch.")] = DEFAULT.batch,
    seed: Annotated[int, typer.Option(help="Seed of all random numbers.")] = DEFAULT.seed,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(help="Threads of the processor.")] = 2,
    save_every: Annotated[float, typer.Option(help="Minutes between checkpoints.")] = 3.0,
) -> None:
    """Draw fields, train, and write weights, ranges and card. After Ctrl-C, the same command continues."""
    plan = Plan(n_steps=steps, n_classes=classes, n_fields=fields, batch=batch, seed=seed)
    try:
        train(plan, folder, device=device, threads=threads, save_every_s=60 * save_every)
    except OtherPlan as error:
        raise typer.BadParameter(str(error)) from error
    except KeyboardInterrupt:
        typer.echo(f"Interrupted. {folder} holds the last step; the same command continues from there.")
        raise typer.Exit(130) from None
    typer.echo(f"Written: {export(folder, into or folder / 'export', threads=threads)}")


@app.command("export")
def export_(
    folder: Folder = Path("training-run"),
    into: Annotated[Path, typer.Option(help="Where to write the files; by default, into the package.")] = SHIPPED,
    *,
    unfinished: Annotated[bool, typer.Option(help="Export a training that has steps left, too.")] = False,
) -> None:
    """Write weights, ranges and card of a training."""
    try:
        typer.echo(f"Written: {export(folder, into, unfinished=unfinished)}")
    except (NotFinished, FileNotFoundError) as error:
        raise typer.BadParameter(str(error)) from error


@app.command()
def show(
    picture: Annotated[Path, typer.Argument(help="A PNG file to write.")],
    seed: Annotated[int, typer.Option(help="Of the formulas.")] = DEFAULT.seed,
) -> None:
    """Draw a sheet of training images: a row for every family, with two images of each of its first classes."""
    rows = [np.concatenate([draw_class(family, index, 2, seed) for index in range(6)]) for family in FAMILIES]
    views = look(
        torch.from_numpy(np.concatenate(rows)), labelled_palettes(seed), 96, torch.Generator().manual_seed(seed)
    )
    cells = (255 * views.images).round().byte().permute(0, 2, 3, 1).numpy()
    sheet = cells.reshape(len(FAMILIES), -1, 96, 96, 3).transpose(0, 2, 1, 3, 4)
    Image.fromarray(sheet.reshape(len(FAMILIES) * 96, -1, 3)).save(picture)


@app.command()
def status(folder: Folder = Path("training-run")) -> None:
    """Show the step, the number of samples and the duration of a training."""
    plan, step, spent_s = checkpoint.read_facts(folder / "checkpoint.safetensors")
    typer.echo(f"step {step:,} of {plan.n_steps:,}, {step * plan.batch:,} samples, {spent_s / 60:.0f} min")
