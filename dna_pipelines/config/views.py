"""Views of an extractor, as the datasets file names them: what is counted instead of a layer's own neurons."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["projected", "whitened", "spatial"]

_USUAL: dict[Kind, int] = {"projected": 64, "whitened": 64, "spatial": 2}
_BOUNDS: dict[Kind, tuple[int, int]] = {"projected": (1, 4096), "whitened": (1, 4096), "spatial": (2, 16)}


@dataclass(frozen=True)
class View:
    """One view.

    Attributes:
        kind: `projected`: random directions of each layer. `whitened`: the main components of each layer.
            `spatial`: the cells of each layer's map.
        n: directions or components of a layer; cells along each edge of a map.
    """

    kind: Kind
    n: int

    @property
    def name(self) -> str:
        """How it is written: without the number, where that is the usual one."""
        return self.kind if self.n == _USUAL[self.kind] else f"{self.kind}{self.n}"

    @property
    def needs_basis(self) -> bool:
        """Whether it is a linear map, which is fixed on the calibration images."""
        return self.kind != "spatial"

    @property
    def summary(self) -> str:
        """What it shows, for people."""
        return {
            "projected": f"{self.n} random directions of each layer",
            "whitened": f"the first {self.n} principal components of each layer, scaled to unit variance",
            "spatial": f"each neuron in the {self.n} x {self.n} cells of its map",
        }[self.kind]

    @staticmethod
    def parse(text: str) -> View:
        """`projected`, `whitened` or `spatial`, with a number behind it or without.

        Raises:
            ValueError: saying what there is.
        """
        match = re.fullmatch(r"([a-z]+?)([0-9]{1,6})?", text)
        kind = next((kind for kind in get_args(Kind) if match and match[1] == kind), None)
        if match is None or kind is None:
            raise ValueError(
                f"'{text}' is no view; there are projected, whitened and spatial, and a number behind "
                "one says how many: projected128, whitened32, spatial4"
            )
        n = int(match[2] or _USUAL[kind])
        low, high = _BOUNDS[kind]
        if not low <= n <= high:
            raise ValueError(f"'{text}': the number behind {kind} is from {low} to {high:,}")
        return View(kind, n)
