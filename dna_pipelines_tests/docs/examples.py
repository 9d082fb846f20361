"""The fenced code blocks of a Markdown document."""

import re
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
DOCUMENTS = [CHECKOUT / "README.md", CHECKOUT / "data" / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))]

_FENCE = re.compile(
    r"^(?P<indent> *)(?P<ticks>```+|:::+)(?P<language>[\w{}-]*)[^\n]*\n(?P<text>.*?)^ *(?P=ticks) *$",
    re.MULTILINE | re.DOTALL,
)
_NOT_RUN = re.compile(r"<!-- not run: (?P<reason>[^>]+) -->\s*\Z")


@dataclass(frozen=True)
class Example:
    """One block; `not_run` says why it cannot run in a test."""

    document: str
    line: int
    language: str
    text: str
    not_run: str | None


def examples(path):
    """All blocks of a document, in order.

    A comment `<!-- not run: reason -->` before a block keeps it from running.
    """
    content = path.read_text(encoding="utf-8")
    for match in _FENCE.finditer(content):
        marked = _NOT_RUN.search(content, 0, match.start())
        yield Example(
            document=str(path.relative_to(CHECKOUT)),
            line=content.count("\n", 0, match.start()) + 1,
            language=match["language"],
            text=re.sub(f"^{match['indent']}", "", match["text"], flags=re.MULTILINE),
            not_run=marked["reason"] if marked else None,
        )
