"""What `dna compare --explain` shows: the change in words, and which layers, neurons and images contribute most."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import TYPE_CHECKING, Any

from dna_pipelines.cli.images import show_attribution
from dna_pipelines.cli.terminal import note, say, show_table

if TYPE_CHECKING:
    from dna_pipelines.api.results.explanation import Explanation


def number(value: float | None, digits: int = 4) -> str:
    """A number for people; a dash where there is none."""
    return "–" if value is None or isnan(value) else f"{value:.{digits}g}"


def show_explanation(explanation: Explanation) -> None:
    """Print what a difference consists of."""
    for line in explanation.words:
        say(line, indent=2)
    layers = [(row["layer"], number(row["bias_corrected_bins"]), number(row["p"], 3)) for row in explanation.layers]
    _table("leading layers (p corrected for all layers)", ("layer", "bias-corrected EMD", "p"), layers)
    named = any(row["name"] for row in explanation.neurons)
    neurons = [
        (row["layer"], *([row["name"]] if named else []), row["neuron"], number(row["emd_bins"]), number(row["p"], 3))
        for row in explanation.neurons
    ]
    columns = ("layer", *(["name"] if named else []), "neuron", "EMD (bins)", "p")
    _table("leading neurons (p corrected for all neurons)", columns, neurons)
    command = f"`dna images '{explanation.of}' '{explanation.against}'"
    if explanation.images is None:
        note(f"no images are listed: {explanation.why_no_images}; {command}` lists them where it can")
        return
    show_attribution(explanation.images.attribution)
    note(f"{command} --picture sheet.png` shows them and looks closer")


def _table(title: str, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        show_table(title, columns, rows, [name for name in columns if name not in ("layer", "name")])
