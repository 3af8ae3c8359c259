"""The three models: their shapes, what they read, what they put out, what they minimise."""

from __future__ import annotations

import json
import sys
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from models import BUILDERS, Spec, build
from models.losses import cell_errors, cell_losses
from models.vae import Reparameterise

NAMES = ("autoencoder", "vae", "ensemble")
SHAPES = (*NAMES, "blunt")
"""The models, the ensemble with learned scales and with fixed ones."""
CELLS: dict[str, Any] = {"widths": (1, 1, 2, 1, 1), "levels": (0, 3, 0, 2, 0), "columns": (0, 1, 2, 2, 3)}
"""A number, a category, a column of two numbers with a presence level, and another number."""


def spec_of(name: str, **fields: Any) -> Spec:
    kind = {"blunt": "ensemble"}.get(name, name)
    drawn = {"scaled": name == "ensemble", "blunt": name == "blunt"}
    return Spec(kind, **{**CELLS, "hidden": 16, "code": 3, **drawn, **fields})


@pytest.fixture(scope="module", params=SHAPES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def spec(name: str) -> Spec:
    return spec_of(name)


@pytest.fixture(scope="module")
def model(spec: Spec) -> keras.Model:
    keras.utils.set_random_seed(0)
    return build(spec)


def records(n: int = 5, seed: int = 0, members: int = 2) -> np.ndarray:
    """Encoded records, float32 (n, members, slots), every member given the same; a missing number, an unseen level."""
    draw = np.random.default_rng(seed)
    found = draw.normal(0, 1.5, (n, 6)).astype("float32")
    found[:, 1], found[:, 4] = draw.integers(0, 3, n), draw.integers(0, 2, n)
    found[0, 0], found[1, 2:4], found[2, 1] = np.nan, np.nan, -1.0
    return np.repeat(found[:, None], members, axis=1)


def nothing_hidden(n: int = 5) -> np.ndarray:
    return np.zeros((n, 2, 4), "float32")


def run(model: keras.Model, record: np.ndarray, hidden: np.ndarray, training: bool = False) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(model([record, hidden], training=training)))


def test_every_model_has_a_builder() -> None:
    assert tuple(sorted(BUILDERS)) == tuple(sorted(NAMES))
    with pytest.raises(KeyError, match="forest"):
        build(spec_of("forest"))


def test_a_model_puts_out_a_reconstruction_for_each_member(spec: Spec, model: keras.Model) -> None:
    found = run(model, records(), nothing_hidden())
    assert found.shape == (5, spec.members, spec.output_width)
    assert np.isfinite(found).all()
    assert np.abs(found[:, 0] - found[:, 1]).max() > 0.01


