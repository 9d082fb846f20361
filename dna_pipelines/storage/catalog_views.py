"""The definitions of the catalog's views, and which of them a statement needs."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

from dna_pipelines.storage.catalog_files import TABLES

_ABOUT_VIEWS = re.compile(
    r"^\s*desc\b|\b(show|describe|query|query_table|pragma|database|information_schema|duckdb_|sqlite_|pg_)",
    re.IGNORECASE,
)
"""What a statement may have that asks what there is, or makes names while it runs."""


@cache
def definitions() -> dict[str, str]:
    """What makes each view or macro, in order."""
    _, *texts = re.split(r"^CREATE OR REPLACE (?=VIEW|MACRO)", resource("views.sql"), flags=re.MULTILINE)
    return {text.split()[1].partition("(")[0]: f"CREATE OR REPLACE {text}" for text in texts}


def needed_by(statement: str) -> set[str]:
    """The views whose names are words of a statement, and those that these need: never too few."""
    if _ABOUT_VIEWS.search(statement):
        return {*definitions(), *(f"_{name}" for name in TABLES)}
    known, found = {**dict.fromkeys((f"_{name}" for name in TABLES), ""), **definitions()}, set[str]()
    texts = [statement]
    while texts:
        named = {word for word in re.findall(r"\w+", texts.pop().lower()) if word in known} - found
        found |= named
        texts += [re.sub(r"--.*", "", known[name].partition("COMMENT ON")[0]) for name in named]
    return found


def resource(name: str) -> str:
    """The text of a file beside the definitions."""
    return files("dna_pipelines.storage").joinpath("queries", name).read_text(encoding="utf-8")
