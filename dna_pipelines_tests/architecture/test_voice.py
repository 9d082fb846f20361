"""The words that the project does not use, and assertions on prose. Both ceilings only go down.

`python -m dna_pipelines_tests.architecture.test_voice` lists what is left.
"""

import re
import sys
from collections import Counter
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
ROOTS = ("dna_pipelines", "dna_pipelines_tests", "docs", "data", "examples", "training", "benchmarks")
SUFFIXES = {".py", ".md", ".sql", ".yaml"}

INSTEAD = {
    "told": "reported, shown",
    "anew(?!: (?:true|bool))": "again, recomputed",  # but for the key of a Dagster configuration
    "whoever": "the person or program meant",
    "nobody": "no process, you",
    "somebody": "a user, another process",
    "more[ _]than[ _]chance": "significant",
    "noise[ _]floor": "null mean and SD",
    "held[ _]back": "blocked by a check",
    "verdicts?": "result",
    "judge?ments?": "result",
    "re-?deals?": "permutation",
    "dealt": "permuted",
    "deals?": "permutation",
    "debiased": "bias-corrected",
    "by[ _]extrapolation": "tail estimate",
    "in[ _]doubt": "with a caveat",
    "given[ _]up": "pruned",
    "sightings?": "scan result",
    "left-?overs?": "orphaned run",
    "steadiness": "determinism check",
    "workbench": "project resource",
    "plain[ _]images?": "featureless images",
    "mended?": "corrected, repaired",
    "carries the (?:distance|difference)": "contributes to the difference",
}
FORBIDDEN = re.compile(rf"(?<![A-Za-z])(?:{'|'.join(INSTEAD)})(?![A-Za-z])", re.IGNORECASE)

EXCEPTIONS = {
    "dna_pipelines_tests/architecture/test_voice.py": "the list itself",
    "CHANGELOG.md": "migration notes name old columns and keys",
    "benchmarks/protocols/RESULTS": "results that were measured and written before",
    "benchmarks/RESULTS.md": "results that were measured and written before",
    "dna_pipelines_tests/golden": "a lake of the previous release, and what it calls its columns",
}
"""Where such words may stay, and why."""

WORDS = {
    "dna_pipelines/analysis": 4,
    "dna_pipelines/api": 6,
    "dna_pipelines/cli": 1,
    "dna_pipelines/orchestration": 1,
    "dna_pipelines/project": 2,
    "dna_pipelines/sources": 1,
    "dna_pipelines/storage": 30,
    "dna_pipelines_tests/analysis": 1,
    "dna_pipelines_tests/cli": 6,
    "dna_pipelines_tests/storage": 1,
}
"""How many there may be, by room. Lower a number when you have lowered the count; a room without an entry has none."""

PROSE_ASSERTIONS = 17
"""How many assertions on sentences the tests may have."""

_MATCH = re.compile(r"match=\s*(?:[fr]{0,2})(?P<quote>[\"'])(?P<text>.*?)(?P=quote)")
_IN_TEXT = re.compile(r"(?:[\"']|\w) in str\(|\.tells\(")


def documents():
    """The files that are checked."""
    for root in ROOTS:
        yield from (path for path in sorted((CHECKOUT / root).rglob("*")) if path.suffix in SUFFIXES)
    yield from sorted(CHECKOUT.glob("*.md"))


def rooms_and_words():
    """For every such word: its room, file, line and the word."""
    for path in documents():
        name = str(path.relative_to(CHECKOUT))
        if "_build" in name or any(name.startswith(exception) for exception in EXCEPTIONS):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            for match in FORBIDDEN.finditer(line):
                yield room_of(path), name, number, match.group().lower()


def room_of(path):
    """The package's or tests' folder that a file is in; docs and single files are rooms of their own."""
    parts = path.relative_to(CHECKOUT).parts
    return "/".join(parts[:2] if len(parts) > 2 else parts[:1])


def prose_assertions():
    """Every assertion on a sentence: file, line, text."""
    for path in sorted((CHECKOUT / "dna_pipelines_tests").rglob("*.py")):
        if path == Path(__file__):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            matched = _MATCH.search(line)
            if (matched and len(words_of(matched["text"])) > 1) or _IN_TEXT.search(line):
                yield str(path.relative_to(CHECKOUT)), number, line.strip()


def words_of(pattern):
    """The words of letters in a regular expression."""
    return re.findall(r"(?<![\\\w])[A-Za-z]{2,}", re.sub(r"\\[a-zA-Z]|\{[^}]*\}", " ", pattern))


def test_rooms_speak_the_words_of_the_field():
    found = list(rooms_and_words())
    counts = Counter(room for room, *_ in found)
    grown = {room: n for room, n in counts.items() if n > WORDS.get(room, 0)}
    where = [f"{name}:{number}: {word}" for room, name, number, word in found if room in grown]
    assert not grown, "\n".join([str(grown), *where[:60]])


def test_assertions_are_not_about_sentences():
    found = [f"{name}:{number}: {text}" for name, number, text in prose_assertions()]
    assert len(found) <= PROSE_ASSERTIONS, "\n".join(found)


def test_it_sees_what_it_looks_for():
    assert FORBIDDEN.search("This was told to nobody.")
    assert FORBIDDEN.search("more_than_chance")
    assert not FORBIDDEN.search("retold, dealing with a dealer")
    assert words_of(r"there is no (a|b)\d+") == ["there", "is", "no"]


def main():
    """List what is left."""
    for room, count in sorted(Counter(room for room, *_ in rooms_and_words()).items()):
        sys.stdout.write(f'    "{room}": {count},\n')
    sys.stdout.write(f"{len(list(prose_assertions()))} assertions on prose\n")


if __name__ == "__main__":
    main()
