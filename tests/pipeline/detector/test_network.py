"""The passes that hide columns, and whose error a held-out record gets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from models import Spec
from pipeline.detector import Detector
from pipeline.detector.network import EXACT_COLUMNS, Schedule, hiding_passes


def spec_of(model: str, columns: int) -> Spec:
    return Spec(model, (1,) * columns, (0,) * columns, tuple(range(columns)), scaled=model == "ensemble")


@pytest.mark.parametrize("columns", [1, 2, EXACT_COLUMNS])
def test_few_columns_are_hidden_one_at_a_time(columns: int) -> None:
    np.testing.assert_array_equal(hiding_passes(spec_of("ensemble", columns)), np.eye(columns))


@pytest.mark.parametrize("columns", [EXACT_COLUMNS + 1, 60, 333])
def test_many_columns_are_hidden_a_twelfth_at_a_time_each_twice(columns: int) -> None:
    passes = hiding_passes(spec_of("ensemble", columns))
    assert passes.shape == (24, columns)
    assert (passes.sum(axis=0) == 2).all()
    assert passes.sum(axis=1).max() - passes.sum(axis=1).min() <= 1
    np.testing.assert_array_equal(passes, hiding_passes(spec_of("ensemble", columns)))
    company = passes.T @ passes - np.diag(np.full(columns, 2.0))
    assert (company == 2).mean() < 0.05, "two columns are seldom hidden together both times"


@pytest.mark.parametrize("model", ["autoencoder", "vae"])
def test_plain_models_see_the_whole_record(model: str) -> None:
    np.testing.assert_array_equal(hiding_passes(spec_of(model, 30)), np.zeros((1, 30)))


@pytest.mark.parametrize(("records", "steps"), [(20, 500), (6_000, 500), (12_000, 1_000), (10**6, 2_000)])
def test_a_small_window_takes_fewer_steps(records: int, steps: int) -> None:
    assert Schedule(2_000, 256, 3e-3).steps_for(records) == steps
    assert Schedule(60, 64, 3e-3).steps_for(records) == 60


def test_a_held_out_error_is_that_of_the_member_that_never_saw_the_record(
    fitted: Callable[[str], Detector], normal: Callable[..., object], model: str
) -> None:
    network = fitted(model).network
    matrix = fitted(model).encoder.encode(normal(30, 5)).matrix  # type: ignore[arg-type]
    by_member = [network.errors(matrix, np.full(30, member)) for member in range(2)]
    fold = np.arange(30) % 2

    np.testing.assert_allclose(network.errors(matrix), (by_member[0] + by_member[1]) / 2, rtol=1e-5, atol=1e-6)
    picked = np.where(fold[:, None] == 0, by_member[0], by_member[1])
    np.testing.assert_allclose(network.errors(matrix, fold), picked, rtol=1e-5, atol=1e-6)
    assert np.abs(by_member[0] - by_member[1]).max() > 0.01


def test_the_error_of_a_masked_cell_is_against_its_own_value(
    fitted: Callable[[str], Detector], normal: Callable[..., object]
) -> None:
    """The model does not see the cell it is judged on: its error depends on the value only through the comparison."""
    detector = fitted("ensemble")
    matrix = detector.encoder.encode(normal(10, 5)).matrix  # type: ignore[arg-type]
    at = list(detector.encoder.columns).index("amount")
    slot = detector.network.spec.starts[detector.network.spec.columns.index(at)]
    column = np.full(10, at)
    location = detector.network.reconstruct(matrix, column)
    other = matrix.copy()
    other[:, slot] += 3.0
    np.testing.assert_array_equal(detector.network.reconstruct(other, column), location)
