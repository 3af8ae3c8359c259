"""Every loss against its formula in NumPy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from keras import ops
from scipy import stats

from models import Spec
from models.losses import (
    SMALLEST_LOG_SCALE,
    binary_cross_entropy,
    cell_errors,
    cell_losses,
    cross_entropy,
    kl_divergence,
    level_shortfall,
    logistic_loss,
    logistic_shortfall,
    sparse_cross_entropy,
)

DRAW = np.random.default_rng(0)


def array(tensor: object) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(tensor))


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return np.asarray(logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True)))


def test_sparse_cross_entropy_is_minus_log_softmax() -> None:
    logits, level = DRAW.normal(0, 3, (50, 4)), DRAW.integers(0, 4, 50)
    expected = -log_softmax(logits)[np.arange(50), level]
    np.testing.assert_allclose(array(sparse_cross_entropy(level.astype("float32"), logits)), expected, rtol=1e-5)


def test_p04_an_unseen_level_costs_as_much_as_the_least_likely() -> None:
    logits = DRAW.normal(0, 3, (50, 4)).astype("float32")
    found = array(sparse_cross_entropy(-np.ones(50, "float32"), logits))
    np.testing.assert_allclose(found, -log_softmax(logits).min(axis=-1), rtol=1e-4)
    for loss in (binary_cross_entropy, level_shortfall):
        both = np.stack([array(loss(np.full(50, v, "float32"), logits[:, :2])) for v in (0, 1)])
        np.testing.assert_allclose(array(loss(-np.ones(50, "float32"), logits[:, :2])), both.max(axis=0), rtol=1e-5)


def test_binary_cross_entropy_is_the_sparse_one_of_two_levels() -> None:
    logits, level = DRAW.normal(0, 3, (50, 2)), DRAW.integers(0, 2, 50)
    p = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))
    expected = -(level * np.log(p) + (1 - level) * np.log(1 - p))
    for loss in (binary_cross_entropy, sparse_cross_entropy, cross_entropy):
        np.testing.assert_allclose(array(loss(level.astype("float32"), logits)), expected, rtol=1e-4)


def test_cross_entropies_of_extreme_logits_are_finite() -> None:
    logits = np.array([[1e4, -1e4], [-1e4, 1e4]], "float32")
    for loss in (binary_cross_entropy, sparse_cross_entropy):
        np.testing.assert_allclose(array(loss(np.zeros(2, "float32"), logits)), [0.0, 2e4], atol=1e-6)


def test_kl_divergence_in_closed_form() -> None:
    mean, log_variance = DRAW.normal(size=(20, 3)), DRAW.normal(size=(20, 3))
    variance = np.exp(log_variance)
    expected = 0.5 * (variance + mean**2 - 1 - np.log(variance)).sum(axis=-1)
    np.testing.assert_allclose(array(kl_divergence(mean, log_variance)), expected, rtol=1e-5)
    assert array(kl_divergence(np.zeros((1, 3)), np.zeros((1, 3)))) == pytest.approx(0.0)


def test_kl_divergence_is_the_mean_log_ratio_of_the_densities() -> None:
    mean, log_variance = np.array([0.7, -1.2]), np.array([-0.5, 0.8])
    scale = np.exp(log_variance / 2)
    z = mean + scale * DRAW.normal(size=(200_000, 2))
    ratio = (stats.norm.logpdf(z, mean, scale) - stats.norm.logpdf(z)).sum(axis=1)
    assert float(array(kl_divergence(mean, log_variance))) == pytest.approx(
        ratio.mean(), abs=5 * ratio.std() / len(ratio) ** 0.5
    )


def test_logistic_loss_is_minus_the_log_density() -> None:
    target, location, log_scale = DRAW.normal(0, 5, 100), DRAW.normal(size=100), DRAW.uniform(-3, 2, 100)
    expected = -stats.logistic.logpdf(target, location, np.exp(log_scale))
    np.testing.assert_allclose(array(logistic_loss(target, location, log_scale)), expected, rtol=1e-4, atol=1e-5)


def test_logistic_shortfall_is_the_fall_of_the_log_density_from_its_peak() -> None:
    target, log_scale = np.concatenate([np.geomspace(1e-2, 50, 100), [0.0]]), np.linspace(-1, 1, 101)
    scale = np.exp(log_scale)
    expected = stats.logistic.logpdf(0, 0, scale) - stats.logistic.logpdf(target, 0, scale)
    np.testing.assert_allclose(array(logistic_shortfall(target, 0.0, log_scale)), expected, rtol=1e-3, atol=1e-6)


def test_p15_near_the_location_the_shortfall_is_not_rounding() -> None:
    z = np.geomspace(1e-6, 2.0, 200).astype("float32")
    found = array(logistic_shortfall(z, np.float32(0.0), np.float32(0.0)))
    np.testing.assert_allclose(found, 2 * np.log(np.cosh(z.astype(float) / 2)), rtol=1e-4, atol=1e-13)
    assert (np.diff(found) > 0).all()


def test_p18_the_shortfall_of_what_is_farthest_out_is_finite() -> None:
    found = array(logistic_shortfall(np.array([1e6, 1e12], "float32"), np.float32(0), np.float32(SMALLEST_LOG_SCALE)))
    assert np.isfinite(found).all() and found[1] > found[0]


def test_level_shortfall_is_the_log_ratio_to_the_likeliest_and_nothing_for_that_one() -> None:
    logits, level = DRAW.normal(0, 3, (50, 5)).astype("float32"), DRAW.integers(0, 5, 50)
    log_p = log_softmax(logits.astype(float))
    found = array(level_shortfall(level.astype("float32"), logits))
    np.testing.assert_allclose(found, log_p.max(axis=-1) - log_p[np.arange(50), level], rtol=1e-4, atol=1e-6)
    assert (found[level == logits.argmax(axis=-1)] == 0).all()


SHAPE = ((1, 2, 1, 1), (0, 0, 3, 2), (0, 1, 2, 1))
"""A number, a vector of two numbers with a presence level of its own column, and a category."""


@pytest.fixture(params=[(0, 1, 2, 3), (2, 0, 3, 1)], ids=["numbers first", "mixed"])
def order(request: pytest.FixtureRequest) -> tuple[int, ...]:
    """The order in which the cells stand in the record."""
    return tuple(request.param)


def spec_of(model: str, order: tuple[int, ...], scaled: bool) -> Spec:
    widths, levels, columns = (tuple(each[i] for i in order) for each in SHAPE)
    return Spec(model, widths, levels, columns, members=1, scaled=scaled)


RECORD = {0: [[0.5], [np.nan], [1e6]], 1: [[1.0, -1.0], [np.nan, np.nan], [0.0, 2.0]], 2: [[2.0], [-1.0], [0.0]]}
RECORD |= {3: [[1.0], [0.0], [1.0]]}


def reconstruction(spec: Spec, order: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, dict[int, np.ndarray]]:
    """Three records, a model's output for them, and for each cell of SHAPE its part of the output."""
    draw = np.random.default_rng(1)
    record = np.concatenate([np.array(RECORD[cell]) for cell in order], axis=1)
    output = draw.normal(size=(3, spec.output_width))
    return record, output, {cell: output[:, slice(*spec.outputs[at])] for at, cell in enumerate(order)}


