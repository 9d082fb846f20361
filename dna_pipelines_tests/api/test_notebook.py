"""The notebook of the examples, executed: what it shows is what is committed."""

import json
import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "examples" / "two_folders.ipynb"

CHECKED = """
import json
print(json.dumps({
    "p_value": result.p_value, "significant": result.significant, "emd": comparison.emd,
    "tested": comparison.test().p_value, "in_memory": dna.emd(after, before),
    "neurons": len(comparison.explain().neurons), "images": [row["path"] for row in top.table],
    "rows": [list(row) for row in project.sql("SELECT dataset, n_images FROM datasets ORDER BY ALL").rows],
}))
"""


def test_the_notebook_is_short_and_is_committed_with_its_pictures():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert len(notebook.cells) <= 15
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 2
    assert not any(output.output_type in ("error", "stream") and output.get("name") == "stderr" for output in outputs)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_notebook_finds_the_blurred_images(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")]))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(CHECKED))
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    found = json.loads(notebook.cells[-1].outputs[0].text)
    assert found["significant"] is True
    assert found["p_value"] < 0.05
    assert found["tested"] < 0.05
    assert found["neurons"] == 8
    assert sum("blurred" in path for path in found["images"]) >= 6
    assert found["rows"] == [["after", 192], ["before", 192]]
    assert found["emd"] > 0
