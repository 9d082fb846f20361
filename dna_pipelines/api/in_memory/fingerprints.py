"""Fingerprints without a project: measured in memory, compared and tested there, and nothing stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from dna_pipelines.analysis.significance.pair import N_PERMUTATIONS
from dna_pipelines.api.arguments import (
    device_name,
    location_settings,
    number,
    one_of,
    reading_settings,
    text,
    texts,
    wrong_type,
)
from dna_pipelines.api.in_memory.fingerprint import Fingerprint, measured, require_readable
from dna_pipelines.api.in_memory.measuring import measuring_with
from dna_pipelines.api.inputs.collection import collect
from dna_pipelines.api.progress import Shown, watched
from dna_pipelines.api.results.comparison import require_permutations
from dna_pipelines.api.results.significance import TestResult
from dna_pipelines.errors import UserError
from dna_pipelines.project.progress import Progress

if TYPE_CHECKING:  # it imports torch
    from dna_pipelines.extraction.extractor import Network

MOST_BATCH = 4096
"""Images in one pass, as in the datasets file."""


def fingerprint(
    images: Any,
    *,
    network: str | Network | None = None,
    like: Fingerprint | None = None,
    label: str | None = None,
    layers: str | Sequence[str] = (),
    tokens: Literal["all", "cls", "patch"] = "all",
    device: str = "cpu",
    precision: Literal["float32", "fast"] = "float32",
    batch_size: int = 32,
    workers: int = 0,
    globs: str | Sequence[str] = (),
    exclude: str | Sequence[str] = (),
    kind: str | None = None,
    every: int | None = None,
    limit: int | None = None,
    group_by: str | None = None,
    bits: int | None = None,
    value_range: Sequence[float] | None = None,
    bands: int | Sequence[int] = (),
    pages: Literal["all", "first"] | None = None,
    groups: Sequence[object] | None = None,
    image_column: str | None = None,
    progress: Shown = False,
) -> Fingerprint:
    """The fingerprint of images, measured in memory; nothing is stored.

    Args:
        images: a folder, archive, table, image file or URI; or paths of files, `bytes`, arrays (H, W) or (H, W, C)
            uint8 with 1, 3 or 4 channels, one array (N, H, W) or (N, H, W, C) of them, PIL images, a Hugging Face
            Dataset, or a torch Dataset with items image or (image, label), tensors being (C, H, W) uint8 or float in
            [0, 1]. What is listed twice counts twice.
        network: a name that `dna extractors` lists, `hf:ORG/REPO`, `timm:NAME`, `local:FOLDER`, `MODULE:FUNCTION`, or a
            `Network`; by default `builtin`.
        like: another fingerprint, whose network and activation ranges are used, so that the two compare. Needed for
            networks that come without activation ranges: those are measured on the first images otherwise.
        label: what results call it.
        layers: modules to tap, or patterns of them; the network's own by default.
        tokens: of a transformer, which tokens count.
        device: `cpu`, or one GPU, such as `cuda:0`.
        precision: `fast` computes in bfloat16.
        batch_size: images in one pass, 1 to 4,096.
        workers: threads, at least 1; 0 for as many as there are cores. The result does not depend on it.
        globs, exclude, kind, every, limit, group_by: of locations, as for `Project.add`.
        bits, value_range, bands, pages: how files are read whose values, bands or pages do not say it themselves, as
            for `Project.add`.
        groups: of objects, the group of each (clip, patient, …): images of one group are not independent.
        image_column: of a table or a Hugging Face Dataset.
        progress: True shows it; see `Project`.

    Raises:
        NothingToCompare: when no image is readable (`api.no-image`), or none was given (`api.no-images-given`).
        SourceError: when a location cannot be listed.
        UserError: when objects are no images (`api.image-type`, `api.image-values`), a list of paths holds a folder
            (`api.folder-in-list`), or an argument is wrong (`api.argument`, `api.settings`).
        ExtractorError: when the network cannot serve.

    Examples:
        >>> import numpy as np
        >>> draw = np.random.default_rng(0)
        >>> noise = fingerprint([draw.integers(0, 256, (32, 32, 3), np.uint8) for _ in range(40)])
        >>> noise.n_images, noise.dna.counts.shape, len(noise.quarantined)
        (40, (240, 1000), 0)
    """
    _require_network(network)
    if label is not None:
        text("label", label)
    _require_like(like, network=network, layers=layers, tokens=tokens)
    measuring_settings: dict[str, Any] = {
        "layers": texts("layers", layers),
        "tokens": one_of("tokens", tokens, ("all", "cls", "patch")),
        "device": device_name(device),
        "precision": one_of("precision", precision, ("float32", "fast")),
        "batch_size": number("batch_size", batch_size, at_least=1, at_most=MOST_BATCH),
        "workers": number("workers", workers, at_least=0),
    }
    settings = location_settings(
        globs=globs, exclude=exclude, kind=kind, image_column=None, every=every, limit=limit, group_by=group_by
    ) | reading_settings(bits=bits, value_range=value_range, bands=bands, pages=pages)

    def work(steps: Progress) -> Fingerprint:
        collection = collect(
            images, label=label, settings=settings, groups=groups, image_column=image_column, progress=steps
        )
        require_readable(collection)
        chosen = network or "builtin"
        measuring = like.measuring if like else measuring_with(chosen, collection, **measuring_settings, progress=steps)
        return measured(collection, measuring, steps)

    return watched(work, progress)


def _require_network(network: object) -> None:
    """Refuse what is neither a name nor a network."""
    if network is None or isinstance(network, str):
        return
    from dna_pipelines.extraction.extractor import Network

    if not isinstance(network, Network):
        raise wrong_type("network", network, "a name or a Network")


def _require_like(like: object, *, network: object, layers: object, tokens: str) -> None:
    """Refuse `like=` beside what it stands for, and anything but a fingerprint."""
    if like is not None and (network is not None or layers or tokens != "all"):
        raise UserError("like= already says the network, its layers and tokens; leave those out", code="api.like")
    if like is not None and not isinstance(like, Fingerprint):
        raise wrong_type("like", like, "a Fingerprint")


def emd(a: Any, b: Any, *, progress: Shown = False) -> float:
    """The earth mover's distance of two fingerprints in bins (of 1,000), mean over all neurons.

    Args:
        a, b: fingerprints; or images, as `fingerprint` takes them, of which the second are measured like the first.
        progress: True shows images being measured; see `Project`.

    Raises:
        Incomparable: when the two were not measured in the same way (`api.incomparable`).

    Examples:
        >>> import numpy as np
        >>> draw = np.random.default_rng(0)
        >>> dark, light = (draw.integers(low, low + 128, (40, 32, 32, 3), np.uint8) for low in (0, 128))
        >>> emd(dark, light) > 10
        True
        >>> one = fingerprint(dark)
        >>> emd(one, one)
        0.0
    """
    left, right = _both(a, b, progress)
    return left.compare(right).emd


def test(a: Any, b: Any, *, n_permutations: int = N_PERMUTATIONS, progress: Shown = False) -> TestResult:  # noqa: PT028
    """Test whether two collections of images differ significantly.

    Images that both have are excluded: equal bytes, so that an array (which becomes a PNG) is none of the files that it
    was read from. Where one side is far larger, a uniform sample of it is tested; `TestResult` says so. Images of one
    group are permuted together.

    Args:
        a, b: fingerprints; or images, as `fingerprint` takes them, of which the second are measured like the first.
        n_permutations: at least 99.
        progress: True shows it; see `Project`.

    Raises:
        Incomparable: when the two were not measured in the same way (`api.incomparable`).
        UserError: for fewer permutations (`api.permutations`).

    Examples:
        >>> import numpy as np
        >>> draw = np.random.default_rng(0)
        >>> dark, light = (draw.integers(low, low + 128, (64, 32, 32, 3), np.uint8) for low in (0, 128))
        >>> result = test(dark, light)
        >>> result.significant, result.p_value < 0.05, result.caveats
        (True, True, ())
    """
    n_permutations = require_permutations(n_permutations)
    left, right = _both(a, b, progress)
    return left.test(right, n_permutations, progress=progress)


test.__test__ = False  # type: ignore[attr-defined]  # pytest would take it for a test


def _both(a: Any, b: Any, progress: Shown) -> tuple[Fingerprint, Fingerprint]:
    """Both as fingerprints: images are measured like the other side, and where both are images, B like A."""
    if isinstance(b, Fingerprint):
        return b.alike(a, progress=progress), b
    left = a if isinstance(a, Fingerprint) else fingerprint(a, progress=progress)
    return left, left.alike(b, progress=progress)
