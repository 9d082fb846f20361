"""`dna metrics`, and matrices of what the lake does not keep."""

import numpy as np
import pytest

from dna_pipelines.analysis.matrix import find_matrix
from dna_pipelines.comparison.metrics import METRICS, summary_in
from dna_pipelines.comparison.selection import Selection
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.update.dnas import find_dna


def test_every_metric_is_explained(dna):
    said = dna("metrics").out
    for one in METRICS:
        assert f"{one.name}: {one.title}" in said
        assert one.blind_to in said
    listed = {row["name"]: row for row in dna("metrics", "--json").json}
    assert listed["ks"]["high"] == 1
    assert listed["nfd"]["high"] is None
    assert [name for name, row in listed.items() if row["kept"]] == ["emd_bins", "emd_range", "nfd", "fd"]


@pytest.mark.parametrize("name", ["ks", "energy", "js", "hellinger", "psi"])
def test_a_matrix_of_any_metric_is_that_of_its_pairs(project, dna, name):
    here = ProjectFolder(project)
    found = find_matrix(here, "builtin", name)
    assert found.names == ("d0", "d1", "d2")
    assert (np.diag(found.values) == 0).all()
    dnas = [find_dna(here, one, "builtin") for one in found.names]
    everything = Selection.everything(dnas[0].layers)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        expected = summary_in(dnas[i], dnas[j], name, everything)["value"]
        assert found.values[i, j] == found.values[j, i] == pytest.approx(expected, rel=1e-9)
        assert expected > 0
    shown = dna("matrix", "--metric", name, "--json").json
    assert shown["metric"] == name
    np.testing.assert_allclose(np.array(shown["values"]), found.values)
