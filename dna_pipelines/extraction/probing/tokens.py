"""The tokens and positions of a layer: which of them count, and which lie on the grid of the image."""

from __future__ import annotations

from math import isqrt
from typing import Literal

from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.extractor import Network, Positions

Tokens = Literal["all", "cls", "patch"]


def kept_tokens(
    network: Network, layer: str, axis: int, shape: tuple[int, ...], grown: tuple[int, ...], tokens: Tokens
) -> slice | None:
    """Which tokens of a layer count; None for all.

    Args:
        network: the network.
        layer: the name of the layer.
        axis: the axis of the neurons.
        shape: of the layer's output.
        grown: that shape for images of twice the size; empty if unknown.
        tokens: the setting of the extractor.

    Raises:
        ExtractorError: `network.tokens` when the setting means nothing for this layer.
    """
    # A layer without tokens holds the class token alone, or what was made of all tokens of an image.
    if tokens == "all" or (len(shape) == 2 and tokens == "cls"):
        return None

    def refused(problem: str, **facts: int) -> ExtractorError:
        return ExtractorError(
            f"{network.label}: '{layer}' {problem}",
            code="network.tokens",
            network=network.label,
            layer=layer,
            tokens=tokens,
            shape=list(shape),
            **facts,
        )

    if len(shape) != 3 or axis != 2:
        raise refused(
            f"returns no tokens (its outputs have the shape {shape}), so `tokens: {tokens}` does not apply to it; "
            "exclude it with `layers:`, or use all tokens"
        )
    n_prefix = _prefix(network, shape[1], grown)
    if n_prefix is None:
        raise refused("has tokens, but which of them are patches is unknown; use all tokens")
    if tokens == "patch":
        if n_prefix >= shape[1]:
            raise refused(
                f"returns {shape[1]} tokens, of which {n_prefix} are not patches, so none remains; exclude it with "
                "`layers:`, or use all tokens",
                n_tokens=shape[1],
                n_prefix=n_prefix,
            )
        return slice(n_prefix, None)
    if n_prefix == 0:
        raise refused("has no class token; use all tokens or patches", n_tokens=shape[1], n_prefix=0)
    return slice(0, 1)


def positions_of(
    network: Network, axis: int, shape: tuple[int, ...], grown: tuple[int, ...], kept: slice | None
) -> Positions:
    """The positions of a layer that count. Images are square, and so are grids of patches.

    Args:
        network: the network.
        axis: the axis of the neurons.
        shape: of the layer's output.
        grown: that shape for images of twice the size; empty if unknown.
        kept: which tokens count; None for all.
    """
    if len(shape) == 2:
        return Positions(1)
    if len(shape) == 4:
        rows, columns = (shape[other] for other in (1, 2, 3) if other != axis)
        return Positions(rows * columns, grid=(rows, columns))
    n_positions = shape[3 - axis]
    n_prefix = _prefix(network, n_positions, grown) if axis == 2 else 0
    if kept is not None:
        n_positions, n_prefix = len(range(n_positions)[kept]), 0
    side = isqrt(max(n_positions - (n_prefix or 0), 0))
    on_grid = n_prefix is not None and side > 1 and side**2 == n_positions - n_prefix
    return Positions(n_positions, n_prefix or 0, (side, side) if on_grid else None)


def _prefix(network: Network, n_tokens: int, grown: tuple[int, ...]) -> int | None:
    """The number of tokens that does not grow with the area of the image; None if unknown."""
    if network.prefix_tokens is not None:
        return network.prefix_tokens
    if len(grown) == 3 and grown[1] > n_tokens and (4 * n_tokens - grown[1]) % 3 == 0:
        return (4 * n_tokens - grown[1]) // 3
    if network.patch_px and (n_prefix := n_tokens - (network.preprocessing.size_px // network.patch_px) ** 2) >= 0:
        return n_prefix
    return None
