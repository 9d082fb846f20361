"""Tables of neuron weights: what they give, and the rows that are refused."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dna_pipelines.analysis.selections.weights_file import read_weights
from dna_pipelines.distributions import Layer, Layers
from dna_pipelines.errors import UnknownName, UserError
from dna_pipelines_tests.raising import raises

LAYERS = Layers((Layer("first", 2), Layer("second", 3)))


def parquet(tmp_path, **columns):
    path = tmp_path / "weights.parquet"
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint64(), pa.float64(), pa.string()])
def test_whole_numbers_of_any_type_are_neurons(tmp_path, kind):
    neurons = pa.array([1, 0, 2]).cast(kind)
    path = parquet(tmp_path, layer=["first", "second", "second"], neuron=neurons, weight=[0.5, 2, 3])
    np.testing.assert_array_equal(read_weights(path, LAYERS), [0, 0.5, 2, 0, 3])


@pytest.mark.parametrize("neuron", [0.5, np.inf, np.nan, None])
def test_a_neuron_is_never_rounded(tmp_path, neuron):
    path = parquet(tmp_path, layer=["first", "first"], neuron=pa.array([1, neuron], pa.float64()), weight=[1.0, 1.0])
    with raises(UserError, "selection.weight-row", path=str(path), row=2):
        read_weights(path, LAYERS)


def test_a_table_without_rows_needs_its_columns_too(tmp_path):
    empty = pa.array([], pa.string())
    path = parquet(tmp_path, layer=empty, neuron=empty)
    with raises(UserError, "selection.missing-columns", path=str(path), columns=["weight"]):
        read_weights(path, LAYERS)
    path = parquet(tmp_path, layer=empty, neuron=empty, weight=empty)
    with raises(UserError, "selection.no-weight", path=str(path)):
        read_weights(path, LAYERS)


def test_a_layer_that_does_not_exist_is_named_with_its_row_and_those_there_are(tmp_path):
    path = parquet(tmp_path, layer=["first", "third"], neuron=[0, 0], weight=[1.0, 1.0])
    with raises(UnknownName, "name.layer", path=str(path), row=2, name="third", known=["first", "second"]):
        read_weights(path, LAYERS)
