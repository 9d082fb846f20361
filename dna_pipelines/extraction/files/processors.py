"""From other people's descriptions of preprocessing to ours: `preprocessor_config.json`, timm's `pretrained_cfg`.

What our preprocessing cannot do is refused. torch is not needed here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

from dna_pipelines.errors import ExtractorError
from dna_pipelines.imaging import Preprocessing

_Filter = Literal["bilinear", "bicubic", "lanczos", "box"]
_PILLOW: dict[int, _Filter] = {1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box"}
"""Pillow's numbers of its filters, which is what the files have."""

_Three = tuple[float, float, float]
_HALF: _Three = (0.5, 0.5, 0.5)
_IMAGENET: tuple[_Three, _Three] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_CLIP: tuple[_Three, _Three] = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


class _Kind(NamedTuple):
    """What a processor of transformers does where its file says nothing."""

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
    # Resized in fractions of levels there, and to whole levels here: within one level of 8 bits.
    "DINOv3ViT": _Kind({"height": 224, "width": 224}, resample=2, colours=_IMAGENET),
    "Siglip": _Kind({"height": 224, "width": 224}),
}

_WITHOUT_EFFECT = {"do_convert_rgb", "do_reduce_labels", "do_resize", "do_center_crop", "do_rescale", "do_normalize"}


def from_transformers(config: Mapping[str, Any], where: str) -> Preprocessing:
    """Our preprocessing for the processor of a network in the layout of transformers.

    Args:
        config: what `preprocessor_config.json` says.
        where: the network and the file, for messages.

    Raises:
        ExtractorError: when a value is none, or the processor is of a kind, or does something, that ours cannot
            do exactly.
    """
    named = str(config.get("image_processor_type") or config.get("feature_extractor_type") or "")
    name = re.sub(r"(ImageProcessor|FeatureExtractor)(Fast|Pil)?$", "", named)
    kind = _KINDS.get(name)
    if kind is None:
        raise ExtractorError(
            f"{where}: images are prepared by '{named}', which is none of {', '.join(sorted(_KINDS))}. If one of these "
            "can do the same, put the network's files into a folder, with a preprocessor_config.json of that kind "
            "(`image_processor_type`, such as ViTImageProcessor), and load it as local:FOLDER"
        )
    unknown = [key for key, value in config.items() if key.startswith("do_") and value and key not in _WITHOUT_EFFECT]
    if unknown or config.get("rescale_offset"):
        raise ExtractorError(
            f"{where}: its images are prepared with {', '.join(unknown) or 'rescale_offset'}, which is not supported"
        )
    said = _Said(config, where)
    if not said.yes("do_resize", default=True):
        raise ExtractorError(f"{where}: its images are not resized, but a network here takes images of one size")
    size = said.size("size", kind.size)
    crop = None
    if said.yes("do_center_crop", default=kind.crops):
        crop = _square(said.size("crop_size", {"height": 224, "width": 224}), where)
    fit: Literal["squash", "crop"]
    if name == "ConvNext":
        # Small ones are resized larger and cut, as the networks were tested; from 384 px on they are squashed.
        short = _edge(size, "shortest_edge", where)
        resized = int(short / said.positive("crop_pct", 224 / 256)) if short < 384 else short
        fit, edge, kept = ("crop", resized, short) if short < 384 else ("squash", short, short)
    elif "shortest_edge" in size:
        fit, edge = "crop", _edge(size, "shortest_edge", where)
        if crop is None:
            raise ExtractorError(f"{where}: its images keep their shape, but a network here takes squares")
        kept = crop
    else:
        fit, edge = "squash", _square(size, where)
        kept = edge if crop is None else crop
    if kept > edge:
        raise ExtractorError(f"{where}: {kept} px are cut out of {edge} px, which would need padding")
    interpolation = said.filter("resample", kind.resample)
    mean, std = _colours(said, kind)
    return Preprocessing(kept, fit, interpolation, mean, std, crop_share=kept / edge)


