"""What the neurons of the scattering network are called; readable without torch.

A neuron's name is its colour and then, wavelet by wavelet, octave and orientation: `luminance low-pass`,
`red-green octave0 vertical`, `luminance octave0 vertical octave2 rising`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

COLOURS = ("luminance", "blue-yellow", "red-green")
"""The opponent colours O3, O2, O1 of van de Sande et al. (2010), blue and red counted as more."""

ORIENTATIONS = ("vertical", "rising", "horizontal", "falling")
"""How the edges run that a wavelet answers to, every 45 degrees; `rising` is /, `falling` is \\."""

N_OCTAVES = 4

_LOWPASS = "low-pass"
_OCTAVE = "octave"


@dataclass(frozen=True)
class Band:
    """What one neuron sees.

    Attributes:
        colour: of `COLOURS`.
        path: octave (0 is the finest) and orientation of each wavelet it has been through; none for low-pass.
    """

    colour: str
    path: tuple[tuple[int, str], ...] = ()

    @property
    def name(self) -> str:
        """As a person reads it."""
        wavelets = [f"{_OCTAVE}{octave} {orientation}" for octave, orientation in self.path]
        return " ".join([self.colour, *(wavelets or [_LOWPASS])])

    @staticmethod
    def parse(name: str) -> Band | None:
        """The band of a name; None for names that are not of this kind."""
        return _BANDS.get(name)


def bands() -> dict[str, tuple[Band, ...]]:
    """The bands of every layer, in the order of its neurons."""
    found: dict[str, tuple[Band, ...]] = {"lowpass": tuple(Band(colour) for colour in COLOURS)}
    for octave in range(N_OCTAVES):
        found[first_order(octave)] = tuple(Band(colour, ((octave, o),)) for colour in COLOURS for o in ORIENTATIONS)
    for octave in range(N_OCTAVES - 1):
        found[second_order(octave)] = tuple(
            Band(COLOURS[0], ((octave, before), (then, after)))
            for then in range(octave + 1, N_OCTAVES)
            for before in ORIENTATIONS
            for after in ORIENTATIONS
        )
    return found


def first_order(octave: int) -> str:
    """The layer of one wavelet."""
    return f"order1.{_OCTAVE}{octave}"


def second_order(octave: int) -> str:
    """The layer of what a second wavelet sees in the answers to a first one of that octave."""
    return f"order2.{_OCTAVE}{octave}"


def names_of(some: Sequence[Band]) -> tuple[str, ...]:
    """The names of bands, in order."""
    return tuple(band.name for band in some)


_BANDS = {band.name: band for some in bands().values() for band in some}
