"""Translates `preprocessor_config.json` (transformers) and `pretrained_cfg` (timm) to a `Preprocessing`.

Preprocessing that this package cannot reproduce exactly is refused. Does not import torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

from dna_pipelines.errors import ExtractorError
from dna_pipelines.imaging import Preprocessing

_Filter = Literal["bilinear", "bicubic", "lanczos", "box"]
_PILLOW: dict[int, _Filter] = {1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box"}
"""Pillow's numbers for its filters, which the files use."""

_Three = tuple[float, float, float]
_HALF: _Three = (0.5, 0.5, 0.5)
_IMAGENET: tuple[_Three, _Three] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_CLIP: tuple[_Three, _Three] = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


class _Kind(NamedTuple):
    """What a processor of transformers does where its file has no entry."""

    size: dict[str, int]
    crops: bool = False
    resample: int = 3
    colours: tuple[_Three, _Three] = (_HALF, _HALF)


_KINDS = {
    "ViT": _Kind({"height": 224, "width": 224}, resample=2),
    "DeiT": _Kind({"height": 256, "width": 256}, crops=True),
    "Beit": _Kind({"height": 224, "width": 224}),
    "Bit": _Kind({"shortest_edge": 224}, crops=True, colours=_CLIP),
    "CLIP": _Kind({"shortest_edge": 224}, crops=True, colours=_CLIP),
    "ConvNext": _Kind({"shortest_edge": 384}),
    # transformers resizes to fractions of levels, this package to whole ones: within one level of 8 bits.
    "DINOv3ViT": _Kind({"height": 224, "width": 224}, resample=2, colours=_IMAGENET),
    "Siglip": _Kind({"height": 224, "width": 224}),
}

_WITHOUT_EFFECT = {"do_convert_rgb", "do_reduce_labels", "do_resize", "do_center_crop", "do_rescale", "do_normalize"}


def from_transformers(config: Mapping[str, Any], where: str) -> Preprocessing:
    """The preprocessing that a processor of transformers does.

    Args:
        config: the contents of `preprocessor_config.json`.
        where: the network and the file, for messages.

    Raises:
        ExtractorError: `network.preprocessing-unsupported` when the processor is of an unknown kind or does something
            that cannot be reproduced exactly, `network.preprocessing-invalid` when a value has no meaning.
    """
    named = str(config.get("image_processor_type") or config.get("feature_extractor_type") or "")
    name = re.sub(r"(ImageProcessor|FeatureExtractor)(Fast|Pil)?$", "", named)
    kind = _KINDS.get(name)
    if kind is None:
        raise ExtractorError(
            f"{where}: images are prepared by '{named}', which is none of {', '.join(sorted(_KINDS))}. If one of these "
            "can do the same, put the network's files into a folder, with a preprocessor_config.json of that kind "
            "(`image_processor_type`, such as ViTImageProcessor), and load it as local:FOLDER",
            code="network.preprocessing-unsupported",
            where=where,
            setting="image_processor_type",
            value=named,
            supported=sorted(_KINDS),
        )
    unknown = [key for key, value in config.items() if key.startswith("do_") and value and key not in _WITHOUT_EFFECT]
    if unknown or config.get("rescale_offset"):
        setting = ", ".join(unknown) or "rescale_offset"
        raise _unsupported(where, setting, f"its images are prepared with {setting}, which is not supported")
    settings = _Settings(config, where)
    if not settings.enabled("do_resize", default=True):
        raise _unsupported(where, "do_resize", "its images are not resized, but networks here take images of one size")
    size = settings.size("size", kind.size)
    crop = None
    if settings.enabled("do_center_crop", default=kind.crops):
        crop = _square(settings.size("crop_size", {"height": 224, "width": 224}), where, "crop_size")
    fit: Literal["squash", "crop"]
    if name == "ConvNext":
        # Small images are enlarged and cropped, as the networks were evaluated; from 384 px on they are squashed.
        short = _edge(size, "shortest_edge", where, "size")
        resized = int(short / settings.positive("crop_pct", 224 / 256)) if short < 384 else short
        fit, edge, kept = ("crop", resized, short) if short < 384 else ("squash", short, short)
    elif "shortest_edge" in size:
        fit, edge = "crop", _edge(size, "shortest_edge", where, "size")
        if crop is None:
            raise _unsupported(where, "size", "its images keep their shape, but networks here take squares")
        kept = crop
    else:
        fit, edge = "squash", _square(size, where, "size")
        kept = edge if crop is None else crop
    if kept > edge:
        raise _unsupported(where, "crop_size", f"cropping {kept} px from {edge} px needs padding, which is not done")
    interpolation = settings.filter("resample", kind.resample)
    mean, std = _colours(settings, kind)
    return Preprocessing(kept, fit, interpolation, mean, std, crop_share=kept / edge)


