"""The text of the datasets file as YAML with comments and line numbers."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from dna_pipelines.errors import ConfigError

_MOST_NODES = 1_000_000
"""Far more than the datasets of a project need; a few lines with nested aliases can have billions."""


def parse_document(text: str, path: Path) -> CommentedMap:
    """Parse the text of a datasets file.

    Args:
        text: the content of the file.
        path: where the text comes from, for messages.

    Raises:
        ConfigError: when the text is not YAML (`config.not-yaml`) or not a mapping (`config.not-a-mapping`).
    """
    try:
        document = YAML().load(text)
    except YAMLError as error:
        line, reason = _position_and_reason(error, text)
        raise ConfigError(
            f"{path}, line {line}: not valid YAML: {reason}",
            code="config.not-yaml",
            file=str(path),
            line=line,
            reason=reason,
        ) from error
    if _size(document, _MOST_NODES) > _MOST_NODES:
        raise ConfigError(
            f"{path}: has more than {_MOST_NODES:,} values; aliases (*name) may multiply them",
            code="config.too-large",
            file=str(path),
            at_most=_MOST_NODES,
        )
    if document is None:
        return CommentedMap()
    if not isinstance(document, CommentedMap):
        raise ConfigError(
            f"{path}, line 1: write `datasets:` and a list below it",
            code="config.not-a-mapping",
            file=str(path),
            line=1,
        )
    return document


def _size(node: Any, most: int) -> int:
    """The number of values in a document, each as often as aliases repeat it; the count stops above `most`."""
    n_nodes, left = 0, [node]
    while left and n_nodes <= most:
        value = left.pop()
        n_nodes += 1
        left += value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return n_nodes


def dump_document(document: CommentedMap) -> str:
    """The document as text, with its comments."""
    buffer = io.StringIO()
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 100_000  # a long URI stays on its line
    yaml.dump(document, buffer)
    return buffer.getvalue()


def line_of(document: Any, location: Sequence[int | str]) -> int:
    """The line (from 1) of the innermost part of a location that exists in the document."""
    line, node = 1, document
    for part in location:
        try:
            position = node.lc.key(part) if isinstance(node, CommentedMap) else node.lc.item(part)
            line, node = position[0] + 1, node[part]
        except (AttributeError, KeyError, IndexError, TypeError):
            break
    return line


def last_line_of(node: Any) -> int:
    """The last line (from 0) on which a part of a mapping or list begins."""
    if not isinstance(node, CommentedMap | CommentedSeq):
        return 0
    keys = list(node) if isinstance(node, CommentedMap) else list(range(len(node)))
    own = [node.lc.value(key)[0] if isinstance(node, CommentedMap) else node.lc.item(key)[0] for key in keys]
    return int(max([node.lc.line, *own, *(last_line_of(node[key]) for key in keys)]))


def _position_and_reason(error: YAMLError, text: str) -> tuple[int, str]:
    if isinstance(error, MarkedYAMLError):
        return (error.problem_mark.line + 1 if error.problem_mark else 1), str(error.problem)
    if isinstance(error, ReaderError):
        return text.count("\n", 0, error.position) + 1, str(error.reason)
    return 1, str(error)
