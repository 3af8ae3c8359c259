"""The companion: codes of records, the learned prior, and the way to a file and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.detector import Detector, codes, network
from pipeline.detector.codes import Companion, Mixture, Vae
from pipeline.encoding import Encoder


@pytest.fixture(scope="module")
def encoded() -> tuple[Encoder, np.ndarray]:
    """Records of two sorts that nothing but their columns together tell apart."""
    draw = np.random.default_rng(0)
    sort = draw.random(1_500) < 0.5
    amount = np.where(sort, -5, 5) + draw.normal(0, 1, 1_500)
    table = pa.table(
        {
            "amount": amount,
            "double": 2 * amount + draw.normal(0, 0.1, 1_500),
            "other": draw.normal(0, 1, 1_500),
            "shop": np.where(sort, "Bern", "Chur"),
        }
    )
    encoder = Encoder.fit(table)
    return encoder, encoder.encode(table).matrix


@pytest.fixture(scope="module")
def small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "SCHEDULES", {"vae": network.Schedule(300, 128, 3e-3)})
        yield


@pytest.fixture(scope="module")
def companion(encoded: tuple[Encoder, np.ndarray], small: None) -> Companion:
    return Companion.fit(*encoded, width=2, seed=0)


def test_codes_keep_apart_what_is_apart_and_do_not_depend_on_the_batch(
    companion: Companion, encoded: tuple[Encoder, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, matrix = encoded
    found = companion.vae.codes(matrix)
    assert found.shape == (1_500, 2) and found.dtype == np.float32
    bern = matrix[:, 3] == matrix[0, 3]
    between = np.linalg.norm(found[bern].mean(axis=0) - found[~bern].mean(axis=0))
    assert between > 2 * found[bern].std(axis=0).min()
    monkeypatch.setattr(codes, "BLOCK", 700)
    np.testing.assert_allclose(companion.vae.codes(matrix), found, atol=1e-5)
    np.testing.assert_allclose(companion.vae.codes(matrix[7:8]), found[7:8], atol=1e-5)
    assert companion.vae.codes(matrix[:0]).shape == (0, 2)


def test_a_record_comes_back_from_its_code(companion: Companion, encoded: tuple[Encoder, np.ndarray]) -> None:
    encoder, matrix = encoded
    output = companion.vae.decoded(companion.vae.codes(matrix))
    spec = companion.vae.spec
    amount = output[:, slice(*spec.outputs[0])][:, 0]
    assert np.corrcoef(amount, matrix[:, 0])[0, 1] > 0.9
    shops = output[:, slice(*spec.outputs[3])].argmax(axis=1)
    assert (shops == matrix[:, encoder.starts[3]]).mean() > 0.98


def test_the_prior_is_where_the_codes_are(companion: Companion, encoded: tuple[Encoder, np.ndarray]) -> None:
    _, matrix = encoded
    draw = np.random.default_rng(1)
    real, drawn = companion.vae.drawn_codes(matrix, draw), companion.prior.draw(4_000, draw)
    np.testing.assert_allclose(drawn.mean(axis=0), real.mean(axis=0), atol=0.15)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(real.T), atol=0.25)


def test_a_mixture_draws_what_it_was_fitted_to() -> None:
    draw = np.random.default_rng(0)
    there = np.concatenate([draw.normal((-4, 0), (0.2, 1), (3_000, 2)), draw.normal((4, 4), (1, 0.1), (1_000, 2))])
    drawn = Mixture.fit(there, 0).draw(20_000, draw)
    left = drawn[:, 0] < 0
    assert left.mean() == pytest.approx(0.75, abs=0.02)
    assert drawn[left].std(axis=0) == pytest.approx([0.2, 1], rel=0.1)
    assert drawn[~left].std(axis=0) == pytest.approx([1, 0.1], rel=0.1)


def test_few_records_get_one_component() -> None:
    fitted = Mixture.fit(np.random.default_rng(0).normal(size=(30, 2)), 0)
    assert fitted.means.shape == (1, 2) and fitted.factors.shape == (1, 2, 2)


def test_the_same_seed_gives_the_same_companion_and_its_state_brings_it_back(
    companion: Companion, encoded: tuple[Encoder, np.ndarray]
) -> None:
    _, matrix = encoded
    state, arrays = companion.to_state()
    back = Companion.from_state(state, arrays)
    np.testing.assert_array_equal(back.vae.codes(matrix), companion.vae.codes(matrix))
    assert {name: values.tolist() for name, values in vars(back.prior).items()} == {
        name: values.tolist() for name, values in vars(companion.prior).items()
    }
    again = Companion.fit(*encoded, width=2, seed=0)
    np.testing.assert_array_equal(again.vae.codes(matrix), companion.vae.codes(matrix))


def test_a_detector_that_is_a_vae_gives_the_codes_of_its_first_member(
    fitted: Callable[[str], Detector], normal: Callable[..., Any]
) -> None:
    detector = fitted("vae")
    spec = detector.network.spec
    matrix = detector.encoder.encode(normal()).matrix[:50]
    found = Vae(spec, detector.network.model).codes(matrix)
    assert found.shape == (50, spec.code)
    # Whatever the second member would say, the codes stay.
    layer = detector.network.model.get_layer("code_mean")
    before = layer.kernel.numpy()
    changed = before.copy()
    changed[1] += 1
    layer.kernel.assign(changed)
    try:
        np.testing.assert_array_equal(Vae(spec, detector.network.model).codes(matrix), found)
    finally:
        layer.kernel.assign(before)
