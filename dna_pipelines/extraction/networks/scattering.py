"""A wavelet scattering network: no weights, and neurons that have names.

Scattering (Mallat, Group invariant scattering, 2012; Bruna and Mallat, Invariant scattering convolution
networks, 2013): the modulus of Morlet wavelets, once and twice, averaged. Second-order responses are divided by
the first-order ones they come from (Andén and Mallat, Deep scattering spectrum, 2014), so they describe how the
energy of an octave is distributed (lines, texture, noise), independent of its amount.

Images have 96 px, and are mirrored at their borders to 128 px. The opponent colours (van de Sande et al., Evaluating
color descriptors, 2010) are an orthonormal transform of red, green and blue, so noise that is equal in these is
equal in those.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import pad

from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.extractor import Network
from dna_pipelines.extraction.files.catalogue import KNOWN
from dna_pipelines.extraction.files.scattering_bands import (
    COLOURS,
    N_OCTAVES,
    ORIENTATIONS,
    bands,
    first_order,
    names_of,
    second_order,
)
from dna_pipelines.identity import stable_hash
from dna_pipelines.imaging import Preprocessing

SIZE_PX = 96
MARGIN_PX = 16
GRID_PX = SIZE_PX + 2 * MARGIN_PX

STEP_PX = 2**N_OCTAVES
"""Distance of the centres around which responses are averaged."""

AVERAGE_PX = 8.0
"""Standard deviation of the Gaussian that averages."""

CENTRE = 3 * math.pi / 4
"""Centre frequency of the finest wavelet, radians a pixel: a wave of 2.7 px. Each octave halves it."""

WIDTH_PX = 0.8
"""Standard deviation of the finest wavelet's Gaussian. Each octave doubles it."""

FLOOR = 1 / 255
"""One level of 8 bits: responses well below it are rounding errors, and count as zero."""

_OPPONENT = {"luminance": (1.0, 1.0, 1.0), "blue-yellow": (-1.0, -1.0, 2.0), "red-green": (1.0, -1.0, 0.0)}
"""Coefficients of red, green and blue, before they are scaled to length 1."""


