"""The network as NumPy runs it takes sums where Keras reads the record anew: what is measured is the same."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from models import Spec, build
from models.losses import cell_errors
from pipeline.detector import masked
from pipeline.detector.masked import Masked

CELLS: dict[str, Any] = {"widths": (1, 1, 2, 1, 1, 1), "levels": (0, 3, 0, 2, 0, 40), "columns": (0, 1, 2, 2, 3, 4)}
"""A number, a category, a column of two numbers with a presence level, another number, a category of many levels."""
SPECS = {
    "scaled": Spec("ensemble", **CELLS, scaled=True),
    "blunt": Spec("ensemble", **CELLS, blunt=True),
    "of categories": Spec("ensemble", (1, 1), (3, 5), (0, 1), scaled=True),
    "of numbers": Spec("ensemble", (1, 2, 1), (0, 0, 0), (0, 1, 2), scaled=True),
}
PARTITIONS = ([[0, 1, 2, 3, 4]], [[0, 0, 1, 1, 1]], [[0, 1, 0, 1, 2], [2, 1, 0, 0, 1]])


def model_of(spec: Spec) -> keras.Model:
    """A model whose every weight counts: biases and scales are drawn as well."""
    keras.utils.set_random_seed(0)
    model, draw = build(spec), np.random.default_rng(1)
    model.set_weights([weight + draw.normal(0, 0.2, weight.shape).astype("float32") for weight in model.get_weights()])
    return model


def records(spec: Spec, n: int = 24, members: int = 1) -> np.ndarray:
    """Encoded records, float32 (n, members, slots), with missing and far-out numbers and unseen levels."""
    draw = np.random.default_rng(0)
    found = draw.normal(0, 2, (n, members, spec.slots)).astype("float32")
    found[draw.random(found.shape) < 0.1] = np.nan
    found[3, :, 0], found[4, :, 0] = 1e30, -1e6
    for cell in spec.category_cells:
        found[..., spec.starts[cell]] = draw.integers(-1, spec.levels[cell], (n, members))
    return found


def expected(spec: Spec, model: keras.Model, record: np.ndarray, partitions: Any) -> np.ndarray:
    """The mean of what the whole model gives of each cell in those passes that hide its column."""
    given = np.repeat(record, spec.members // record.shape[1], axis=1)
    found = np.zeros((len(record), spec.members, len(spec.widths)))
    for groups in partitions:
        for group in range(max(groups) + 1):
            hidden = np.broadcast_to(np.equal(groups, group).astype("float32"), (*given.shape[:2], spec.column_count))
            measured = expected_errors(spec, model([given, hidden]), given)
            own = np.equal(groups, group)[list(spec.columns)]
            found[..., own] += measured[..., own] / len(partitions)
    return found


def expected_errors(spec: Spec, output: Any, record: np.ndarray) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(cell_errors(spec, record, output)))


@pytest.mark.parametrize("rows", [5, 1_024], ids=["some at a time", "all at once"])
@pytest.mark.parametrize("members", [1, 2], ids=["the same for all members", "each its own"])
@pytest.mark.parametrize("kind", SPECS)
def test_what_a_pass_measures_is_what_keras_says_with_the_column_hidden(
    kind: str, members: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = SPECS[kind]
    monkeypatch.setattr(masked, "NUMBERS", rows * spec.hidden)
    model, record = model_of(spec), records(spec, members=members)
    for whole in PARTITIONS:
        partitions = [np.unique(groups[: spec.column_count], return_inverse=True)[1].tolist() for groups in whole]
        found = Masked(spec, model.get_weights()).errors(record, partitions)
        assert found.shape == (24, 2, len(spec.widths)) and found.dtype == np.float32
        np.testing.assert_allclose(found, expected(spec, model, record, partitions), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", SPECS)
def test_with_any_columns_hidden_the_output_is_that_of_keras(kind: str) -> None:
    spec = SPECS[kind]
    model, record = model_of(spec), records(spec)[:, 0]
    hidden = (np.random.default_rng(2).random((24, spec.column_count)) < 0.4).astype("float32")
    given = [np.repeat(each[:, None], spec.members, axis=1) for each in (record, hidden)]
    output = model(given)
    network = Masked(spec, model.get_weights())
    whole = ops.convert_to_numpy(output).mean(axis=1)
    np.testing.assert_allclose(network.output(record, hidden), whole, rtol=1e-4, atol=1e-5)
    errors = expected_errors(spec, output, given[0]).mean(axis=1)
    np.testing.assert_allclose(network.errors_with(record, hidden), errors, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", SPECS)
def test_weights_of_another_model_are_refused(kind: str) -> None:
    weights = model_of(SPECS[kind]).get_weights()
    for wrong in (weights[:-1], [*weights[:-1], weights[-1][..., :1]]):
        with pytest.raises(ValueError, match="the weights are not those of a network of"):
            Masked(SPECS[kind], wrong)


def test_to_run_a_trained_network_neither_keras_nor_tensorflow_is_loaded() -> None:
    script = """
import sys
import pipeline.detector, pipeline.scoring, pipeline.training
print([name for name in ("keras", "tensorflow") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
