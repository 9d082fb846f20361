"""What changed between two datasets, in words: from the names of the scattering network's neurons.

The rules and their limits were chosen on photographs and are measured on others (`python -m benchmarks words`,
docs/scattering.md). They do not apply to networks whose neurons have other names, or none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.comparison import Comparison
from dna_pipelines.distributions import Layers, Moments
from dna_pipelines.extraction.files.scattering_bands import COLOURS, N_OCTAVES, ORIENTATIONS, Band

Names = Mapping[str, Sequence[str]]
"""By layer, the names of its neurons."""

F64 = NDArray[np.float64]

Direction = Literal["more", "less", "spread differently"]

_LIMITS = {
    "brightness": (2.8, 0.02),
    "blue": (2.3, 0.015),
    "red": (2.3, 0.015),
    "contrast": (2.2, 0.15),
    "saturation": (2.3, 0.15),
    "luminance detail": (1.4, 0.15),
    "colour detail": (1.5, 0.15),
    "orientation": (1.0, 0.06),
}
"""What counts as a change: so many standard errors (about the 99th percentile of random halves of photographs,
cut into tiles), and so much. An error is that of single octaves or orientations; their differences vary less,
because the octaves of an image vary together, so details and orientation need fewer."""

_MANY = 3
"""So many kinds of change at once mean other content."""


@dataclass(frozen=True)
class Finding:
    """One change from `a` to `b`.

    Attributes:
        kind: a stable word.
        text: its description.
        strength: how many times the limit above which it counts as a change; at least 1.
    """

    kind: str
    text: str
    strength: float


@dataclass(frozen=True)
class Leader:
    """A neuron that changed much.

    Attributes:
        name: of the neuron; empty where it has none.
        shift_bins: mean in `b` less mean in `a`, in bins.
        factor: for a wavelet, its response in `b` as a multiple of that in `a` (each plus one level of 8 bits); None
            for other neurons.
    """

    layer: str
    neuron: int
    name: str
    emd_bins: float
    shift_bins: float
    factor: float | None = None

    @property
    def direction(self) -> Direction:
        """Whether its mean rose or fell; where the mean moved less than half as far as the mass, the shape changed."""
        if abs(self.shift_bins) < self.emd_bins / 2:
            return "spread differently"
        return "more" if self.shift_bins > 0 else "less"

    @property
    def text(self) -> str:
        """A description in one line."""
        times = f", ×{self.factor:.2g}" if self.factor and self.direction != "spread differently" else ""
        name = self.name or f"{self.layer}:{self.neuron}"
        return f"{name}: {self.direction}{times} (EMD {self.emd_bins:.3g} bins)"


def explain(comparison: Comparison, names: Names) -> list[str]:
    """Descriptions of what changed from `a` to `b`, the clearest first; empty where no change is clear or known.

    Args:
        comparison: of two DNAs of the scattering network, with all its first-order layers.
        names: of the neurons, see `Fingerprints.names`.
    """
    if comparison.a.moments is None or comparison.b.moments is None:
        return []
    changes = findings(comparison.a.moments, comparison.b.moments, comparison.a.layers, names)
    texts = [change.text for change in changes]
    if len({change.kind for change in changes}) >= _MANY:
        return ["several things changed at once, which suggests other content:", *texts]
    return texts


def leaders(comparison: Comparison, names: Names, n: int = 5) -> list[Leader]:
    """The neurons with the largest EMD, of any network; none where a side has no histograms."""
    a, b, layers = comparison.a, comparison.b, comparison.a.layers
    if a.counts is None or b.counts is None:
        return []
    real = np.repeat([layer.kind == "neuron" for layer in layers], [layer.n_neurons for layer in layers])
    emd = np.where(real & np.isfinite(comparison.emd_bins), comparison.emd_bins, -1.0)
    largest = []
    for index in np.argsort(-emd, kind="stable")[:n]:
        if emd[index] <= 0:
            break
        layer = next(name for name, part in layers.slices.items() if part.start <= index < part.stop)
        neuron = int(index - layers.slices[layer].start)
        name = names[layer][neuron] if layer in names else ""
        shift = _mean_bin(b.counts[index]) - _mean_bin(a.counts[index])
        factor = None
        if (band := Band.parse(name)) and len(band.path) == 1 and a.moments and b.moments:
            factor = float(2 ** (b.moments.mean[index] - a.moments.mean[index]))
        largest.append(Leader(layer, neuron, name, float(emd[index]), shift, factor))
    return largest


def findings(a: Moments, b: Moments, layers: Layers, names: Names) -> list[Finding]:
    """What changed from `a` to `b`, the strongest first."""
    indices = _indices(layers, names)
    if indices is None or min(a.n_images.min(), b.n_images.min()) < 2:
        return []
    change = _Change.of(a, b, indices)
    clear = [finding for finding in (_detail(change), _orientation(change), *_levels(change)) if finding]
    return sorted(clear, key=lambda finding: -finding.strength)


@dataclass(frozen=True, eq=False)
class _Indices:
    """Indices of the neurons with names, in an array over all neurons.

    Attributes:
        lowpass: (3,) by colour.
        first: (3, 4, 4) by colour, octave and orientation.
        wide: second-order neurons of waves that come and go over at least four times their length.
    """

    lowpass: NDArray[np.intp]
    first: NDArray[np.intp]
    wide: NDArray[np.intp]


def _indices(layers: Layers, names: Names) -> _Indices | None:
    """None where a neuron of the scattering network is missing."""
    index_of = {
        name: part.start + neuron
        for layer, part in layers.slices.items()
        for neuron, name in enumerate(names.get(layer, ()))
    }
    wanted = [Band(colour) for colour in COLOURS]
    first = [Band(c, ((octave, o),)) for c in COLOURS for octave in range(N_OCTAVES) for o in ORIENTATIONS]
    if not all(band.name in index_of for band in (*wanted, *first)):
        return None
    wide = [
        index
        for name, index in index_of.items()
        if (band := Band.parse(name)) and len(band.path) == 2 and band.path[1][0] - band.path[0][0] >= 2
    ]
    grid = np.array([index_of[band.name] for band in first]).reshape(len(COLOURS), N_OCTAVES, len(ORIENTATIONS))
    return _Indices(np.array([index_of[band.name] for band in wanted]), grid, np.array(wide, np.intp))


@dataclass(frozen=True, eq=False)
class _Change:
    """Changes of means, by their name in `_LIMITS`, and how clear each is.

    Attributes:
        octaves: (3, 4) by colour and octave, in factors of 2, mean over orientations.
        turned: (4,) by orientation: the same of luminance, less its mean over orientations.
        texture: the same of the wide second-order neurons; 0 where these were not measured.
    """

    values: Mapping[str, float]
    strengths: Mapping[str, float]
    octaves: F64
    turned: F64
    texture: float

    @staticmethod
    def of(a: Moments, b: Moments, indices: _Indices) -> _Change:
        delta = b.mean - a.mean
        n_a, n_b = (np.maximum(side.n_images.astype(np.float64), 2) for side in (a, b))
        square = a.variance / n_a + b.variance / n_b
        octaves = delta[indices.first].mean(axis=2)
        errors = np.sqrt(square[indices.first].mean(axis=2))
        coarse, coarse_error = octaves[:, 2:].mean(axis=1), errors[:, 2:].mean(axis=1)
        colours, colour_errors = octaves[1:].mean(axis=0), errors[1:].mean(axis=0)
        turned = (delta[indices.first[0]] - octaves[0][:, None])[:3].mean(axis=0)
        grey = indices.lowpass[0]
        # The spread of the brightness of images is a measure of contrast too, but not where all images are black.
        known = a.variance[grey] > 0 and b.variance[grey] > 0
        spread = 0.5 * np.log2(b.variance[grey] / a.variance[grey]) if known else coarse[0]
        spread_error = np.sqrt(1 / (n_a[grey] - 1) + 1 / (n_b[grey] - 1))
        measured = {
            "brightness": (delta[grey], np.sqrt(square[grey])),
            "blue": (delta[indices.lowpass[1]], np.sqrt(square[indices.lowpass[1]])),
            "red": (delta[indices.lowpass[2]], np.sqrt(square[indices.lowpass[2]])),
            "contrast": ((coarse[0] + spread) / 2, np.hypot(coarse_error[0], spread_error) / 2),
            "saturation": (coarse[1:].mean() - coarse[0], coarse_error[1:].mean()),
            "luminance detail": (octaves[0, 0] - coarse[0], errors[0, 0]),
            "colour detail": (colours[0] - coarse[1:].mean(), colour_errors[0]),
            "orientation": (np.abs(turned).max(), np.sqrt(square[indices.first[0, :3]].mean())),
        }
        return _Change(
            {name: float(value) for name, (value, _) in measured.items()},
            {name: _strength(name, float(value), float(error)) for name, (value, error) in measured.items()},
            octaves,
            turned,
            float(delta[indices.wide].mean()) if indices.wide.size else 0.0,
        )


def _strength(name: str, value: float, error: float) -> float:
    errors, least = _LIMITS[name]
    return min(abs(value) / max(errors * error, 1e-12), abs(value) / least)


def _detail(change: _Change) -> Finding | None:
    """Of the finest octave against the coarse ones."""
    grey, colour = change.values["luminance detail"], change.values["colour detail"]
    strength = max(change.strengths["luminance detail"], change.strengths["colour detail"])
    finest = change.octaves[0, 0], change.octaves[1:, 0].mean()
    clearer = int(change.strengths["colour detail"] > change.strengths["luminance detail"])
    # Paler images lose less in the finest octave, which is nearer to the floor: it must have moved that way itself.
    if strength < 1 or (finest[clearer] > 0) != (grey + colour > 0):
        return None
    times = f"luminance ×{2 ** finest[0]:.2g}, colours ×{2 ** finest[1]:.2g}"
    what = f"finest octave {times} against"
    if grey + colour > 0:
        # Noise has no lines: its responses vary at random, more evenly than those of edges.
        if colour > 1.2 * grey or change.texture < -0.025 * grey:
            return Finding("noise", f"{what} coarse ones, without edges: noise", strength)
        return Finding("sharper", f"{what} coarse ones, along edges: sharper", strength)
    if colour < grey or change.texture > 0.01:
        return Finding("compression", f"{what} coarse ones, faint detail first: compression", strength)
    return Finding("blur", f"{what} coarse ones: blurred, or smaller images enlarged", strength)


def _orientation(change: _Change) -> Finding | None:
    strength = change.strengths["orientation"]
    if strength < 1:
        return None
    more, less = ORIENTATIONS[int(change.turned.argmax())], ORIENTATIONS[int(change.turned.argmin())]
    return Finding("orientation", f"more {more} and fewer {less} edges: turned, or other shapes", strength)


def _levels(change: _Change) -> list[Finding]:
    """Of brightness, contrast and colours."""
    levels, values, strengths = [], change.values, change.strengths
    if strengths["brightness"] >= 1:
        shift = values["brightness"] / 3**0.5 * 255
        word = "brighter" if shift > 0 else "darker"
        levels.append(Finding("brightness", f"low-pass luminance {shift:+.0f} of 255: {word}", strengths["brightness"]))
    # Less contrast reduces luminance first, because less of the colours is above the floor.
    grey, colour = change.octaves[:, 2:].mean(axis=1)[0], change.octaves[1:, 2:].mean()
    paler = strengths["saturation"] >= 1 and abs(colour) > abs(grey)
    if paler:
        word = "more colourful" if colour > 0 else "paler"
        text = f"colours ×{2**colour:.2g} in all octaves, luminance ×{2**grey:.2g}: {word}"
        levels.append(Finding("saturation", text, strengths["saturation"]))
    elif strengths["contrast"] >= 1:
        word = "more" if values["contrast"] > 0 else "less"
        text = f"luminance ×{2**grey:.2g} in coarse octaves, as in the brightness of images: {word} contrast"
        levels.append(Finding("contrast", text, strengths["contrast"]))
    shifted = max(strengths["blue"], strengths["red"])
    # Paler images, and those with less contrast, move towards grey, which is not a change of hue.
    if shifted >= 1 and not paler and (strengths["contrast"] < 1 or shifted > strengths["contrast"]):
        blue, red = (values[name] * 255 for name in ("blue", "red"))
        text = f"low-pass colours {blue:+.0f} from yellow to blue, {red:+.0f} from green to red of 255: hue or cast"
        levels.append(Finding("colour", text, shifted))
    return levels


def _mean_bin(counts: NDArray[np.uint64]) -> float:
    return float(counts @ np.arange(len(counts), dtype=np.float64) / counts.sum())