def scattering() -> Network:
    """Wavelets without weights; the names of the neurons say colour, octave and orientation."""
    layers, known = bands(), KNOWN["scattering"]
    design = ["scattering", SIZE_PX, MARGIN_PX, STEP_PX, AVERAGE_PX, CENTRE, WIDTH_PX, FLOOR, _OPPONENT, list(layers)]
    return Network(
        name="scattering",
        module=Scattering(),
        # Cropped, not squashed: squashing would change orientations and octaves.
        preprocessing=Preprocessing(SIZE_PX, "crop", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
        taps=tuple(layers),
        weights_digest="",
        architecture=f"scattering/1/{stable_hash(design)[:12]}",
        licence=known.licence,
        summary=known.summary,
        covariance_layers=tuple(layers),
        image_layers=tuple(layers),
        neuron_names={name: names_of(layer) for name, layer in layers.items()},
    )


class Scattering(nn.Module):
    """Maps (n, 3, 96, 96) red, green, blue from 0 to 1; each tapped layer returns (n, n_neurons, 6, 6).

    `lowpass` is the average of each colour; `order1` is log2(1 + average of |wavelet| / FLOOR), so a
    difference of 1 is a factor of 2; `order2` is a ratio from 0 to about 1.
    """

    opponent: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        widths = {name: len(layer) for name, layer in bands().items()}
        octaves = range(N_OCTAVES)
        self.lowpass = _Answer(widths["lowpass"])
        self.order1, self.order2 = nn.Module(), nn.Module()
        for octave in octaves:
            self.order1.add_module(f"octave{octave}", _Answer(widths[first_order(octave)]))
        for octave in octaves[:-1]:
            self.order2.add_module(f"octave{octave}", _Answer(widths[second_order(octave)]))
        self.average = _Average(GRID_PX)
        self.first = nn.ModuleList(_Wavelets(GRID_PX, octave) for octave in octaves)
        self.second = nn.ModuleList(_Second(octave) for octave in octaves[:-1])
        opponent = torch.tensor([_OPPONENT[colour] for colour in COLOURS], dtype=torch.float64)
        self.register_buffer("opponent", (opponent / opponent.norm(dim=1, keepdim=True)).float(), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(n, 3, 96, 96) to the output of the low-pass layer, (n, 3, 6, 6); the other layers can be tapped."""
        if images.shape[-2:] != (SIZE_PX, SIZE_PX):
            raise ExtractorError(
                f"scattering takes images of {SIZE_PX} px, not of {tuple(images.shape[-2:])}",
                code="network.forward",
                network="scattering",
                size_px=int(images.shape[-1]),
            )
        # One image fits into a processor's cache, and computed alone it cannot depend on others.
        together = 1 if images.device.type == "cpu" else len(images)
        parts = [self._answers(part) for part in torch.split(images, together)]
        for layer in parts[0]:
            last: torch.Tensor = self.get_submodule(layer)(torch.cat([part[layer] for part in parts]))
        return last

    def _answers(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """The outputs of the layers."""
        outputs: dict[str, torch.Tensor] = {}
        colours = (images.unsqueeze(1) * self.opponent[:, :, None, None]).sum(2)
        mirrored = pad(colours, (MARGIN_PX,) * 4, mode="reflect")
        spectra = torch.fft.fft2(mirrored)
        for octave, wavelets in enumerate(self.first):
            answers, averaged = wavelets(spectra)
            outputs[first_order(octave)] = torch.log2(1 + averaged.flatten(1, 2) / FLOOR)
            if octave < N_OCTAVES - 1:
                outputs[second_order(octave)] = self.second[octave](answers[:, 0], averaged[:, 0])
        return {**outputs, "lowpass": self.average(mirrored)}


class _Answer(nn.Identity):
    """A module that returns the output of a layer, so that it can be tapped."""

    def __init__(self, n_neurons: int) -> None:
        super().__init__()
        # Probing reads this attribute to identify the axis of the neurons.
        self.out_channels = n_neurons


class _Second(nn.Module):
    """The responses of coarser wavelets to the responses of one octave."""

    def __init__(self, octave: int) -> None:
        super().__init__()
        # On a grid thinned by some octaves, a wavelet has the shape of one that is as many octaves finer.
        size = GRID_PX >> octave
        self.coarser = nn.ModuleList(_Wavelets(size, more) for more in range(1, N_OCTAVES - octave))

    def forward(self, answers: torch.Tensor, averaged: torch.Tensor) -> torch.Tensor:
        """(n, 4, size, size) responses and their (n, 4, 6, 6) averages to (n, n_neurons, 6, 6) ratios."""
        spectra = torch.fft.fft2(answers)
        second = torch.stack([wavelets(spectra)[1] for wavelets in self.coarser], 1)
        return (second / (averaged[:, None, :, None] + FLOOR)).flatten(1, 3)


class _Wavelets(nn.Module):
    """The modulus of four wavelets of one octave, on a grid thinned by that octave, and its averages."""

    filters: torch.Tensor
    shift: torch.Tensor

    def __init__(self, size: int, octave: int) -> None:
        super().__init__()
        # Coarse wavelets are zero at high frequencies: cutting those off thins the grid.
        self.n_cut = max(octave - 1, 0)
        self.n_folded = octave - self.n_cut
        inner = size >> self.n_cut
        filters = torch.from_numpy(morlet(inner, self.n_folded)).float()
        # Twice each, for the real and the imaginary part: torch multiplies reals several times faster.
        self.register_buffer("filters", filters.repeat_interleave(2, dim=-1), persistent=False)
        self.average = _Average(size >> octave)
        self.register_buffer("shift", torch.from_numpy(half_step(inner, octave)).to(torch.complex64), persistent=False)

    def forward(self, spectra: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Spectra (..., size, size) to (..., 4, size >> octave, size >> octave) and (..., 4, 6, 6)."""
        for axis in (-2, -1) if self.n_cut else ():
            edge = spectra.shape[axis] >> self.n_cut + 1
            positive, negative = spectra.narrow(axis, 0, edge), spectra.narrow(axis, -edge, edge)
            spectra = torch.cat([positive, negative], axis)
        product = torch.view_as_real(spectra * self.shift).flatten(-2).unsqueeze(-3) * self.filters
        if self.n_folded:
            # Thinning by 2 is folding the spectrum.
            half = product.shape[-2] // 2
            product = product[..., :half, :] + product[..., half:, :]
            product = product[..., : 2 * half] + product[..., 2 * half :]
        spectra = torch.view_as_complex(product.reshape(*product.shape[:-1], -1, 2))
        parts = torch.view_as_real(torch.fft.ifft2(spectra))
        squares = parts[..., 0].square() + parts[..., 1].square()
        answers = squares.sqrt() / 4 ** (self.n_cut + self.n_folded)
        return answers, self.average(answers)


class _Average(nn.Module):
    """Gaussian averages around 6 x 6 centres inside the margin, from any grid."""

    weights: torch.Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("weights", torch.from_numpy(averages(size)).float(), persistent=False)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(..., size, size) to (..., 6, 6)."""
        return self.weights @ (values @ self.weights.T)


def morlet(size: int, octave: int) -> NDArray[np.float64]:
    """Fourier transforms of the wavelets of an octave, one for each orientation: (4, size, size).

    The response to a cosine of a wavelet's centre frequency and of amplitude a is a, on average (the finest waves are
    so close to the shortest possible ones that their responses ripple); the response to a constant is 0.
    """
    axis = 2 * np.pi * np.fft.fftfreq(size)
    width, centre = WIDTH_PX * 2**octave, CENTRE / 2**octave

    def gaussian(along_x: float, along_y: float) -> NDArray[np.float64]:
        """Around a frequency; the spectrum of a sampled signal repeats."""
        x, y = (
            sum(np.exp(-(((axis - along + 2 * np.pi * turn) * width) ** 2) / 2) for turn in (-1, 0, 1))
            for along in (along_x, along_y)
        )
        return np.asarray(y[:, None] * x)

    constant, wavelets = gaussian(0.0, 0.0), []
    peak = (1 - np.exp(-((width * centre) ** 2))) / 2
    for index in range(len(ORIENTATIONS)):
        # Edges that run vertically are waves that run to the right, rising ones waves to the right and down.
        angle = np.pi * index / len(ORIENTATIONS)
        wave = gaussian(centre * np.cos(angle), centre * np.sin(angle))
        wavelets.append((wave - constant * (wave[0, 0] / constant[0, 0])) / peak)
    return np.stack(wavelets)


def half_step(size: int, octave: int) -> NDArray[np.complex128]:
    """A factor of spectra that moves the signal by half a step of the thinned grid, less half a pixel: (size, size).

    With it, the thinned grid is symmetric in the image, and turning the image by 90 degrees turns the responses.
    `size` is that of the spectrum after the high frequencies are cut off that thinning by 2 does not need.
    """
    shift = np.exp(1j * np.pi * np.fft.fftfreq(size) * (2**octave - 1) / 2 ** max(octave - 1, 0))
    return np.asarray(shift[:, None] * shift)


def averages(size: int) -> NDArray[np.float64]:
    """Weights of a Gaussian average around each of the 6 centres, on a grid thinned to `size`: (6, size)."""
    step = GRID_PX // size
    grid = np.arange(size) * step + (step - 1) / 2
    centres = MARGIN_PX + (np.arange(SIZE_PX // STEP_PX) + 0.5) * STEP_PX - 0.5
    weights = np.exp(-(((grid - centres[:, None]) / AVERAGE_PX) ** 2) / 2)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
