"""Real images that come with scikit-learn and scikit-image, and graded changes of them."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

PX = 96
PHOTOGRAPHS = (
    "astronaut.png", "chelsea.png", "coffee.png", "color.png", "hubble_deep_field.jpg", "ihc.png",
    "motorcycle_left.png", "retina.jpg", "rocket.jpg",
)  # fmt: skip


def photographs() -> dict[str, Image.Image]:
    """By name; none of them is downloaded."""
    import skimage
    import sklearn.datasets

    folder = Path(skimage.__file__).parent / "data"
    source = {name.partition(".")[0]: folder / name for name in PHOTOGRAPHS if (folder / name).exists()}
    images = {name: Image.open(path).convert("RGB") for name, path in source.items()}
    for name in ("china", "flower"):
        images[name] = Image.fromarray(sklearn.datasets.load_sample_image(f"{name}.jpg"))
    return images


def tiles(n_of_each: int, seed: int = 0) -> np.ndarray:
    """(n, PX, PX, 3) cuts of the photographs at half their size, in random order."""
    rng, cuts = np.random.default_rng(seed), []
    for image in photographs().values():
        half = np.asarray(image.resize((max(PX, image.width // 2), max(PX, image.height // 2)), Image.Resampling.BOX))
        for _ in range(n_of_each):
            row, col = rng.integers(0, half.shape[0] - PX + 1), rng.integers(0, half.shape[1] - PX + 1)
            cuts.append(half[row : row + PX, col : col + PX])
    return rng.permutation(np.stack(cuts))


def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Handwritten digits, (n, PX, PX, 3) uint8, their labels, and their 64 values."""
    import sklearn.datasets

    source = sklearn.datasets.load_digits()
    images = np.rint(source.images * (255 / 16)).astype(np.uint8)
    large = [np.asarray(Image.fromarray(image).resize((PX, PX), Image.Resampling.BICUBIC)) for image in images]
    return np.repeat(np.stack(large)[..., None], 3, 3), source.target, source.data


def _blur(image: np.ndarray, strength: float, _rng: np.random.Generator) -> np.ndarray:
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(strength)))


def _noise(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    return _levels(image + rng.normal(0, strength, image.shape))


def _jpeg(image: np.ndarray, quality: float, _rng: np.random.Generator) -> np.ndarray:
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=int(quality))
    return np.asarray(Image.open(buffer).convert("RGB"))


def _brightness(image: np.ndarray, strength: float, _rng: np.random.Generator) -> np.ndarray:
    return _levels(image + strength)


def _contrast(image: np.ndarray, factor: float, _rng: np.random.Generator) -> np.ndarray:
    return _levels((image - 127.5) * factor + 127.5)


def _hue(image: np.ndarray, degrees: float, _rng: np.random.Generator) -> np.ndarray:
    """A turn about the grey axis, which keeps the lightness of most colours."""
    angle = np.deg2rad(degrees)
    to_yiq = np.array([colorsys.rgb_to_yiq(*unit) for unit in np.eye(3)]).T
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    return _levels(image @ (np.linalg.inv(to_yiq) @ turn @ to_yiq).T)


def _levels(values: np.ndarray) -> np.ndarray:
    return np.rint(values).clip(0, 255).astype(np.uint8)


SHIFTS: dict[str, tuple[Callable[[np.ndarray, float, np.random.Generator], np.ndarray], tuple[float, ...], str]] = {
    "blur": (_blur, (0.3, 0.5, 0.8, 1.2, 1.8, 2.6), "radius {:g} px"),
    "noise": (_noise, (2, 4, 8, 12, 18, 26), "sd {:g} levels"),
    "JPEG": (_jpeg, (95, 85, 70, 50, 30, 15), "quality {:g}"),
    "brightness": (_brightness, (4, 8, 16, 24, 36, 52), "+{:g} levels"),
    "contrast": (_contrast, (0.95, 0.9, 0.8, 0.7, 0.55, 0.4), "times {:g}"),
    "hue": (_hue, (4, 8, 15, 30, 60, 110), "{:g} degrees"),
}
"""What is done to an image, in six steps of growing strength, and how a step is written."""


def shifted(images: np.ndarray, shift: str, step: int, seed: int = 0) -> np.ndarray:
    """All images, changed alike (noise differs from image to image)."""
    change, strengths, _ = SHIFTS[shift]
    rng = np.random.default_rng([seed, step])
    return np.stack([change(image, strengths[step], rng) for image in images])
