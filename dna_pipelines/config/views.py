"""Views of an extractor as the datasets file names them: what is measured instead of a layer's own neurons."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from dna_pipelines.config.values import mistake

Kind = Literal["projected", "whitened", "spatial"]

_DEFAULTS: dict[Kind, int] = {"projected": 64, "whitened": 64, "spatial": 2}
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
        """How the file writes it: without the number where that is the default."""
        return self.kind if self.n == _DEFAULTS[self.kind] else f"{self.kind}{self.n}"

    @property
    def needs_basis(self) -> bool:
        """Whether it is a linear map, which is fitted to the calibration images."""
        return self.kind != "spatial"

    @property
    def summary(self) -> str:
        """What the view measures, in words."""
        return {
            "projected": f"{self.n} random directions of each layer",
            "whitened": f"the first {self.n} principal components of each layer, scaled to unit variance",
            "spatial": f"each neuron in the {self.n} x {self.n} cells of its map",
        }[self.kind]

    @staticmethod
    def parse(text: str) -> View:
        """`projected`, `whitened` or `spatial`, followed by a number or not.

        Raises:
            ValueError: when the text is not the name of a view, or the number is out of range.
        """
        match = re.fullmatch(r"([a-z]+?)([0-9]{1,6})?", text)
        kind = next((kind for kind in get_args(Kind) if match and match[1] == kind), None)
        if match is None or kind is None:
            raise mistake(
                f"'{text}' is not a view; use projected, whitened or spatial, followed by a number if you like: "
                "projected128, whitened32, spatial4",
                code="config.unknown-view",
                view=text,
                known=list(get_args(Kind)),
            )
        n = int(match[2] or _DEFAULTS[kind])
        low, high = _BOUNDS[kind]
        if not low <= n <= high:
            raise mistake(
                f"'{text}': the number of a {kind} view is from {low} to {high:,}",
                code="config.view-out-of-range",
                view=text,
                low=low,
                high=high,
            )
        return View(kind, n)
