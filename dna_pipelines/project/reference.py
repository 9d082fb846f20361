"""References: how the command line and the library name a dataset, a version of it, or a slice of a version.

    NAME                         the dataset as it was last committed
    NAME@3, NAME@-1, NAME@ID     one of its versions
    NAME[column=value,…]         the images for which all conditions hold; also NAME[…]@-1

A condition is COLUMN=VALUE or COLUMN!=VALUE. Nothing after the sign means the images without a value, and "" those
with an empty value. Columns and values in single or double quotes may contain any character; a doubled quote inside
them stands for a single quote.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dna_pipelines.errors import UnknownName

_QUOTES = ("'", '"')


@dataclass(frozen=True)
class Condition:
    """A condition on the metadata of an image. `value` is None for images without a value in the column."""

    column: str
    value: str | None
    equal: bool = True

    def holds(self, metadata: Mapping[str, str]) -> bool:
        """Whether it holds; `!=` holds for every other value and for images without a value."""
        return (metadata.get(self.column) == self.value) == self.equal

    def __str__(self) -> str:
        """The condition as `Reference.parse` reads it."""
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
        """The version that a slice is taken from."""
        return Reference(self.dataset, self.version)

    def __str__(self) -> str:
        """The reference as `Reference.parse` reads it, with its conditions sorted."""
        where = f"[{','.join(sorted(map(str, self.where)))}]" if self.where else ""
        return f"{self.dataset}{where}{f'@{self.version}' if self.version else ''}"

    @staticmethod
    def parse(text: str) -> Reference:
        """Read a reference.

        Raises:
            UnknownName: (`name.syntax`) when the text is not a reference; the facts give the `index` of the first
                character that does not belong there (the length of the text where it ends too early; the start of a
                quoted text that does not end), what was `expected`, and the `reason`.

        Examples:
            >>> reference = Reference.parse("cameras[weather=rain]@-1")
            >>> reference.dataset, reference.version, str(reference.where[0])
            ('cameras', '-1', 'weather=rain')
        """
        bracket, at = text.find("["), text.find("@")
        if bracket < 0 or 0 <= at < bracket:
            name, _, version = text.partition("@")
            return Reference(name, version)
        reader = _Reader(text, bracket + 1)
        where = reader.conditions()
        rest = text[reader.index :]
        if rest and not rest.startswith("@"):
            raise reader.syntax_error("after-bracket", f"{rest!r} follows the bracket", "@")
        return Reference(text[:bracket], rest[1:], where)


def _quoted(text: str) -> str:
    plain = text and not any(character in "[]=!,@'\"" for character in text) and text == text.strip()
    return text if plain else '"' + text.replace('"', '""') + '"'


class _Reader:
    """Reads conditions character by character, because quoted texts may contain the characters that end others."""

    def __init__(self, text: str, index: int) -> None:
        self._text = text
        self.index = index

    def syntax_error(self, reason: str, description: str, *expected: str) -> UnknownName:
        """The error for a text that is not a reference, where reading has come to what is not `expected`."""
        return UnknownName(
            f"{self._text!r} is not a reference ({description}); write NAME[column=value], "
            "NAME[column!=value,other='a, b'] or NAME[column=value]@-1",
            code="name.syntax",
            reference=self._text,
            index=self.index,
            reason=reason,
            expected=list(expected),
        )

    def conditions(self) -> tuple[Condition, ...]:
        """Everything up to the closing bracket."""
        conditions = []
        while True:
            conditions.append(self._condition())
            character = self._text[self.index : self.index + 1]
            if not character:
                raise self.syntax_error("unclosed-bracket", "the closing ] is missing", ",", "]")
            if character not in ",]":
                raise self.syntax_error("after-quote", f"{character!r} follows a quoted text", ",", "]")
            self.index += 1
            if character == "]":
                return tuple(conditions)

    def _condition(self) -> Condition:
        column = self._piece("=!,]")
        sign = "!=" if self._text.startswith("!=", self.index) else "="
        if not column or not self._text.startswith(sign, self.index):
            expected = ("=", "!=") if column else ("COLUMN",)
            raise self.syntax_error("no-condition", "a condition consists of a column, = or !=, and a value", *expected)
        self.index += len(sign)
        start = self.index
        value = self._piece(",]")
        # An empty quoted text is a value; only nothing at all means "without a value".
        absent = not self._text[start : self.index].strip()
        return Condition(column, None if absent else value, sign == "=")

    def _piece(self, ends: str) -> str:
        """A quoted text, or an unquoted one up to any of the characters `ends`."""
        while self._text[self.index : self.index + 1] == " ":
            self.index += 1
        quote = self._text[self.index : self.index + 1]
        start = self.index
        if quote in _QUOTES:
            return self._quoted_text(quote)
        while self.index < len(self._text) and self._text[self.index] not in ends:
            self.index += 1
        return self._text[start : self.index].strip()

    def _quoted_text(self, quote: str) -> str:
        parts = []
        self.index += 1
        while True:
            end = self._text.find(quote, self.index)
            if end < 0:
                raise self.syntax_error("unclosed-quote", f"the closing {quote} is missing", quote)
            parts.append(self._text[self.index : end])
            self.index = end + 1
            if not self._text.startswith(quote, self.index):
                break
            parts.append(quote)
            self.index += 1
        while self._text[self.index : self.index + 1] == " ":
            self.index += 1
        return "".join(parts)
