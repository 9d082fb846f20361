"""RESULTS.md: a section for every benchmark, each from its own last run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import Row, machine

PATH = Path(__file__).with_name("RESULTS.md")
COLUMNS = ("what was measured", "ours", "peer or limit", "ratio", "target", "", "remarks")

_HEAD = """# Results

Written by `python -m benchmarks`, section by section; what each row means is in [README.md](README.md). Figures are
ratios within one run of a section. Rows without a target are context.
"""


def cells(row: Row) -> list[str]:
    """What a row has in each of the columns."""
    return [row.what, row.ours, row.other, row.ratio, row.target, row.outcome, row.note]


def section(name: str, about: str, rows: Sequence[Row], seconds: float) -> str:
    """The section of a benchmark that has just run, on this machine."""
    lines = [f"## {name}", "", about.strip(), ""]
    lines += ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    lines += ["| " + " | ".join(cells(row)) + " |" for row in rows]
    return "\n".join([*lines, "", *(f"- {fact}" for fact in machine()), f"- {seconds:.0f} s."]) + "\n"


def put(text: str, name: str, new: str, order: Sequence[str]) -> str:
    """The results with one section exchanged or added.

    Args:
        text: the results so far; may be empty.
        name: of the section.
        new: the section, which begins with `## name`.
        order: of all sections; what is not in it goes.
    """
    _, *parts = text.split("\n## ")
    known = {part.partition("\n")[0]: f"## {part.rstrip()}\n" for part in parts} | {name: new}
    return "\n".join([_HEAD, *(known[name] for name in order if name in known)])
