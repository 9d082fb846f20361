"""The families of formulas, and the classes made of them.

A class is one formula with its parameters; its images differ by a jitter of the parameters, by chance and by
where they are cropped. A family draws grey fields, which determine where an image is light and where it is
dark; colours are added later (`training.palettes`), so that texture and colour are learnt separately.
"""

from __future__ import annotations

from training.formulas.contours import Contours
from training.formulas.fields import FIELD_PX, Family, draw_class, equalised
from training.formulas.fractals import Fractals
from training.formulas.leaves import DeadLeaves
from training.formulas.reaction import ReactionDiffusion
from training.formulas.voronoi import Voronoi
from training.formulas.waves import PlaneWaves

FAMILIES: tuple[Family, ...] = (
    Fractals(60), Contours(40), DeadLeaves(24), Voronoi(24), ReactionDiffusion(16), PlaneWaves(28),
)  # fmt: skip
"""Every training family with its number of classes."""

__all__ = ["FAMILIES", "FIELD_PX", "Family", "draw_class", "equalised"]