def from_timm(config: Mapping[str, Any], where: str) -> Preprocessing:
    """Our preprocessing for timm's `pretrained_cfg`, as timm evaluates.

    Raises:
        ExtractorError: when it does something that ours cannot do exactly.
    """
    channels, height, width = config.get("test_input_size") or config["input_size"]
    if channels != 3 or height != width:
        raise ExtractorError(f"{where}: it takes images of {channels} × {height} × {width}; squares of 3 channels work")
    interpolation, mode = config.get("interpolation", "bicubic"), config.get("crop_mode", "center")
    if interpolation not in get_args(_Filter) or mode not in ("center", "squash"):
        raise ExtractorError(f"{where}: its images are resized with {interpolation}, {mode}, which is not supported")
    share = config.get("test_crop_pct") or config.get("crop_pct") or 0.875
    edge = int(height / share)
    mean, std = (tuple(map(float, config[key])) for key in ("mean", "std"))
    fit: Literal["squash", "crop"] = "squash" if mode == "squash" else "crop"
    return Preprocessing(height, fit, interpolation, mean, std, crop_share=height / edge)  # type: ignore[arg-type]


class _Said(NamedTuple):
    """What a file says, key by key; a value that cannot be meant is refused with what can.

    As transformers has it, null is the kind's default, and in its switches `do_…` it is false.
    """

    config: Mapping[str, Any]
    where: str

    def yes(self, key: str, *, default: bool) -> bool:
        """Whether something is done."""
        given = self.config.get(key, default)
        if not isinstance(given, bool | None):
            raise self._refused(key, given, "true or false")
        return bool(given)

    def size(self, key: str, default: dict[str, int]) -> dict[str, int]:
        """A size as a mapping; old files have a number, which means what the kind's default is a size of."""
        given = self._given(key, default)
        named = given
        if _is_edge(given):
            named = dict.fromkeys(default, given)
        elif isinstance(given, list | tuple) and len(given) == 2:
            named = dict(zip(("height", "width"), given, strict=True))
        if isinstance(named, dict):
            named = {name: edge for name, edge in named.items() if edge is not None}
            if named and all(map(_is_edge, named.values())):
                return {name: int(edge) for name, edge in named.items()}
        raise self._refused(key, given, "whole pixels: a number, or an object with height and width, or shortest_edge")

    def positive(self, key: str, default: float) -> float:
        """A number above 0."""
        given = self._given(key, default)
        if not _is_number(given) or given <= 0:
            raise self._refused(key, given, "a number greater than 0")
        return float(given)

    def filter(self, key: str, default: int) -> _Filter:
        """The filter that images are resized with, of which the file has Pillow's number."""
        given = self._given(key, default)
        if not _is_number(given) or given not in _PILLOW:
            known = ", ".join(f"{number} ({name})" for number, name in _PILLOW.items())
            raise self._refused(key, given, f"the number of a filter of Pillow's that is supported: {known}")
        return _PILLOW[given]

    def colour(self, key: str, default: _Three, *, positive: bool = False) -> _Three:
        """One number for each channel; one alone means all of them."""
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
        return ExtractorError(f"{self.where}: {key} is {given!r}, and has to be {allowed}")


def _is_number(value: Any) -> bool:
    """Whether it is a number that can be meant; JSON has infinite ones, and integers that no float holds."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e30


def _is_edge(value: Any) -> bool:
    return _is_number(value) and value >= 1 and value == int(value)


def _square(size: dict[str, int], where: str) -> int:
    height, width = _edge(size, "height", where), _edge(size, "width", where)
    if height != width:
        raise ExtractorError(f"{where}: it takes images of {height} × {width} px; only squares work")
    return height


def _edge(size: dict[str, int], name: str, where: str) -> int:
    if set(size) - {"height", "width", "shortest_edge"} or name not in size:
        raise ExtractorError(f"{where}: its size of images is {size}, which is not supported")
    return size[name]


def _colours(said: _Said, kind: _Kind) -> tuple[_Three, _Three]:
    """Mean and deviation on a scale of [0, 1], whatever the file's own scale is."""
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if said.yes("do_normalize", default=True):
        mean = said.colour("image_mean", kind.colours[0])
        std = said.colour("image_std", kind.colours[1], positive=True)
    factor = said.positive("rescale_factor", 1 / 255) if said.yes("do_rescale", default=True) else 1.0
    if abs(factor * 255 - 1) < 1e-9:
        return mean, std
    scale = 255 * factor
    return tuple(value / scale for value in mean), tuple(value / scale for value in std)  # type: ignore[return-value]
