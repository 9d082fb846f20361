"""What the command line and the library call a dataset, a version of it, or a slice of a version.

    NAME                         the dataset as it was last committed
    NAME@3, NAME@-1, NAME@ID     one of its versions
    NAME[column=value,…]         the images for which all conditions hold; also NAME[…]@-1

A condition is COLUMN=VALUE or COLUMN!=VALUE; nothing after the sign means the images without a value,
and "" those with an empty one. Columns and values in single or double quotes may hold anything; a doubled
quote in them is one quote.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dna_pipelines.errors import UnknownName

_QUOTES = ("'", '"')


@dataclass(frozen=True)
class Condition:
    """What has to hold of an image's metadata. `value` is None for images that have none in the column."""

    column: str
    value: str | None
    equal: bool = True

    def holds(self, metadata: Mapping[str, str]) -> bool:
        """Whether it holds; `!=` holds for every other value and for none."""
        return (metadata.get(self.column) == self.value) == self.equal

    def __str__(self) -> str:
        """The condition as it can be written."""
        value = "" if self.value is None else _quoted(self.value)
        return f"{_quoted(self.column)}{'=' if self.equal else '!='}{value}"


@dataclass(frozen=True)
class Reference:
    """A dataset, a version or a slice. `version` is empty for the last commit."""

    dataset: str
    version: str = ""
    where: tuple[Condition, ...] = ()

    @property
    def whole(self) -> Reference:
        """The version that a slice is cut from."""
        return Reference(self.dataset, self.version)

    def __str__(self) -> str:
        """The reference as it can be written, with its conditions in order."""
        where = f"[{','.join(sorted(map(str, self.where)))}]" if self.where else ""
        return f"{self.dataset}{where}{f'@{self.version}' if self.version else ''}"

    @staticmethod
    def parse(text: str) -> Reference:
        """Read a reference.

        Raises:
            UnknownName: when it is not written as one.
        """
        bracket, at = text.find("["), text.find("@")
        if bracket < 0 or 0 <= at < bracket:
            name, _, version = text.partition("@")
            return Reference(name, version)
        reader = _Reader(text, bracket + 1)
        where = reader.conditions()
        rest = text[reader.place :]
        if rest and not rest.startswith("@"):
            raise reader.refused(f"{rest!r} after the bracket")
        return Reference(text[:bracket], rest[1:], where)


def _quoted(text: str) -> str:
    plain = text and not any(letter in "[]=!,@'\"" for letter in text) and text == text.strip()
    return text if plain else '"' + text.replace('"', '""') + '"'


class _Reader:
    """Reads conditions letter by letter, because quoted ones may hold what otherwise ends them."""

    def __init__(self, text: str, place: int) -> None:
        self._text = text
        self.place = place

    def refused(self, why: str) -> UnknownName:
        """The error for something that is not written as a reference."""
        return UnknownName(
            f"{self._text!r} cannot be read ({why}); write NAME[column=value], NAME[column!=value,other='a, b'] "
            "or NAME[column=value]@-1"
        )

    def conditions(self) -> tuple[Condition, ...]:
        """Everything up to the closing bracket."""
        found = []
        while True:
            found.append(self._condition())
            letter = self._text[self.place : self.place + 1]
            self.place += 1
            if letter == "]":
                return tuple(found)
            if letter != ",":
                raise self.refused("the closing ] is missing" if not letter else f"{letter!r} after a quoted text")

    def _condition(self) -> Condition:
        column = self._piece("=!,]")
        sign = "!=" if self._text.startswith("!=", self.place) else "="
        if not column or not self._text.startswith(sign, self.place):
            raise self.refused("a condition has a column and = or !=")
        self.place += len(sign)
        start = self.place
        value = self._piece(",]")
        # Only what is not there at all means no value: "" is one.
        nothing = not self._text[start : self.place].strip()
        return Condition(column, None if nothing else value, sign == "=")

    def _piece(self, ends: str) -> str:
        """A quoted text, or a bare one up to one of some letters."""
        while self._text[self.place : self.place + 1] == " ":
            self.place += 1
        quote = self._text[self.place : self.place + 1]
        start = self.place
        if quote in _QUOTES:
            return self._inside(quote)
        while self.place < len(self._text) and self._text[self.place] not in ends:
            self.place += 1
        return self._text[start : self.place].strip()

    def _inside(self, quote: str) -> str:
        letters = []
        self.place += 1
        while True:
            end = self._text.find(quote, self.place)
            if end < 0:
                raise self.refused(f"the closing {quote} is missing")
            letters.append(self._text[self.place : end])
            self.place = end + 1
            if not self._text.startswith(quote, self.place):
                break
            letters.append(quote)
            self.place += 1
        while self._text[self.place : self.place + 1] == " ":
            self.place += 1
        return "".join(letters)
