"""A pass takes sums and heads where the model would read the record anew: what is measured is the same."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from models import Passes, Spec, build
from models.losses import cell_errors, cell_losses

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


def expected(spec: Spec, model: keras.Model, record: np.ndarray, partitions: Any, measure: Any) -> np.ndarray:
    """The mean of what the whole model gives of each cell in those passes that hide its column."""
    given = np.repeat(record, spec.members // record.shape[1], axis=1)
    found = np.zeros((len(record), spec.members, len(spec.widths)))
    for groups in partitions:
        for group in range(max(groups) + 1):
            hidden = np.broadcast_to(np.equal(groups, group).astype("float32"), (*given.shape[:2], spec.column_count))
            measured = ops.convert_to_numpy(measure(spec, given, model([given, hidden])))
            own = np.equal(groups, group)[list(spec.columns)]
            found[..., own] += measured[..., own] / len(partitions)
    return found


@pytest.mark.parametrize("measure", [cell_errors, cell_losses])
@pytest.mark.parametrize("members", [1, 2], ids=["the same for all members", "each its own"])
@pytest.mark.parametrize("kind", SPECS)
def test_what_a_pass_measures_is_what_the_model_says_with_the_column_hidden(
    kind: str, members: int, measure: Any
) -> None:
    spec = SPECS[kind]
    model, record = model_of(spec), records(spec, members=members)
    for whole in PARTITIONS:
        partitions = [np.unique(groups[: spec.column_count], return_inverse=True)[1].tolist() for groups in whole]
        found = ops.convert_to_numpy(Passes(model, spec, partitions, measure)(record))
        assert found.shape == (24, 2, len(spec.widths))
        np.testing.assert_allclose(found, expected(spec, model, record, partitions, measure), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["autoencoder", "vae"])
def test_without_passes_the_record_is_measured_as_it_is_shown(name: str) -> None:
    spec = Spec(name, **CELLS)
    model, record = model_of(spec), records(spec)
    nothing = np.zeros((24, 2, 5), "float32")
    given = np.repeat(record, 2, axis=1)
    measured = ops.convert_to_numpy(cell_errors(spec, given, model([given, nothing])))
    np.testing.assert_allclose(ops.convert_to_numpy(Passes(model, spec, [])(record)), measured, rtol=1e-5, atol=1e-5)
