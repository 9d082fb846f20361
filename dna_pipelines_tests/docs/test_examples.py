"""Every example of the README and of `docs/` runs, in one small project."""

import doctest
import importlib
import re
import shlex
import tempfile
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from dna_pipelines.config import DatasetsFile
from dna_pipelines_tests.docs.examples import DOCUMENTS, examples

RUN = {"sh", "python", "sql", "yaml"}
"""Languages of blocks that are examples; others show output or a tree."""

NOT_RUN = 8
"""How many examples are marked as not run. Mark one only if it needs a network, a store, a GPU or a long time."""


def marked(language=None):
    for path in DOCUMENTS:
        for example in examples(path):
            if language in (None, example.language):
                yield example


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_examples_run(path, project_folder, dna, monkeypatch):
    monkeypatch.chdir(project_folder)
    monkeypatch.setenv("DNA_ROOT", str(project_folder))
    monkeypatch.syspath_prepend(project_folder)
    namespace = {"__name__": "example"}
    for example in examples(path):
        if not example.not_run and example.language in RUN:
            try:
                globals()[f"run_{example.language}"](example, dna, namespace)
            except BaseException as error:
                error.add_note(f"{example.document}:{example.line}")
                raise


def test_what_is_not_run_says_why_and_is_rare():
    reasons = [example.not_run for example in marked() if example.not_run]
    assert len(reasons) <= NOT_RUN
    assert all(len(reason.split()) > 2 for reason in reasons)


def test_every_block_has_a_known_language():
    known = RUN | {"", "text", "json"}
    assert {example.language for example in marked() if not example.language.startswith("{")} <= known


def run_sh(example, dna, _namespace):
    """The `dna` commands of a block, in this process."""
    for line in example.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words and words[0] == "dna":
            dna(*words[1:])


def run_python(example, _dna, namespace):
    if example.text.lstrip().startswith(">>>"):
        test = doctest.DocTestParser().get_doctest(example.text, namespace, example.document, None, example.line)
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
        runner.run(test, clear_globs=False)
        assert runner.summarize(verbose=False).failed == 0
        return
    if named := re.match(r"# (\w+)\.py\b", example.text):
        Path(f"{named[1]}.py").write_text(example.text, encoding="utf-8")
        importlib.import_module(named[1]).build()
        return
    exec(compile(example.text, f"{example.document}:{example.line}", "exec"), namespace)


def run_sql(example, dna, _namespace):
    code = "\n".join(line for line in example.text.splitlines() if not line.startswith("--"))
    for statement in filter(None, map(str.strip, code.split(";\n"))):
        dna("sql", statement)


def run_yaml(example, _dna, _namespace):
    """The keys and values of a part of a datasets file are known."""
    content = YAML(typ="safe").load(example.text)
    sections = {"datasets": content} if isinstance(content, list) else content
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data" / "datasets.yaml"
        path.parent.mkdir()
        with path.open("w", encoding="utf-8") as file:
            YAML().dump({"version": 1, "datasets": [], **sections}, file)
        DatasetsFile(path).load()
