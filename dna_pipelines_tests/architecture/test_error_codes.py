"""Every error has a code, and `docs/errors.md` lists exactly the codes there are."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

import dna_pipelines
from dna_pipelines import errors

ROOT = Path(dna_pipelines.__file__).parent
DOCUMENT = ROOT.parent / "docs" / "errors.md"

OWN_CODE = {"Interrupted", "SourceChanged", "Incomparable"}
"""Classes that have one meaning, and so one code."""


def _trees():
    return {path: ast.parse(path.read_text()) for path in sorted(ROOT.rglob("*.py"))}


def _kinds(trees):
    """The names of all subclasses of DnaError, wherever they are defined."""
    bases = {
        node.name: {base.id for base in node.bases if isinstance(base, ast.Name)}
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    kinds = {"DnaError"}
    while more := {name for name, some in bases.items() if some & kinds} - kinds:
        kinds |= more
    return kinds


def _texts(node, constants):
    """The texts that an expression can be; None where it is not made of literals."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return {node.value}
    if isinstance(node, ast.Name) and node.id in constants:
        return {constants[node.id]}
    if isinstance(node, ast.IfExp):
        parts = [_texts(part, constants) for part in (node.body, node.orelse)]
        return None if None in parts else set.union(*parts)
    return None


def _codes(call, constants):
    """The codes that a call of an error's class can give; None where it gives none."""
    name = call.func.id
    if name == "Unreadable":
        reasons = _texts(call.args[0], constants)
        # A reason that is passed on is a literal where it comes from.
        return {f"image.{reason.replace(' ', '-')}" for reason in reasons or ()}
    for keyword in call.keywords:
        if keyword.arg == "code":
            # A code that is passed on is a literal where it comes from.
            return _texts(keyword.value, constants) or set()
    return {getattr(errors, name).default_code} if name in OWN_CODE else None


def _raised():
    """(room, place, class, codes) of every call of the class of an error."""
    trees = _trees()
    kinds = _kinds(trees)
    constants = {
        target.id: node.value.value
        for tree in trees.values()
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return [
        (
            path.relative_to(ROOT).parts[0],
            f"{path.relative_to(ROOT)}:{node.lineno}",
            node.func.id,
            _codes(node, constants),
        )
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in kinds
    ]


RAISED = _raised()


def _literals():
    """Every text in the package that is written like a code."""
    constants = (node.value for tree in _trees().values() for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {text for text in constants if isinstance(text, str) and re.fullmatch(r"[a-z]+\.[a-z0-9-]+", text)}


def _documented():
    """(section, code) of every row."""
    section, rows = "", []
    for line in DOCUMENT.read_text().splitlines():
        if line.startswith("## "):
            section = line[3:].strip()
        elif row := re.match(r"\| `([^`]+)` \|", line):
            rows.append((section, row[1]))
    return rows


def test_every_error_has_a_code():
    """Where this fails: raise the error with `code="…"`, a literal, and list it in docs/errors.md."""
    assert [f"{place} {kind}" for room, place, kind, codes in RAISED if codes is None] == []


def test_the_document_lists_exactly_the_codes_there_are():
    raised = {code for _, _, _, codes in RAISED for code in codes or ()}
    documented = {code for _, code in _documented()}
    assert (sorted(raised - documented), sorted(documented - raised - _literals())) == ([], [])


def test_a_code_is_listed_once_under_its_prefix():
    rows = _documented()
    assert [code for code, count in Counter(code for _, code in rows).items() if count > 1] == []
    assert [code for section, code in rows if code.partition(".")[0] != section] == []


def test_a_code_is_well_formed():
    codes = {code for _, _, _, codes in RAISED for code in codes or ()}
    assert [code for code in codes if not re.fullmatch(r"[a-z]+(\.[a-z0-9]+(-[a-z0-9]+)*)?", code)] == []


@pytest.mark.parametrize("code", sorted(code for _, code in _documented()))
def test_a_row_says_what_it_means(code):
    (line,) = [line for line in DOCUMENT.read_text().splitlines() if line.startswith(f"| `{code}` |")]
    assert len(line.split("|")[2].strip()) > 10
