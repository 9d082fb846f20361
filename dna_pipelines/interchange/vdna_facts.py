"""What the JSON file of a VDNA says of its DNA."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dna_pipelines.distributions import Layer, Layers
from dna_pipelines.dna import layer_differences
from dna_pipelines.errors import InterchangeError
from dna_pipelines.identity import Key
from dna_pipelines.interchange.files import read_json
from dna_pipelines.interchange.ranges_file import HIST_RANGE, SCALE

Type = Literal["histogram", "gaussian", "layer-gaussian"]
TYPES: tuple[Type, ...] = ("histogram", "gaussian", "layer-gaussian")

GAUSSIAN: dict[Type, tuple[str, str]] = {"gaussian": ("mu", "var"), "layer-gaussian": ("mu", "sigma")}
"""The first part of the names of the arrays."""


class _Own(BaseModel):
    """The entry of dna_pipelines."""

    comparability_key: dict[str, Any]


class _Distribution(BaseModel):
    hist_nb_bins: int = 0


class _Extraction(BaseModel):
    range_scale_for_norm_params: float = SCALE
    hist_range: list[float] = HIST_RANGE


class VdnaFacts(BaseModel):
    """The entries of the JSON file that are used."""

    model_config = ConfigDict(extra="ignore")

    type: Type
    feature_extractor_name: str
    neurons_list: dict[str, Annotated[int, Field(ge=1)]] = Field(min_length=1)
    num_images: int = Field(ge=1)
    distribution: _Distribution = _Distribution()
    extraction_settings: _Extraction = _Extraction()
    dna_pipelines: _Own | None = None

    def layers(self) -> Layers:
        """The layers that the file has."""
        return Layers(tuple(Layer(name, n_neurons) for name, n_neurons in self.neurons_list.items()))

    def key(self) -> Key:
        """How the DNA was measured, as far as the file states it."""
        if self.dna_pipelines:
            return Key(self.dna_pipelines.comparability_key)
        parts: dict[str, Any] = {"extractor": self.feature_extractor_name, "layers": self.layers().key()}
        if self.type == "histogram":
            settings = self.extraction_settings
            parts["n_bins"] = self.distribution.hist_nb_bins
            parts |= {"range_scale": settings.range_scale_for_norm_params, "hist_range": settings.hist_range}
        return Key(parts)

    def arrays(self) -> list[str]:
        """The names of the arrays of the NPZ file."""
        if self.type == "histogram":
            return list(self.neurons_list)
        return [f"{what}-{layer}" for layer in self.neurons_list for what in GAUSSIAN[self.type]]


def read_facts(path: Path) -> VdnaFacts:
    """The entries of a JSON file.

    Raises:
        InterchangeError: when the file is missing, damaged or not one of a DNA.
    """
    entries, _ = read_json(path)
    if entries.get("type") == "activation-ranges":
        raise InterchangeError(
            f"{path} has activation ranges, not a DNA; import it with `dna ranges import`",
            code="file.ranges-not-dna",
            path=str(path),
        )
    try:
        facts = VdnaFacts.model_validate(entries)
    except ValidationError as error:
        problems = [(".".join(map(str, problem["loc"])), problem["msg"]) for problem in error.errors()]
        raise InterchangeError(
            f"{path} is not a VDNA file:\n  " + "\n  ".join(f"{key}: {message}" for key, message in problems),
            code="file.no-vdna",
            path=str(path),
            keys=[key for key, _ in problems],
        ) from error
    if facts.type == "histogram" and facts.distribution.hist_nb_bins < 1:
        raise InterchangeError(
            f"{path} is not a VDNA file: distribution.hist_nb_bins must be at least 1",
            code="file.no-vdna",
            path=str(path),
            keys=["distribution.hist_nb_bins"],
        )
    return facts


def layers_of(path: Path, key: Key, facts: VdnaFacts) -> Layers:
    """All layers of the extractor; a file that dna_pipelines wrote may have only some of them.

    Raises:
        InterchangeError: when the entry of dna_pipelines is damaged, or contradicts the others.
    """
    try:
        layers, extractor = Layers.from_key(key.parts["layers"]), key.parts["extractor"]
        n_bins = key.parts["n_bins"] if facts.type == "histogram" else 0
    except (KeyError, TypeError, ValueError) as error:
        raise InterchangeError(
            f"{path}: the entry dna_pipelines is damaged; remove it to use the rest",
            code="file.own-entry",
            path=str(path),
            entry="dna_pipelines",
        ) from error
    listed = facts.layers()
    known = Layers(tuple(layer for layer in layers if layer.name in listed.slices))
    differences = layer_differences(listed, known, "neurons_list", "the entry dna_pipelines")
    for what, left, right in (
        ("feature_extractor_name", facts.feature_extractor_name, extractor),
        ("hist_nb_bins", facts.distribution.hist_nb_bins, n_bins),
    ):
        if left != right:
            differences.append(f"{what}: {left!r} against {right!r} in the entry dna_pipelines")
    if differences:
        raise InterchangeError(
            f"{path} contradicts itself:\n  " + "\n  ".join(differences),
            code="file.inconsistent",
            path=str(path),
            differences=differences,
        )
    return layers
