"""What the documentation has to contain."""

import re

import dna_pipelines
from dna_pipelines_tests.docs.examples import CHECKOUT, DOCUMENTS

DOCS = CHECKOUT / "docs"


def test_every_public_name_is_in_the_reference():
    documented = re.findall(r"^\.\. auto\w+:: (\w+)$", (DOCS / "api.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(documented) == sorted(set(dna_pipelines.__all__) - {"__version__"})


def test_every_page_is_in_the_navigation():
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    named = {name for block in re.findall(r"```\{toctree\}(.*?)```", index, re.DOTALL) for name in block.split()}
    assert {path.stem for path in DOCS.glob("*.md")} - {"index"} <= named


def test_links_between_documents_lead_somewhere():
    broken = []
    for path in [*DOCUMENTS, CHECKOUT / "ARCHITECTURE.md", CHECKOUT / "CHANGELOG.md", CHECKOUT / "CONTRIBUTING.md"]:
        text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text)
        broken.extend(f"{path.name}: {target}" for target in targets if not (path.parent / target).exists())
    assert broken == []
