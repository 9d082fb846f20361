"""The bands of the scattering network: what each of its neurons responds to, and its name. Does not import torch.

A neuron's name is its colour, followed by octave and orientation of each wavelet: `luminance low-pass`,
`red-green octave0 vertical`, `luminance octave0 vertical octave2 rising`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

COLOURS = ("luminance", "blue-yellow", "red-green")
"""The opponent colours O3, O2, O1 of van de Sande et al. (2010); more blue and more red are higher values."""

ORIENTATIONS = ("vertical", "rising", "horizontal", "falling")
"""The direction of the edges that a wavelet responds to, in steps of 45 degrees; `rising` is /, `falling` is \\."""

N_OCTAVES = 4

_LOWPASS = "low-pass"
_OCTAVE = "octave"


@dataclass(frozen=True)
class Band:
    """What one neuron responds to.

    Attributes:
        colour: one of `COLOURS`.
        path: octave (0 is the finest) and orientation of each wavelet, in order of application; empty for low-pass.
    """

    colour: str
    path: tuple[tuple[int, str], ...] = ()

    @property
    def name(self) -> str:
        """The name of the neuron."""
        wavelets = [f"{_OCTAVE}{octave} {orientation}" for octave, orientation in self.path]
        return " ".join([self.colour, *(wavelets or [_LOWPASS])])

    @staticmethod
    def parse(name: str) -> Band | None:
        """The band with this name; None if there is none."""
        return _BANDS.get(name)


def bands() -> dict[str, tuple[Band, ...]]:
    """The bands of every layer, in the order of its neurons."""
    layers: dict[str, tuple[Band, ...]] = {"lowpass": tuple(Band(colour) for colour in COLOURS)}
    for octave in range(N_OCTAVES):
        layers[first_order(octave)] = tuple(Band(colour, ((octave, o),)) for colour in COLOURS for o in ORIENTATIONS)
    for octave in range(N_OCTAVES - 1):
        layers[second_order(octave)] = tuple(
            Band(COLOURS[0], ((octave, before), (then, after)))
            for then in range(octave + 1, N_OCTAVES)
            for before in ORIENTATIONS
            for after in ORIENTATIONS
        )
    return layers


def first_order(octave: int) -> str:
    """The name of the layer of single wavelets of an octave."""
    return f"order1.{_OCTAVE}{octave}"


def second_order(octave: int) -> str:
    """The name of the layer of second wavelets, applied to the responses of first ones of an octave."""
    return f"order2.{_OCTAVE}{octave}"


def names_of(layer: Sequence[Band]) -> tuple[str, ...]:
    """The names of bands, in order."""
    return tuple(band.name for band in layer)


_BANDS = {band.name: band for layer in bands().values() for band in layer}
