"""The first finding about graded corruptions of photographs, and about photographs where nothing changed.

`python -m benchmarks.words FILE` draws the wavelets and their responses to the corruptions.
"""

from __future__ import annotations

import io
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image, ImageFilter

from benchmarks.decode import HOW_TO_GET
from benchmarks.measure import Row
from benchmarks.world import World
from dna_pipelines.distributions import Moments
from dna_pipelines.extraction.devices.numerics import reproducible
from dna_pipelines.extraction.extractor import Extractor
from dna_pipelines.extraction.files.scattering_bands import COLOURS, ORIENTATIONS
from dna_pipelines.extraction.loading.registry import load_extractor
from dna_pipelines.extraction.networks.scattering import morlet
from dna_pipelines.reporting.words import findings

CHOSEN_ON = ("astronaut.png", "coffee.png", "china.jpg", "grass.png", "rocket.jpg", "retina.jpg", "camera.png")
"""The photographs that the rules were chosen on."""

HELD_OUT = (
    "chelsea.png", "flower.jpg", "motorcycle_left.png", "brick.png", "gravel.png", "ihc.png", "hubble_deep_field.jpg",
)  # fmt: skip
"""Those that they are measured on."""

TILE_PX, STEP_PX, SEEN_PX, MOST_TILES = 140, 96, 96, 36
"""Tiles are larger than what is seen of them, so that turning them brings no corners in."""

N_PHOTOGRAPHS, N_PAIRS = 3, 60
SILENT, RIGHT = 0.90, 0.75

Pixels = np.ndarray
Corrupt = Callable[[Pixels, np.random.Generator], Pixels]

_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


@dataclass(frozen=True)
class Corruption:
    """A corruption in three grades, and the kinds of sentences that are right about it."""

    name: str
    right: tuple[str, ...]
    grades: tuple[float, float, float]
    unit: str
    make: Callable[[float], Corrupt]


def run(_world: World) -> list[Row]:
    if missing := [name for name in HELD_OUT if _file(name) is None]:
        print(f"{HOW_TO_GET} ({', '.join(missing)})")
        return []
    extractor = load_extractor("scattering")
    tiles = {name: _tiles(name) for name in HELD_OUT}
    clean = {name: _pooled(extractor, some) for name, some in tiles.items()}
    rows = [_nothing(extractor, clean), _other_content(extractor, clean)]
    strong: list[float] = []
    for corruption in CORRUPTIONS:
        for grade in corruption.grades:
            change = corruption.make(grade)
            rng = np.random.default_rng(5)
            changed = {name: _pooled(extractor, [change(tile, rng) for tile in some]) for name, some in tiles.items()}
            first = Counter(kinds[0] if kinds else "nothing" for kinds in _kinds(extractor, clean, changed))
            right = sum(first[kind] for kind in corruption.right) / N_PAIRS
            if grade == corruption.grades[-1]:
                strong.append(right)
            rows.append(Row(f"{corruption.name}, {grade:g}{corruption.unit}", _shares(first), "", f"{right:.0%} right"))
    mean = float(np.mean(strong))
    rows.append(Row("the strongest grade of each", "", "", f"{mean:.0%} right", f">= {RIGHT:.0%}", mean >= RIGHT))
    return rows


def _nothing(extractor: Extractor, clean: dict[str, Pixels]) -> Row:
    first = Counter(kinds[0] if kinds else "nothing" for kinds in _kinds(extractor, clean, clean))
    silent = first["nothing"] / N_PAIRS
    return Row("nothing", _shares(first), "", f"{silent:.0%} silent", f">= {SILENT:.0%}", silent >= SILENT)


def _other_content(extractor: Extractor, clean: dict[str, Pixels]) -> Row:
    pairs = list(_kinds(extractor, clean, clean, other=True))
    many = sum(len(set(kinds)) >= 3 for kinds in pairs) / N_PAIRS
    first = Counter(kinds[0] if kinds else "nothing" for kinds in pairs)
    return Row("other photographs", _shares(first), "", f"{many:.0%} 'several things'")


