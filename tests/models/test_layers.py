"""Every layer against its formula in NumPy."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from models import Spec
from models.layers import (
    REACH,
    STRAIGHT,
    HideColumns,
    MemberDense,
    MemberNorm,
    ReadRecord,
    ReconstructionLoss,
    drawn_in,
)
from models.losses import cell_losses
from models.vae import DivergenceLoss, Reparameterise

MEMBERS = 2
SPEC = Spec("ensemble", (1, 1, 2, 1), (0, 3, 0, 2), (0, 1, 2, 2), members=MEMBERS, scaled=True)
"""A number, a category of three levels, and a column of a vector of two numbers with a presence level."""


def array(tensor: object) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(tensor))


def records(n: int = 6, seed: int = 0) -> np.ndarray:
    """Encoded records of SPEC, float32 (members, n, slots), with a missing number and an unseen level."""
    draw = np.random.default_rng(seed)
    found = draw.normal(0, 2, (MEMBERS, n, 5)).astype("float32")
    found[..., 1], found[..., 4] = draw.integers(0, 3, found.shape[:2]), draw.integers(0, 2, found.shape[:2])
    found[:, 0, 0], found[:, 1, 2:4], found[:, 2, 1], found[:, 3, 0] = np.nan, np.nan, -1.0, 500.0
    return found


def hidden(n: int = 6, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, (MEMBERS, n, 3)).astype("float32")


@pytest.mark.parametrize("activation", ["relu", "silu", None])
def test_member_dense_is_a_dense_layer_for_each_member(activation: str | None) -> None:
    layer = MemberDense(4, activation=activation)
    x = np.random.default_rng(0).normal(size=(MEMBERS, 7, 3)).astype("float32")

    found = array(layer(x))

    kernel, bias = layer.get_weights()
    assert kernel.shape == (MEMBERS, 3, 4) and bias.shape == (MEMBERS, 1, 4)
    plain = np.stack([x[m] @ kernel[m] + bias[m] for m in range(MEMBERS)])
    bent = {"relu": np.maximum(plain, 0), "silu": plain / (1 + np.exp(-plain)), None: plain}[activation]
    np.testing.assert_allclose(found, bent, rtol=1e-4, atol=1e-5)


def test_member_dense_starts_with_unit_variance_whatever_the_number_of_members() -> None:
    x = np.random.default_rng(0).normal(size=(8, 400, 256)).astype("float32")
    assert array(MemberDense(128)(x)).std() == pytest.approx(1.0, rel=0.05)
    relu = array(MemberDense(128, activation="relu")(x))
    assert (relu**2).mean() == pytest.approx(1.0, rel=0.05)


def test_member_norm_is_layer_normalisation_with_a_scale_for_each_member() -> None:
    layer = MemberNorm()
    x = np.random.default_rng(0).normal(3, 5, (MEMBERS, 7, 4)).astype("float32")
    layer(x)
    scale, offset = np.random.default_rng(1).normal(size=(2, MEMBERS, 1, 4))
    layer.set_weights([scale, offset])

    normal = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)

    np.testing.assert_allclose(array(layer(x)), normal * scale + offset, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("layer", [MemberDense(4, activation="silu"), MemberNorm()], ids=["dense", "norm"])
def test_a_member_does_not_see_another(layer: keras.layers.Layer) -> None:
    x = np.random.default_rng(0).normal(size=(MEMBERS, 5, 3)).astype("float32")
    other = x.copy()
    other[1] += 10.0 * np.random.default_rng(1).normal(size=(5, 3))

    before, after = array(layer(x)), array(layer(other))
    layer.set_weights([np.concatenate([w[:1], w[1:] + 1.0]) for w in layer.get_weights()])
    changed = array(layer(x))

    for found in (after, changed):
        np.testing.assert_array_equal(found[0], before[0])
        assert np.abs(found[1] - before[1]).max() > 0.1


FAR = np.concatenate([[STRAIGHT, np.nextafter(np.float32(STRAIGHT), np.float32(6.0))], np.geomspace(5.01, 1e12, 300)])
NEAR = np.linspace(-STRAIGHT, STRAIGHT, 101, dtype="float32")


def test_numbers_are_read_as_they_are_up_to_the_bend() -> None:
    np.testing.assert_array_equal(array(drawn_in(NEAR)), NEAR)


def test_beyond_the_bend_numbers_are_read_by_their_logarithm() -> None:
    far = FAR.astype("float32")
    found = array(drawn_in(far))
    np.testing.assert_allclose(found, 5 * (1 + np.log(far.astype(float) / 5)), rtol=1e-6)
    np.testing.assert_array_equal(array(drawn_in(-far)), -found)


def test_p18_a_number_further_out_reads_as_further_out_and_none_blows_up() -> None:
    every = np.concatenate([-FAR[::-1], NEAR[1:-1], FAR]).astype("float32")
    found = array(drawn_in(every))
    assert (np.diff(found) >= 0).all()
    assert (np.diff(found)[np.diff(every) > 1e-3 * np.abs(every[1:])] > 0).all()
    assert np.abs(found).max() < 140
    # No step where the two halves meet, in value or in slope.
    around = np.array([4.99, 5.0, 5.01], "float32")
    np.testing.assert_allclose(np.diff(array(drawn_in(around))), [0.01, 0.01], rtol=2e-3)


def as_seen(member: int, record: np.ndarray, hide: np.ndarray) -> np.ndarray:
    """What ReadRecord multiplies by its kernel: numbers, signs, one-hot levels (place 0: hidden or unseen)."""
    x, h = record[member], hide[member]
    away = np.stack([h[:, 0], h[:, 2], h[:, 2]], axis=1).astype(bool) | np.isnan(x[:, [0, 2, 3]])
    numbers = np.where(away, 0.0, array(drawn_in(x[:, [0, 2, 3]])))
    carrier = np.eye(4)[np.where(h[:, 1] > 0, 0, x[:, 1] + 1).astype(int)]
    presence = np.eye(3)[np.where(h[:, 2] > 0, 0, x[:, 4] + 1).astype(int)]
    return np.concatenate([numbers, away[:, :2], carrier, presence], axis=1)


def test_read_record_is_a_dense_layer_on_drawn_in_numbers_signs_and_one_hot_levels() -> None:
    layer = ReadRecord(SPEC, 6, activation="relu")
    x, h = records(), hidden()

    found = array(layer(x, h))

    kernel, bias, carrier, presence = layer.get_weights()
    for m in range(MEMBERS):
        whole = np.concatenate([kernel[m], carrier[4 * m : 4 * m + 4], presence[3 * m : 3 * m + 3]])
        np.testing.assert_allclose(found[m], np.maximum(as_seen(m, x, h) @ whole + bias[m], 0), rtol=1e-4, atol=1e-5)
    assert layer.compute_output_shape(x.shape, h.shape) == found.shape == (MEMBERS, 6, 6)


@pytest.mark.parametrize(("column", "slots"), [(0, [0]), (1, [1]), (2, [2, 3, 4])])
def test_what_is_hidden_is_not_read(column: int, slots: list[int]) -> None:
    layer = ReadRecord(SPEC, 6)
    x, other, h = records(), records(), np.zeros((MEMBERS, 6, 3), "float32")
    other[..., slots] = records(seed=9)[..., slots]
    shown = array(layer(other, h))
    assert np.abs(shown - array(layer(x, h))).max() > 0.01

    h[..., column] = 1.0

    np.testing.assert_array_equal(array(layer(other, h)), array(layer(x, h)))


def test_columns_are_hidden_only_in_training_at_rates_between_the_two() -> None:
    layer, given = HideColumns(3, (0.05, 0.6)), hidden()
    np.testing.assert_array_equal(array(layer(given)), given)

    drawn = array(layer(np.zeros((MEMBERS, 20_000, 3), "float32"), training=True))

    assert set(np.unique(drawn)) == {0.0, 1.0}
    assert drawn.mean() == pytest.approx((0.05 + 0.6) / 2, abs=0.01)
    # One rate for all columns of a record: P(all three) = E[rate^3], not E[rate]^3.
    expected = (0.6**4 - 0.05**4) / (4 * 0.55)
    assert drawn.all(axis=-1).mean() == pytest.approx(expected, abs=0.008)
    assert drawn[0].tolist() != drawn[1].tolist()


@pytest.mark.parametrize(("visible", "category"), [(0.0, 1.0), (1.0, 1.0), (0.25, 0.5)])
def test_reconstruction_loss_weighs_hidden_and_visible_cells(visible: float, category: float) -> None:
    layer = ReconstructionLoss(SPEC, visible, category)
    x, h = records(), hidden()
    output = np.random.default_rng(2).normal(size=(MEMBERS, 6, SPEC.output_width)).astype("float32")

    np.testing.assert_array_equal(array(layer(x, output, h, training=True)), output)

    clipped = x.copy()
    clipped[..., [0, 2, 3]] = np.clip(x[..., [0, 2, 3]], -REACH, REACH)
    each = array(cell_losses(SPEC, clipped, output))
    weight = np.where(h[..., [0, 1, 2, 2]] > 0, 1.0, visible) * np.array([1.0, category, 1.0, category])
    assert float(layer.losses[0]) == pytest.approx((each * weight).mean(axis=(1, 2)).sum(), rel=1e-5)


def test_no_loss_is_added_when_scoring() -> None:
    layer = ReconstructionLoss(SPEC, 1.0, 1.0)
    layer(records(), np.zeros((MEMBERS, 6, SPEC.output_width), "float32"), hidden())
    assert layer.losses == []


def test_divergence_is_averaged_over_records_summed_over_members_and_weighed() -> None:
    draw = np.random.default_rng(0)
    mean, log_variance = draw.normal(size=(2, MEMBERS, 6, 3)).astype("float32")
    layer = DivergenceLoss(0.01)

    np.testing.assert_array_equal(array(layer(mean, mean, log_variance)), mean)

    each = 0.5 * (np.exp(log_variance) + mean**2 - 1 - log_variance).sum(axis=-1)
    assert float(layer.losses[0]) == pytest.approx(0.01 * each.mean(axis=1).sum(), rel=1e-5)
    layer.warm_up.assign(0.0)
    layer(mean, mean, log_variance)
    assert float(layer.losses[-1]) == 0.0


class TestReparameterise:
    MEAN = np.array([[[0.7, -1.2]]], "float32")
    LOG_VARIANCE = np.array([[[-0.5, 0.8]]], "float32")

    def test_p15_scores_are_taken_at_the_mean(self) -> None:
        np.testing.assert_array_equal(array(Reparameterise()(self.MEAN, self.LOG_VARIANCE)), self.MEAN)

    def test_draws_have_the_mean_and_the_variance_and_differ(self) -> None:
        shape = (1, 100_000, 2)
        mean, log_variance = np.broadcast_to(self.MEAN, shape), np.broadcast_to(self.LOG_VARIANCE, shape)
        layer = Reparameterise()
        first, second = (array(layer(mean, log_variance, training=True))[0] for _ in range(2))
        np.testing.assert_allclose(first.mean(axis=0), self.MEAN[0, 0], atol=0.02)
        np.testing.assert_allclose(np.log(first.var(axis=0)), self.LOG_VARIANCE[0, 0], atol=0.03)
        assert (first != second).mean() > 0.99

    def test_gradients_reach_mean_and_variance_through_the_draw(self) -> None:
        """For f(z) = a z^2 + b z and z = m + s e: df/dm = 2 a z + b, df/dlog s^2 = (2 a z + b) s e / 2."""
        import tensorflow as tf

        a, b = 1.5, -0.4
        mean, log_variance = (tf.Variable(np.tile(v, (1, 50_000, 1))) for v in (self.MEAN, self.LOG_VARIANCE))
        with tf.GradientTape() as tape:
            z = Reparameterise()(mean, log_variance, training=True)
            f = tf.reduce_sum(a * z**2 + b * z)
        by_mean, by_log_variance = (array(g)[0] for g in tape.gradient(f, [mean, log_variance]))

        drawn, m, v = array(z)[0], self.MEAN[0, 0], np.exp(self.LOG_VARIANCE[0, 0])
        slope = 2 * a * drawn + b
        np.testing.assert_allclose(by_mean, slope, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(by_log_variance, slope * (drawn - m) / 2, rtol=1e-3, atol=1e-3)
        # In expectation E[f] = a (m^2 + v) + b m, whose gradients are 2 a m + b and a v.
        np.testing.assert_allclose(by_mean.mean(axis=0), 2 * a * m + b, atol=0.1)
        np.testing.assert_allclose(by_log_variance.mean(axis=0), a * v, atol=0.1)
