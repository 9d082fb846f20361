"""Generators of known quality: ladders of samplers that imitate real images better from rung to rung.

What orders a ladder is how it is made: more components of one Gaussian, more Gaussians of one mixture, a narrower
kernel, more classes, more distinct images, less blur. Nothing is tuned by any distance.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from benchmarks.shifts import photographs

CELL_PX, N_CELLS, N_AXES = 24, 55, 24
"""Edge of a crop, how many of each photograph are on each side, and the axes of mixtures."""


@dataclass(frozen=True, eq=False)
class Real:
    """Real images, (n, edge, edge, n_channels) from 0 to 255, and the kind of each: its digit, its photograph."""

    images: np.ndarray
    kinds: np.ndarray

    def __getitem__(self, chosen) -> Real:
        return Real(self.images[chosen], self.kinds[chosen])


def digits() -> Real:
    """scikit-learn's handwritten digits, 8 x 8."""
    from sklearn.datasets import load_digits

    result = load_digits()
    return Real(result.images[..., None] * (255 / 16), result.target)


def crops() -> Real:
    """Cells of 24 x 24 that do not overlap, from photographs at half their size, as many of each."""
    rng, images, kinds = np.random.default_rng(0), [], []
    for kind, photo in enumerate(photographs().values()):
        half = np.asarray(photo.resize((photo.width // 2, photo.height // 2), Image.Resampling.BOX), float)
        rows, columns = (size // CELL_PX for size in half.shape[:2])
        some = rng.permutation(rows * columns)[: 2 * N_CELLS]
        for row, column in zip(*np.divmod(some, columns), strict=True):
            images.append(half[row * CELL_PX :, column * CELL_PX :][:CELL_PX, :CELL_PX])
            kinds.append(kind)
    return Real(np.stack(images), np.array(kinds))


SOURCES = {"digits": digits, "crops": crops}


def halves(real: Real, rng: np.random.Generator) -> tuple[Real, Real]:
    """To train on and to hold out, with every kind in equal parts on both sides."""
    order = rng.permutation(len(real.kinds))
    order = order[np.argsort(real.kinds[order], kind="stable")]
    return real[order[::2]], real[order[1::2]]


def pixels(images: np.ndarray) -> np.ndarray:
    """(n, edge, edge, 3) uint8, for extractors."""
    result = np.rint(images).clip(0, 255).astype(np.uint8)
    return result if result.shape[-1] == 3 else np.repeat(result, 3, axis=-1)


Rung = Callable[[int], np.ndarray]
"""Draws n images."""


def ladders(train: Real, rng: np.random.Generator) -> dict[str, list[Rung]]:
    """Six ladders of six rungs, from the worst to the best. The last rungs of some draw training images."""
    return {
        "PCA": [gaussian(train, rank, rng) for rank in (1, 3, 6, 12, 24, 48)],
        "GMM": [_mixture(train, n, rng) for n in (1, 2, 4, 8, 16, 32)],
        "KDE": [_kernel(train, width, rng) for width in (1.6, 1.1, 0.75, 0.5, 0.3, 0.15)],
        "modes": [_some_kinds(train, n, rng) for n in (2, 4, 6, 8, 9, 10)],
        "collapse": [_some_images(train, n, rng) for n in (2, 4, 8, 16, 32, len(train.kinds))],
        "blur": [_blurred(train, width, rng) for width in (1.4, 1.0, 0.75, 0.55, 0.4, 0.0)],
    }


def principal(train: Real) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, axes (n_axes, n_pixels) and standard deviations along them, the largest first."""
    flat = train.images.reshape(len(train.images), -1)
    mean = flat.mean(axis=0)
    _, scales, axes = np.linalg.svd(flat - mean, full_matrices=False)
    return mean, axes, scales / (len(flat) - 1) ** 0.5


def gaussian(train: Real, rank: int, rng: np.random.Generator) -> Rung:
    """One Gaussian on the first axes."""
    mean, axes, scales = principal(train)

    def draw(n: int) -> np.ndarray:
        flat = mean + rng.normal(size=(n, rank)) * scales[:rank] @ axes[:rank]
        return flat.reshape(n, *train.images.shape[1:])

    return draw


def mixture(train: Real, n_parts: int, seed: int):
    """A mixture of Gaussians with diagonal covariances on the first axes; a floor keeps parts from being one image."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    mean, axes, scales = principal(train)
    coordinates = (train.images.reshape(len(train.images), -1) - mean) @ axes[:N_AXES].T
    result = GaussianMixture(n_parts, covariance_type="diag", reg_covar=0.02 * scales[0] ** 2, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return result.fit(coordinates), mean, axes[:N_AXES]


def _mixture(train: Real, n_parts: int, rng: np.random.Generator) -> Rung:
    fitted, mean, axes = mixture(train, n_parts, int(rng.integers(2**31)))

    def draw(n: int) -> np.ndarray:
        part = rng.choice(n_parts, n, p=fitted.weights_)
        coordinates = fitted.means_[part] + rng.normal(size=(n, N_AXES)) * np.sqrt(fitted.covariances_[part])
        return (mean + coordinates @ axes).reshape(n, *train.images.shape[1:])

    return draw


def _kernel(train: Real, width: float, rng: np.random.Generator) -> Rung:
    """Widths are in units of the mean deviation of a pixel."""
    scale = width * train.images.std(axis=0).mean()

    def draw(n: int) -> np.ndarray:
        return _drawn(train, n, rng) + rng.normal(0, scale, (n, *train.images.shape[1:]))

    return draw


def _some_kinds(train: Real, n_kinds: int, rng: np.random.Generator) -> Rung:
    kept = train[np.isin(train.kinds, rng.permutation(np.unique(train.kinds))[:n_kinds])]
    return lambda n: _drawn(kept, n, rng)


def _some_images(train: Real, n_images: int, rng: np.random.Generator) -> Rung:
    kept = train[rng.permutation(len(train.kinds))[:n_images]]
    return lambda n: _drawn(kept, n, rng)


def _blurred(train: Real, width: float, rng: np.random.Generator) -> Rung:
    return lambda n: ndimage.gaussian_filter(_drawn(train, n, rng), (0, width, width, 0))


def _drawn(train: Real, n: int, rng: np.random.Generator) -> np.ndarray:
    """Each image once, as long as there are enough."""
    n_times = -(-n // len(train.kinds))
    return train.images[np.concatenate([rng.permutation(len(train.kinds)) for _ in range(n_times)])[:n]]