def test_p15_a_record_is_reconstructed_as_if_it_were_alone(model: keras.Model) -> None:
    whole = run(model, records(), nothing_hidden())
    alone = np.concatenate([run(model, records()[i : i + 1], nothing_hidden(1)) for i in range(5)])
    np.testing.assert_allclose(alone, whole, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(run(model, records(), nothing_hidden()), whole)


def test_a_member_does_not_see_another(model: keras.Model) -> None:
    record = records()
    record[:, 1] = records(seed=5)[:, 1]
    before, after = run(model, records(), nothing_hidden()), run(model, record, nothing_hidden())
    np.testing.assert_allclose(after[:, 0], before[:, 0], rtol=1e-5, atol=1e-6)
    assert np.abs(after[:, 1] - before[:, 1]).max() > 0.01


@pytest.mark.parametrize(("column", "slots"), [(0, [0]), (1, [1]), (2, [2, 3, 4]), (3, [5])])
def test_a_hidden_cell_does_not_leak(model: keras.Model, column: int, slots: list[int]) -> None:
    other, hidden = records(), nothing_hidden()
    other[..., slots] = records(seed=7)[..., slots] + np.array([0.0 if s in (1, 4) else 3.0 for s in slots])
    assert np.abs(run(model, other, hidden) - run(model, records(), hidden)).max() > 1e-3

    hidden[..., column] = 1.0

    np.testing.assert_array_equal(run(model, other, hidden), run(model, records(), hidden))


def test_a_missing_number_reads_as_a_hidden_one(model: keras.Model) -> None:
    missing, hidden = records(), nothing_hidden()
    missing[..., 5] = np.nan
    hidden[..., 3] = 1.0
    np.testing.assert_array_equal(run(model, missing, nothing_hidden()), run(model, records(), hidden))


def test_p18_a_far_out_input_leaves_the_reconstruction_within_bounds(model: keras.Model) -> None:
    far, farther, farthest = records(), records(), records()
    far[..., 5], farther[..., 5], farthest[..., 5] = 5.0, 1e4, 1e12
    near, away, end = (run(model, each, nothing_hidden()) for each in (far, farther, farthest))
    assert np.abs(away - near).max() > 1e-3, "how far out a value is can be read"
    assert np.isfinite(end).all() and np.abs(end).max() < 1e3


def test_p20_missing_values_leave_the_gradients_finite(model: keras.Model) -> None:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        model([records(), nothing_hidden()], training=True)
        loss = ops.sum(ops.stack(model.losses))
    gradients = tape.gradient(loss, [weight.value for weight in model.trainable_weights])

    assert np.isfinite(float(loss))
    for weight, gradient in zip(model.trainable_weights, gradients, strict=True):
        assert gradient is not None, weight.path
        assert np.isfinite(np.asarray(ops.convert_to_numpy(tf.convert_to_tensor(gradient)))).all(), weight.path


def relu(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(x, 0))


def test_the_autoencoder_is_m_40_n_40_m_with_relu() -> None:
    numbers = 7
    model = build(Spec("autoencoder", (1,) * numbers, (0,) * numbers, tuple(range(numbers)), members=1, code=3))
    shapes = [weight.shape for weight in model.trainable_weights if weight.name == "kernel"]
    # The signs of missing numbers stand beside the numbers.
    assert shapes == [(1, 2 * numbers, 40), (1, 40, 3), (1, 3, 40), (1, 40, numbers)]

    x = np.random.default_rng(0).normal(size=(9, numbers)).astype("float32")
    w1, b1, w2, b2, w3, b3, w4, b4 = (weight[0] for weight in model.get_weights())
    code = relu(np.hstack([x, np.zeros_like(x)]) @ w1 + b1) @ w2 + b2
    expected = relu(code @ w3 + b3) @ w4 + b4

    found = run(model, x[:, None], np.zeros((9, 1, numbers), "float32"))
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def vae() -> keras.Model:
    keras.utils.set_random_seed(0)
    return build(spec_of("vae", kl_weight=0.5))


def test_p15_the_vae_scores_from_its_mean_and_samples_in_training(vae: keras.Model) -> None:
    code = next(layer for layer in vae.layers if isinstance(layer, Reparameterise))
    inner = keras.Model(vae.inputs, [vae.get_layer("code_mean").output, code.output])
    mean, code = inner([records(), nothing_hidden()])
    np.testing.assert_array_equal(ops.convert_to_numpy(code), ops.convert_to_numpy(mean))

    scored = [run(vae, records(), nothing_hidden()) for _ in range(2)]
    sampled = [run(vae, records(), nothing_hidden(), training=True) for _ in range(2)]

    np.testing.assert_array_equal(*scored)
    assert np.abs(sampled[0] - sampled[1]).max() > 1e-3


def test_the_vae_minimises_the_reconstruction_error_and_the_divergence(vae: keras.Model) -> None:
    inner = keras.Model(vae.inputs, [vae.get_layer("code_mean").output, vae.get_layer("code_log_variance").output])
    mean, log_variance = (np.asarray(ops.convert_to_numpy(each)) for each in inner([records(), nothing_hidden()]))
    each = 0.5 * (np.exp(log_variance) + mean**2 - 1 - log_variance).sum(axis=-1)

    output = run(vae, records(), nothing_hidden(), training=True)
    divergence, reconstruction = sorted(map(float, vae.losses), key=lambda loss: abs(loss - 0.5 * each.mean(1).sum()))

    assert divergence == pytest.approx(0.5 * each.mean(axis=1).sum(), rel=1e-4)
    errors = np.asarray(ops.convert_to_numpy(cell_errors(spec_of("vae"), records(), output)))
    assert reconstruction == pytest.approx(errors.mean(axis=(0, 2)).sum(), rel=1e-4)


MASKED = [("ensemble", 0.0, 0.0), ("ensemble", 1.0, 1.0), ("blunt", 0.0, 0.05), ("blunt", 1.0, 1.0)]
"""The share of hidden cells, and what a cell's loss then weighs: blunt networks learn from visible ones too."""


@pytest.mark.parametrize(("name", "rate", "weight"), MASKED)
def test_the_masked_model_minimises_the_loss_of_hidden_cells(
    name: str, rate: float, weight: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["models.masked"], "RATES", (rate, rate))
    model = build(spec_of(name))
    output = run(model, records(), nothing_hidden(), training=True)
    each = np.asarray(ops.convert_to_numpy(cell_losses(spec_of(name), records(), output)))
    assert float(model.losses[0]) == pytest.approx(weight * each.mean(axis=(0, 2)).sum(), rel=1e-4, abs=1e-9)


def test_a_blunt_model_has_no_scales_to_learn() -> None:
    sharp, blunt = (build(spec_of(name)).output_shape[-1] for name in ("ensemble", "blunt"))
    assert sharp - blunt == len(spec_of("ensemble").number_slots)


CELL = st.tuples(st.integers(1, 3), st.sampled_from([0, 0, 2, 5]), st.booleans())


@given(st.lists(CELL, min_size=1, max_size=8), st.sampled_from(SHAPES))
def test_the_places_in_the_output_neither_overlap_nor_leave_gaps(cells: list[tuple[int, int, bool]], name: str) -> None:
    widths = tuple(1 if levels else width for width, levels, _ in cells)
    columns = tuple(np.cumsum([new for _, _, new in cells]).tolist())
    columns = tuple(column - columns[0] for column in columns)
    spec = spec_of(name, widths=widths, levels=tuple(levels for _, levels, _ in cells), columns=columns)

    taken = [at for first, end in spec.outputs for at in range(first, end)]
    numbers = len(spec.number_slots)
    scales = range(numbers, numbers * (1 + spec.scaled))

    assert sorted([*taken, *scales]) == list(range(spec.output_width))
    assert all(
        end - first == (levels or width)
        for (first, end), levels, width in zip(spec.outputs, spec.levels, widths, strict=True)
    )
    assert spec.starts[-1] + widths[-1] == spec.slots
    assert spec.column_count == len(set(columns))


def test_p21_a_spec_is_json_and_back(spec: Spec) -> None:
    assert Spec.from_state(json.loads(json.dumps(spec.to_state()))) == spec
