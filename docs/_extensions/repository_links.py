"""Links that work both in the repository and on the site.

Documents name files as the repository has them (`../CHANGELOG.md`). Those that are pages of the site become links to
those pages; other files of the repository are offered for download.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

PAGES = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "architecture.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(((?!https?:)[^)#\s]*)(#[^)\s]*)?\)")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the rewriting of links."""
    app.connect("source-read", _rewrite)
    app.connect("include-read", _rewrite_included)
    return {"parallel_read_safe": True}


def _rewrite(app: Sphinx, _name: str, source: list[str]) -> None:
    source[0] = rewritten(source[0], Path(app.srcdir), Path(app.srcdir))


def _rewrite_included(app: Sphinx, path: Path, _parent: str, source: list[str]) -> None:
    source[0] = rewritten(source[0], (Path(app.srcdir) / path).parent, Path(app.srcdir))


def rewritten(text: str, folder: Path, docs: Path) -> str:
    """Links of a document in `folder`, as the site needs them."""

    def replace(match: re.Match[str]) -> str:
        words, target, anchor = match.group(1), match.group(2), match.group(3) or ""
        if not target:
            return match.group(0)
        path = (folder / target).resolve()
        if path.is_relative_to(docs.resolve()):
            return f"[{words}]({path.relative_to(docs.resolve())}{anchor})"
        page = PAGES.get(str(path.relative_to(docs.resolve().parent)))
        if page:
            return f"[{words}]({page}{anchor})"
        if path.is_file():
            return f"{{download}}`{words.replace('`', '')} <../{path.relative_to(docs.resolve().parent)}>`"
        return words

    return _LINK.sub(replace, text)