def test_losses_of_cells_without_scales(order: tuple[int, ...]) -> None:
    spec = spec_of("autoencoder", order, scaled=False)
    record, output, parts = reconstruction(spec, order)
    expected = np.zeros((3, 4))
    for at, cell in enumerate(order):
        target = np.array(RECORD[cell])
        if SHAPE[1][cell]:
            log_p = log_softmax(parts[cell])
            level = target[:, 0].astype(int)
            expected[:, at] = -np.where(level < 0, log_p.min(axis=1), log_p[np.arange(3), level])
        else:
            expected[:, at] = np.nan_to_num((target - parts[cell]) ** 2).mean(axis=1)

    for measure in (cell_losses, cell_errors):
        np.testing.assert_allclose(array(measure(spec, record, output)), expected, rtol=1e-4, atol=1e-6)


def test_losses_and_errors_of_cells_with_scales(order: tuple[int, ...]) -> None:
    spec = spec_of("ensemble", order, scaled=True)
    record, output, parts = reconstruction(spec, order)
    scales = {0: output[:, 3:4], 1: output[:, 4:6]}
    losses, errors = np.zeros((3, 4)), np.zeros((3, 4))
    for at, cell in enumerate(order):
        target = np.array(RECORD[cell])
        if SHAPE[1][cell]:
            log_p, level = log_softmax(parts[cell]), target[:, 0].astype(int)
            log_p = np.where(level < 0, log_p.min(axis=1), log_p[np.arange(3), level])
            losses[:, at], errors[:, at] = -log_p, log_softmax(parts[cell]).max(axis=1) - log_p
        else:
            scale = np.exp(scales[cell])
            log_p = stats.logistic.logpdf(target, parts[cell], scale)
            losses[:, at] = np.nan_to_num(-log_p).mean(axis=1)
            errors[:, at] = np.nan_to_num(stats.logistic.logpdf(0, 0, scale) - log_p).mean(axis=1)

    np.testing.assert_allclose(array(cell_losses(spec, record, output)), losses, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(array(cell_errors(spec, record, output)), errors, rtol=1e-4, atol=1e-5)


def test_blunt_cells_are_those_of_a_scale_of_one(order: tuple[int, ...]) -> None:
    scaled = spec_of("ensemble", order, scaled=True)
    blunt = replace(scaled, scaled=False, blunt=True)
    record, output, _ = reconstruction(blunt, order)
    # The output of a scaled model holds its log scales between the numbers and the logits: here all are 0.
    numbers = len(blunt.number_slots)
    with_scales = np.insert(output, [numbers] * numbers, 0.0, axis=1)

    for measure in (cell_losses, cell_errors):
        expected = array(measure(scaled, record, with_scales))
        np.testing.assert_allclose(array(measure(blunt, record, output)), expected, rtol=1e-6)


def test_the_scale_has_a_smallest_value() -> None:
    spec = Spec("ensemble", (1,), (0,), (0,), members=1, scaled=True)
    record = np.array([[1.0]])
    smallest, smaller = (array(cell_losses(spec, record, np.array([[0.0, s]]))) for s in (SMALLEST_LOG_SCALE, -50.0))
    np.testing.assert_allclose(smaller, smallest)
