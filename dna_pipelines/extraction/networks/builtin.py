"""The embedded extractor: a small residual net, trained on formula images, with its own activation ranges.

Three files of the package belong together, and none is a pickle: `builtin.safetensors` (weights),
`builtin.ranges.safetensors` (activation ranges) and `builtin.json` (the card, which names the digests of both).
`python -m training` in the repository reproduces them; docs/builtin.md says what the network responds to.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.numpy import save_file
from safetensors.torch import load_file

from dna_pipelines.distributions import Binning, Layers
from dna_pipelines.dna import ActivationRanges
from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.extractor import Network
from dna_pipelines.extraction.files.catalogue import KNOWN
from dna_pipelines.extraction.files.weight_files import built_in_weights, digest_of_files
from dna_pipelines.extraction.networks.formula_net import WIDTHS, FormulaNet
from dna_pipelines.imaging import Preprocessing

NAME = "builtin"

PREPROCESSING = Preprocessing(96, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))

TAPS = ("stage1.between", "stage1.after", "stage2.between", "stage3.between", "stage4.between")
"""Averages over squares of 16 px, between the convolutions of every stage but the last, and after those of the first,
which responds to colours: they distinguish textures and changes better than single positions or deeper layers
(docs/builtin.md)."""

MEASURED = (*TAPS, *(f"stage{stage}{part}" for stage in range(1, len(WIDTHS) + 1) for part in (".inner", "")))
"""All layers with shipped activation ranges, so that you can choose any of them without a calibration."""


def builtin() -> Network:
    """A small residual net that learnt formulas, palettes and damage from drawn images; the default.

    Raises:
        ExtractorError: `network.installation` when a file is missing or is not the one that the card describes.
    """
    return network_from(built_in_weights(NAME).parent)


def network_from(folder: Path) -> Network:
    """The network whose files lie in a folder, such as the export of a training.

    Raises:
        ExtractorError: `network.installation` when a file is missing or is not the one that the card describes.
    """
    card = read_card(folder)
    weights, ranges = (_checked(folder / file["name"], file["sha256"]) for file in (card["weights"], card["ranges"]))
    module = FormulaNet()
    module.load_state_dict(load_file(weights))
    return network_of(module, card["weights"]["sha256"], read_ranges(ranges))


def network_of(
    module: FormulaNet,
    weights_digest: str,
    ranges: ActivationRanges | None = None,
    taps: tuple[str, ...] = TAPS,
) -> Network:
    """The network with these weights."""
    known = KNOWN[NAME]
    # All layers together distinguish images much better than the last one alone (protocol P8).
    return Network(
        NAME,
        module,
        PREPROCESSING,
        taps,
        weights_digest,
        f"{NAME}/1",
        known.licence,
        known.summary,
        image_layers=TAPS,
        ranges=ranges,
    )


def read_card(folder: Path) -> dict[str, Any]:
    """The card beside the weights: how the network was trained, and the digests of its files."""
    path = folder / f"{NAME}.json"
    if not path.is_file():
        raise _broken_installation(path, "is missing from this installation")
    card: dict[str, Any] = json.loads(path.read_bytes())
    return card


def read_ranges(path: Path) -> ActivationRanges:
    """Ranges that `write_ranges` wrote."""
    with safe_open(path, "np") as file:
        facts = json.loads(file.metadata()["ranges"])
        lo, hi, minimum, maximum, centre = (file.get_tensor(name) for name in _ARRAYS)
    origin = f"{path.name} (sha256 {digest_of_files([path])[:12]})"
    layers = Layers.from_key(facts["layers"])
    return ActivationRanges(
        layers, Binning(lo, hi, facts["n_bins"]), minimum, maximum, centre, facts["n_images"], (), origin
    )


def write_ranges(path: Path, ranges: ActivationRanges) -> None:
    """Write ranges: the exact edges, and the extremes and means of the calibration."""
    binning = ranges.binning
    arrays = (binning.lo, binning.hi, ranges.minimum, ranges.maximum, ranges.centre)
    facts = {"layers": ranges.layers.key(), "n_bins": binning.n_bins, "n_images": ranges.n_images}
    save_file(dict(zip(_ARRAYS, arrays, strict=True)), path, {"ranges": json.dumps(facts)})


_ARRAYS = ("lo", "hi", "minimum", "maximum", "centre")


def _checked(path: Path, digest: str) -> Path:
    if not path.is_file():
        raise _broken_installation(path, "is missing from this installation")
    if digest_of_files([path]) != digest:
        raise _broken_installation(path, f"is not the file that its card describes (sha256 {digest})", sha256=digest)
    return path


def _broken_installation(path: Path, problem: str, **facts: Any) -> ExtractorError:
    return ExtractorError(
        f"{path} {problem}; reinstall dna_pipelines",
        code="network.installation",
        network=NAME,
        file=str(path),
        **facts,
    )