def _kinds(
    extractor: Extractor, clean: dict[str, Pixels], changed: dict[str, Pixels], *, other: bool = False
) -> Iterator[list[str]]:
    """The kinds of findings for pairs of random halves, of three photographs each, the second half changed."""
    rng = np.random.default_rng(7)
    for _ in range(N_PAIRS):
        names = list(rng.permutation(list(clean)))
        left, right = names[:N_PHOTOGRAPHS], names[N_PHOTOGRAPHS : 2 * N_PHOTOGRAPHS] if other else []
        a, b = [], []
        for one, two in zip(left, right or left, strict=True):
            order = rng.permutation(len(clean[one]))
            a.append(clean[one][order[: len(order) // 2]])
            if two != one:
                order = rng.permutation(len(changed[two]))
            b.append(changed[two][order[len(order) // 2 :]])
        layers, names_of = extractor.layers, extractor.neuron_names
        moments = (Moments.of(np.concatenate(side), layers) for side in (a, b))
        yield [finding.kind for finding in findings(*moments, layers, names_of)]


def _shares(first: Counter[str]) -> str:
    return ", ".join(f"{kind} {count / N_PAIRS:.0%}" for kind, count in first.most_common())


def _pooled(extractor: Extractor, tiles: list[Pixels]) -> Pixels:
    """(n_tiles, n_neurons): every neuron's average over the middle of each tile."""
    edge = (TILE_PX - SEEN_PX) // 2
    pixels = np.stack(tiles)[:, edge : edge + SEEN_PX, edge : edge + SEEN_PX].astype(np.float32) / 255
    averages: dict[int, Pixels] = {}
    with reproducible():
        extractor.run(
            torch.from_numpy(pixels).permute(0, 3, 1, 2),
            lambda index, output: averages.update({index: output.mean((2, 3)).double().numpy()}),
        )
    return np.concatenate([averages[index] for index in range(len(extractor.layers))], axis=1)


def _tiles(name: str) -> list[Pixels]:
    path = _file(name)
    assert path is not None
    pixels = np.asarray(Image.open(path).convert("RGB"))
    height, width = pixels.shape[:2]
    tiles_of = [
        pixels[top : top + TILE_PX, left : left + TILE_PX]
        for top in range(0, height - TILE_PX + 1, STEP_PX)
        for left in range(0, width - TILE_PX + 1, STEP_PX)
    ]
    chosen = np.random.default_rng(0).permutation(len(tiles_of))[:MOST_TILES]
    return [tiles_of[index] for index in chosen]


def _file(name: str) -> Path | None:
    try:
        import skimage
        import sklearn
    except ImportError:
        return None
    folders = (Path(sklearn.__file__).parent / "datasets" / "images", Path(skimage.__file__).parent / "data")
    return next((folder / name for folder in folders if (folder / name).exists()), None)


def _levels(values: Pixels) -> Pixels:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _filtered(image_filter: ImageFilter.Filter) -> Corrupt:
    return lambda pixels, _: np.asarray(Image.fromarray(pixels).filter(image_filter))


def _noise(sigma: float, n_channels: int) -> Corrupt:
    return lambda pixels, rng: _levels(pixels + rng.normal(0, sigma, (*pixels.shape[:2], n_channels)))


def _jpeg(quality: float) -> Corrupt:
    def corrupt(pixels: Pixels, _rng: np.random.Generator) -> Pixels:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "jpeg", quality=int(quality))
        return np.asarray(Image.open(buffer).convert("RGB"))

    return corrupt


def _line(factor: float, middle: float = 0.0, offset: float = 0.0) -> Corrupt:
    return lambda pixels, _: _levels(middle + (pixels.astype(float) - middle) * factor + offset)


def _chroma(matrix: Pixels) -> Corrupt:
    whole = np.linalg.inv(_YIQ) @ matrix @ _YIQ
    return lambda pixels, _: _levels(pixels @ whole.T)


def _hue(degrees: float) -> Corrupt:
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return _chroma(np.array([[1, 0, 0], [0, c, -s], [0, s, c]]))


def _turned(degrees: float) -> Corrupt:
    return lambda pixels, _: np.asarray(Image.fromarray(pixels).rotate(degrees, Image.Resampling.BICUBIC))


def picture(path: Path) -> None:
    """Every wavelet, and by how much each corruption (its middle grade) changes the responses to the same tiles."""
    extractor = load_extractor("scattering")
    tiles = {name: _tiles(name) for name in HELD_OUT}
    clean = np.concatenate([_pooled(extractor, some) for some in tiles.values()])
    bars = []
    for corruption in CORRUPTIONS:
        rng, change = np.random.default_rng(5), corruption.make(corruption.grades[1])
        changed = [_pooled(extractor, [change(tile, rng) for tile in some]) for some in tiles.values()]
        bars.append((np.concatenate(changed) - clean).mean(axis=0))
    delta, slices = np.stack(bars), extractor.layers.slices
    # (corruptions, colours, octaves), mean over orientations.
    first = np.stack([delta[:, slices[f"order1.octave{o}"]].reshape(-1, 3, 4).mean(2) for o in range(4)], 2)
    figure = Figure(figsize=(11, 6.2), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.9))
    grid = left.subplots(4, 4)
    for octave in range(4):
        waves = np.fft.fftshift(np.fft.ifft2(morlet(96, octave)).real, axes=(1, 2))
        for column, orientation in enumerate(ORIENTATIONS):
            axes = grid[octave, column]
            axes.imshow(waves[column][24:72, 24:72], cmap="gray", vmin=-waves.max(), vmax=waves.max())
            axes.set_xticks([])
            axes.set_yticks([])
            if octave == 0:
                axes.set_title(orientation, fontsize=9)
        grid[octave, 0].set_ylabel(f"octave{octave}", fontsize=9)
    left.suptitle("the wavelets, 48 px", fontsize=10)
    axes = right.subplots()
    shown = axes.imshow(first.reshape(len(delta), -1), cmap="RdBu_r", vmin=-1.5, vmax=1.5, aspect="auto")
    labels = [f"{corruption.name}, {corruption.grades[1]:g}{corruption.unit}" for corruption in CORRUPTIONS]
    axes.set_yticks(range(len(labels)), labels, fontsize=9)
    axes.set_xticks(range(12), [f"{octave}" for _ in COLOURS for octave in range(4)], fontsize=9)
    axes.set_xlabel("octave of " + ", of ".join(COLOURS) + " (first order)", fontsize=9)
    for edge in (3.5, 7.5):
        axes.axvline(edge, color="black", linewidth=1)
    for row, values in enumerate(first.reshape(len(delta), -1)):
        for column, value in enumerate(values):
            axes.text(column, row, f"{value:+.1f}", ha="center", va="center", fontsize=7)
    right.colorbar(shown, ax=axes, label="mean change in factors of 2", extend="both")
    figure.savefig(path, dpi=90)


CORRUPTIONS = (
    Corruption("blur", ("blur",), (0.6, 1, 2), " px", lambda x: _filtered(ImageFilter.GaussianBlur(x))),
    Corruption("sharpening", ("sharper",), (60, 120, 250), " %", lambda x: _filtered(ImageFilter.UnsharpMask(1.5, int(x), 0))),  # noqa: E501
    Corruption("noise of each colour", ("noise",), (5, 12, 30), " levels", lambda x: _noise(x, 3)),
    Corruption("grey noise", ("noise",), (5, 12, 30), " levels", lambda x: _noise(x, 1)),
    Corruption("JPEG", ("compression",), (40, 20, 8), " quality", _jpeg),
    Corruption("brighter", ("brightness",), (15, 30, 60), " levels", lambda x: _line(1, offset=x)),
    Corruption("darker", ("brightness",), (15, 30, 60), " levels", lambda x: _line(1, offset=-x)),
    Corruption("less light", ("brightness", "contrast"), (0.85, 0.7, 0.5), " times", _line),
    Corruption("less contrast", ("contrast",), (0.8, 0.6, 0.4), " times", lambda x: _line(x, 128)),
    Corruption("more contrast", ("contrast",), (1.2, 1.5, 2), " times", lambda x: _line(x, 128)),
    Corruption("colour cast", ("colour",), (12, 25, 50), " levels", lambda x: _line(1, offset=np.array([x, 0, -x]))),  # type: ignore[arg-type]
    Corruption("hue", ("colour",), (20, 45, 90), " degrees", _hue),
    Corruption("paler", ("saturation",), (0.7, 0.4, 0), " times", lambda x: _chroma(np.diag([1, x, x]))),
    Corruption("more colourful", ("saturation",), (1.3, 1.7, 2.5), " times", lambda x: _chroma(np.diag([1, x, x]))),
    Corruption("turned", ("orientation",), (20, 45, 90), " degrees", _turned),
)  # fmt: skip


if __name__ == "__main__":
    picture(Path(sys.argv[1]))
