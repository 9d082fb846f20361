"""A datasets file in a folder of the test's own, and what is wrong with it."""

import pytest

from dna_pipelines.config import DatasetsFile
from dna_pipelines.errors import ConfigError

LIST = "a list, such as [a, b]"
"""What is expected where there has to be a list."""


@pytest.fixture
def file(tmp_path):
    return DatasetsFile(tmp_path / "data" / "datasets.yaml")


@pytest.fixture
def written(file):
    """Write the file and return it."""

    def write(text):
        file.path.parent.mkdir(exist_ok=True)
        file.path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file

    return write


@pytest.fixture
def refused(written):
    """The code and the facts of the error for a wrong file, which its message and facts name."""

    def explained(text):
        file = written(text)
        with pytest.raises(ConfigError) as caught:
            file.load()
        for mistake in caught.value.facts.get("mistakes", [caught.value.facts]):
            assert mistake["file"] == str(file.path)
            assert f"{file.path}, line {mistake['line']}: " in str(caught.value)
        return caught.value.code, caught.value.facts

    return explained


def holds(facts, expected):
    """Whether all expected facts are among the facts."""
    return {name: facts.get(name) for name in expected} == expected
