"""What keeps a dataset from being up to date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from dna_pipelines.errors import DnaError, SourceChanged

Status = Literal["failed", "blocked", "source changed"]
"""`blocked`: a check blocks it, which is no failure. `source changed`: an image is no longer what was scanned."""

_OLD_WORDS = {"blocked": "held back"}


def old_word(status: str) -> str:
    """What version 0.1 calls a status or a state in JSON: `held back` for `blocked`.

    Kept for this release under the old keys (`problem_kind`, and `dna` of `dna status`); new keys have the new word.
    """
    return _OLD_WORDS.get(status, status)


@dataclass(frozen=True)
class Problem:
    """Why a dataset, or something else that a run makes, is not up to date.

    Attributes:
        code: of the error, see `docs/errors.md`.
        message: what is wrong, where, and what to do.
        facts: of the error.
        status: see `Status`.
    """

    code: str
    message: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    status: Status = "failed"

    @staticmethod
    def of(error: DnaError) -> Problem:
        """An error as a problem."""
        status: Status = "source changed" if isinstance(error, SourceChanged) else "failed"
        return Problem(error.code, str(error), error.facts, status)

    @staticmethod
    def blocked(message: str, **facts: Any) -> Problem:
        """The problem of a dataset that a check blocks."""
        return Problem("check.blocked", message, facts, "blocked")

    @staticmethod
    def joined(problems: list[Problem]) -> Problem | None:
        """Several problems of one dataset as one, each message once; None where there is none.

        The code and facts are those of the first, or of the first image that changed in its source: such a dataset
        may succeed once it is listed again.
        """
        if not problems:
            return None
        first = next((problem for problem in problems if problem.status == "source changed"), problems[0])
        message = "\n".join(dict.fromkeys(problem.message for problem in problems))
        return Problem(first.code, message, first.facts, first.status)

    def __str__(self) -> str:
        """The message as a user reads it."""
        return f"blocked by a check: {self.message}" if self.status == "blocked" else self.message


def problem_json(problem: Problem | None) -> dict[str, str | None]:
    """As `--json` prints it; every value is null where there is no problem.

    `problem_kind` is `problem_status` in the words of version 0.1, see `old_word`.
    """
    if problem is None:
        return dict.fromkeys(("problem", "problem_code", "problem_status", "problem_kind"))
    return {
        "problem": str(problem),
        "problem_code": problem.code,
        "problem_status": problem.status,
        "problem_kind": old_word(problem.status),
    }
