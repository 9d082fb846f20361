"""A datasets file in a folder of the test's own."""

import pytest

from dna_pipelines.config import DatasetsFile


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