def from_timm(config: Mapping[str, Any], where: str) -> Preprocessing:
    """The preprocessing of timm's `pretrained_cfg`, as timm evaluates the network.

    Raises:
        ExtractorError: `network.preprocessing-unsupported` when it cannot be reproduced exactly.
    """
    channels, height, width = config.get("test_input_size") or config["input_size"]
    if channels != 3 or height != width:
        took = f"it takes images of {channels} × {height} × {width}; use one that takes squares of 3 channels"
        raise _unsupported(where, "input_size", took, [channels, height, width])
    interpolation, mode = config.get("interpolation", "bicubic"), config.get("crop_mode", "center")
    if interpolation not in get_args(_Filter):
        problem = f"its images are resized with {interpolation}, which is not supported"
        raise _unsupported(where, "interpolation", problem, interpolation)
    if mode not in ("center", "squash"):
        raise _unsupported(where, "crop_mode", f"its images are cropped with {mode}, which is not supported", mode)
    share = config.get("test_crop_pct") or config.get("crop_pct") or 0.875
    edge = int(height / share)
    mean, std = (tuple(map(float, config[key])) for key in ("mean", "std"))
    fit: Literal["squash", "crop"] = "squash" if mode == "squash" else "crop"
    return Preprocessing(height, fit, interpolation, mean, std, crop_share=height / edge)  # type: ignore[arg-type]


def _unsupported(where: str, setting: str, problem: str, value: Any = None) -> ExtractorError:
    return ExtractorError(
        f"{where}: {problem}",
        code="network.preprocessing-unsupported",
        where=where,
        setting=setting,
        **({} if value is None else {"value": value}),
    )


class _Settings(NamedTuple):
    """The settings of a file, read one by one; a value without a meaning is refused, with what is allowed.

    As in transformers, null is the kind's default, and in the switches `do_…` it is false.
    """

    config: Mapping[str, Any]
    where: str

    def enabled(self, key: str, *, default: bool) -> bool:
        """The value of a switch."""
        given = self.config.get(key, default)
        if not isinstance(given, bool | None):
            raise self._refused(key, given, "true or false")
        return bool(given)

    def size(self, key: str, default: dict[str, int]) -> dict[str, int]:
        """A size as a mapping from edges to pixels; old files have one number, for the edges of the kind's default."""
        given = self._given(key, default)
        edges = given
        if _is_edge(given):
            edges = dict.fromkeys(default, given)
        elif isinstance(given, list | tuple) and len(given) == 2:
            edges = dict(zip(("height", "width"), given, strict=True))
        if isinstance(edges, dict):
            edges = {name: edge for name, edge in edges.items() if edge is not None}
            if edges and all(map(_is_edge, edges.values())):
                return {name: int(edge) for name, edge in edges.items()}
        raise self._refused(key, given, "whole pixels: a number, or an object with height and width, or shortest_edge")

    def positive(self, key: str, default: float) -> float:
        """A number above 0."""
        given = self._given(key, default)
        if not _is_number(given) or given <= 0:
            raise self._refused(key, given, "a number greater than 0")
        return float(given)

    def filter(self, key: str, default: int) -> _Filter:
        """The filter for resizing, for which the file has Pillow's number."""
        given = self._given(key, default)
        if not _is_number(given) or given not in _PILLOW:
            known = ", ".join(f"{number} ({name})" for number, name in _PILLOW.items())
            raise self._refused(key, given, f"the number of a supported Pillow filter: {known}")
        return _PILLOW[given]

    def colour(self, key: str, default: _Three, *, positive: bool = False) -> _Three:
        """One number for each channel; a single number counts for all of them."""
        given = self._given(key, default)
        three = given if isinstance(given, list | tuple) else (given,) * 3
        if len(three) != 3 or not all(_is_number(value) and (value > 0 or not positive) for value in three):
            raise self._refused(key, given, f"one number, or three{', greater than 0' if positive else ''}")
        red, green, blue = three
        return float(red), float(green), float(blue)

    def _given(self, key: str, default: Any) -> Any:
        given = self.config.get(key)
        return default if given is None else given

    def _refused(self, key: str, given: Any, allowed: str) -> ExtractorError:
        return ExtractorError(
            f"{self.where}: {key} is {given!r}, but must be {allowed}",
            code="network.preprocessing-invalid",
            where=self.where,
            setting=key,
            value=given,
        )


def _is_number(value: Any) -> bool:
    """Whether it is a usable number; JSON also has infinite ones, and integers that no float can hold."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e30


def _is_edge(value: Any) -> bool:
    return _is_number(value) and value >= 1 and value == int(value)


def _square(size: dict[str, int], where: str, setting: str) -> int:
    height, width = _edge(size, "height", where, setting), _edge(size, "width", where, setting)
    if height != width:
        problem = f"it takes images of {height} × {width} px, but networks here take squares"
        raise _unsupported(where, setting, problem, size)
    return height


def _edge(size: dict[str, int], name: str, where: str, setting: str) -> int:
    if set(size) - {"height", "width", "shortest_edge"} or name not in size:
        raise _unsupported(where, setting, f"{setting} is {size}, which is not supported", size)
    return size[name]


def _colours(settings: _Settings, kind: _Kind) -> tuple[_Three, _Three]:
    """Mean and standard deviation on a scale of [0, 1], whatever scale the file uses."""
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if settings.enabled("do_normalize", default=True):
        mean = settings.colour("image_mean", kind.colours[0])
        std = settings.colour("image_std", kind.colours[1], positive=True)
    factor = settings.positive("rescale_factor", 1 / 255) if settings.enabled("do_rescale", default=True) else 1.0
    if abs(factor * 255 - 1) < 1e-9:
        return mean, std
    scale = 255 * factor
    return tuple(value / scale for value in mean), tuple(value / scale for value in std)  # type: ignore[return-value]
