"""The definitions of the views of the catalog, and which of them a statement needs."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

from dna_pipelines.storage.catalog_files import TABLES

_ABOUT_VIEWS = re.compile(
    r"^\s*desc\b|\b(show|describe|query|query_table|pragma|database|information_schema|duckdb_|sqlite_|pg_)",
    re.IGNORECASE,
)
"""Statements that list views, or build names while they run."""


@cache
def definitions() -> dict[str, str]:
    """The statement that creates each view or macro, in order."""
    _, *texts = re.split(r"^CREATE OR REPLACE (?=VIEW|MACRO)", resource("views.sql"), flags=re.MULTILINE)
    return {text.split()[1].partition("(")[0]: f"CREATE OR REPLACE {text}" for text in texts}


def needed_by(statement: str) -> set[str]:
    """The views whose names are words of a statement, and the views that these need; there may be more than needed."""
    if _ABOUT_VIEWS.search(statement):
        return {*definitions(), *(f"_{name}" for name in TABLES)}
    known, needed = {**dict.fromkeys((f"_{name}" for name in TABLES), ""), **definitions()}, set[str]()
    texts = [statement]
    while texts:
        named = {word for word in re.findall(r"\w+", texts.pop().lower()) if word in known} - needed
        needed |= named
        texts += [re.sub(r"--.*", "", known[name].partition("COMMENT ON")[0]) for name in named]
    return needed


def resource(name: str) -> str:
    """The text of a file beside the definitions."""
    return files("dna_pipelines.storage").joinpath("queries", name).read_text(encoding="utf-8")
