"""What a significance test has to say besides its numbers: caveats, and reasons why two sides cannot be tested."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Remark:
    """A remark with a stable code.

    Attributes:
        code: such as `significance.unequal-groups`; docs/errors.md lists them.
        message: what is wrong, where, and what to do. Its wording may change.
        facts: the names and numbers of the message.
    """

    code: str
    message: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """The message."""
        return self.message

    def to_json(self) -> dict[str, Any]:
        """As a JSON value."""
        return {"code": self.code, "message": self.message, "facts": dict(self.facts)}


class Caveat(Remark):
    """An assumption of a test that is violated, or may be."""


class NotTested(Remark):
    """Why two sides cannot be tested."""
