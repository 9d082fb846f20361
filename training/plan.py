"""The plan of a training: every number that determines its result."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Plan:
    """Two trainings of one plan give the same weights on the same hardware and thread count.

    Attributes:
        n_steps: number of batches.
        batch: images in a batch.
        n_classes: number of labels, from all families.
        n_fields: stored fields per label.
        seed: of the formulas, the initial weights and all random numbers.
        peak: the learning rate between warm-up and fall.
        momentum: of the gradient descent.
        decay: of the weights.
        n_warm: steps in which the rate rises.
        n_fall: steps at the end in which the rate falls to zero, by half a cosine.
        n_large: steps at the very end with views of the size that the network is used at.
        size, large: height and width of the views in pixels, before these steps and in them; small views cost less.
    """

    n_steps: int = 6500
    batch: int = 64
    n_classes: int = 192
    n_fields: int = 60
    seed: int = 1
    peak: float = 0.06
    momentum: float = 0.9
    decay: float = 5e-4
    n_warm: int = 100
    n_fall: int = 1000
    n_large: int = 300
    size: int = 64
    large: int = 96

    @property
    def n_steady(self) -> int:
        """The number of steps before the end begins, which are the same in plans that differ only in `n_steps`."""
        return max(0, self.n_steps - max(self.n_fall, self.n_large))

    def size_at(self, step: int) -> int:
        """Height and width of the views of a step, in pixels."""
        return self.large if step >= self.n_steps - self.n_large else self.size

    def rate_at(self, step: int) -> float:
        """The learning rate of a step."""
        rise = min(1.0, (step + 1) / self.n_warm)
        fall = min(1.0, (self.n_steps - step) / max(1, self.n_fall))
        return self.peak * rise * 0.5 * (1 - math.cos(math.pi * fall))

    def may_resume(self, other: Plan, step: int) -> bool:
        """Whether the first `step` steps of another plan are also those of this one."""
        alike = replace(other, n_steps=self.n_steps) == self
        return other == self or (alike and step <= min(self.n_steady, other.n_steady))

    def to_json(self) -> dict[str, Any]:
        """The plan as a JSON value."""
        return asdict(self)
