"""What keeps a dataset from being up to date."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ProblemKind = Literal["failed", "held back", "source changed"]
"""`held back`: a check withholds it, which is no failure. `source changed`: an image is no longer what was scanned."""


@dataclass(frozen=True)
class Problem:
    """Why a dataset is not up to date."""

    said: str
    kind: ProblemKind = "failed"

    def __str__(self) -> str:
        """What people are told."""
        return f"held back: {self.said}" if self.kind == "held back" else self.said


def problem_json(problem: Problem | None) -> dict[str, str | None]:
    """As `--json` prints it: what people are told, and of which kind it is; both null where there is none."""
    return {"problem": str(problem) if problem else None, "problem_kind": problem.kind if problem else None}
