"""What a detector is made of: on a table of numbers a blunt network and a memory stand beside the first network."""

from __future__ import annotations

import datetime as dt
import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from models import Spec
from pipeline.detector import Detector, network
from pipeline.detector.sizes import FOLDS, specs_of
from pipeline.encoding import EVENTS, Encoded, Encoder

Tables = Callable[..., pa.Table]
CLOSE: dict[str, Any] = {"rtol": 1e-3, "atol": 1e-4}
"""Matrix products of other shapes differ in their last bits."""
DRAW = np.random.default_rng(0)
N = 200
NUMBERS = DRAW.normal(size=N)
BESIDE: dict[str, tuple[Any, bool]] = {
    "nothing": (NUMBERS * 2, True),
    "nulls": (np.where(DRAW.random(N) < 0.1, np.nan, NUMBERS), True),
    "a constant": (["same"] * N, True),
    "nothing at all": (pa.nulls(N, pa.float64()), True),
    "a clock": (pa.array(DRAW.integers(0, 86_400, N), pa.int32()).cast(pa.time32("s")), True),
    "a date": (pa.array(DRAW.integers(0, 900, N), pa.int32()).cast(pa.date32()), True),
    "a boolean": (DRAW.random(N) < 0.5, True),
    "a category of three": (DRAW.choice(["x", "y", "z"], N), False),
    "a category of nine": (DRAW.choice(list("abcdefghi"), N), False),
}
"""A column beside numbers, and whether the table is still one of numbers."""


def specs(model: str, column: Any) -> list[Spec]:
    return specs_of(model, Encoder.fit(pa.table({"number": NUMBERS, "other": NUMBERS**2, "beside": column})))


@pytest.mark.parametrize("beside", BESIDE)
def test_a_table_of_numbers_has_a_blunt_network_beside_the_one_that_learns_scales(beside: str) -> None:
    column, of_numbers = BESIDE[beside]
    found = [(spec.scaled, spec.blunt, spec.members) for spec in specs("ensemble", column)]
    assert found == ([(True, False, FOLDS), (False, True, FOLDS)] if of_numbers else [(True, False, FOLDS)])


@pytest.mark.parametrize("model", ["autoencoder", "vae"])
def test_a_plain_model_is_one_network_that_learns_no_scales(model: str) -> None:
    (spec,) = specs(model, NUMBERS)
    assert (spec.model, spec.scaled, spec.blunt, spec.members) == (model, False, False, FOLDS)


def test_only_a_table_of_numbers_has_a_memory(of_numbers: Detector, fitted: Callable[[str], Detector]) -> None:
    assert of_numbers.memory is not None
    # Records of the window that may be anomalies themselves are not remembered; they are never many.
    assert 510 <= len(of_numbers.memory.memory.rows) <= 600
    assert len(of_numbers.voices) == 2 and of_numbers.network is of_numbers.voices[0].network
    for model in ("autoencoder", "vae", "ensemble"):
        assert fitted(model).memory is None and len(fitted(model).voices) == 1


def test_the_score_is_half_the_mean_of_the_networks_and_half_the_memorys(of_numbers: Detector, numbers: Tables) -> None:
    matrix = of_numbers.encoder.encode(numbers(60, 5)).matrix
    found = of_numbers.score_encoded(Encoded(matrix, np.zeros((60, 5, len(EVENTS)), bool)))

    sharp, blunt = (voice(voice.surprises(matrix)) for voice in of_numbers.voices)
    assert of_numbers.memory is not None
    remembers = of_numbers.memory(matrix)

    np.testing.assert_allclose(found.score, (sharp + blunt) / 4 + remembers / 2, **CLOSE)
    each = [voice.surprises(matrix).mean(axis=1) for voice in of_numbers.voices]
    np.testing.assert_allclose(found.surprise, (each[0] + each[1]) / 2, **CLOSE)


def spoiled(table: pa.Table) -> pa.Table:
    """`table` with a value far out, an endless one and a missing one."""
    amounts = table["amount"].to_pylist()
    amounts[1], amounts[2], amounts[3] = 1e9, float("-inf"), None
    return table.set_column(1, "amount", pa.array(amounts, pa.float64()))


def test_p15_a_record_of_numbers_scores_alone_as_in_a_batch(of_numbers: Detector, numbers: Tables) -> None:
    table = spoiled(numbers(40, 5))
    together = of_numbers.score(table)
    assert np.isfinite(together.score).all()
    for row in range(5):
        alone = of_numbers.score(table[row : row + 1])
        np.testing.assert_allclose(alone.score[0], together.score[row], **CLOSE)
        np.testing.assert_allclose(alone.surprise[0], together.surprise[row], **CLOSE)


def test_p21_p23_a_detector_of_numbers_comes_back_whole(of_numbers: Detector, numbers: Tables) -> None:
    state, arrays = of_numbers.to_state()
    file = io.BytesIO()
    np.savez(file, **arrays)
    file.seek(0)
    again = Detector.from_state(json.loads(json.dumps(state, allow_nan=False)), dict(np.load(file)))

    table = spoiled(numbers(40, 5))
    first, second = of_numbers.score(table), again.score(table)
    for name in ("score", "p_value", "surprise"):
        np.testing.assert_allclose(getattr(second, name), getattr(first, name), **CLOSE)
    assert [voice.network.spec for voice in again.voices] == [voice.network.spec for voice in of_numbers.voices]
    state_again, arrays_again = again.to_state()
    assert state_again == state and set(arrays_again) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(arrays_again[name], array)


def test_progress_is_that_of_all_networks(fit: Any, numbers: Tables) -> None:
    told: list[float] = []
    fit("ensemble", numbers(60).select(["amount", "double", "day"]), progress=lambda share, _: told.append(share))
    assert told == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1.0])


@pytest.mark.parametrize("side", [1, -1], ids=["above", "below"])
@pytest.mark.parametrize("column", ["amount", "double", "count", "gap"])
def test_p18_a_number_further_out_scores_higher(of_numbers: Detector, numbers: Tables, column: str, side: int) -> None:
    """By the networks and the memory alone: in what the encoder calls out of range, events set a floor as well."""
    spec, at = of_numbers.network.spec, list(of_numbers.encoder.columns).index(column)
    slot = spec.starts[spec.columns.index(at)]
    edge = side * np.nanmax(side * of_numbers.encoder.encode(numbers()).matrix[:, slot])
    later = of_numbers.encoder.encode(numbers(15, 5)).matrix
    if column == "gap":
        later = later[later[:, slot + 1] == 1]
    reach = edge + side * np.concatenate([[0.5, 1.0, 2.0], np.geomspace(4, 1e12, 12)])
    far = np.repeat(later[None], len(reach), axis=0)
    far[:, :, slot] = reach[:, None]

    nothing = np.zeros((far.shape[0] * far.shape[1], 5, len(EVENTS)), bool)
    score = of_numbers.score_encoded(Encoded(far.reshape(-1, spec.slots), nothing)).score.reshape(far.shape[:2])

    assert (np.diff(score, axis=0) > 0).all()


@pytest.mark.slow
def test_p17_the_first_night_of_a_weekday_is_not_out_of_the_ordinary(fit: Any) -> None:
    def orders(day: dt.date, n: int, seed: int) -> pa.Table:
        draw = np.random.default_rng(seed)
        seen = [dt.datetime.combine(day, dt.time()) + dt.timedelta(minutes=int(at)) for at in draw.integers(0, 1440, n)]
        sent = [each + dt.timedelta(minutes=int(at)) for each, at in zip(seen, draw.integers(5, 60, n), strict=True)]
        amount = draw.normal(10, 2, n)
        return pa.table({"day": [day] * n, "seen": seen, "sent": sent, "amount": amount, "fee": amount / 10})

    thursday = dt.date(2024, 5, 9)
    detector = fit("ensemble", orders(thursday, 800, 0), schedule=network.Schedule(300, 128, 3e-3, fewest=300))
    for days in (1, 2):
        p_values = detector.score(orders(thursday + dt.timedelta(days), 500, days)).p_value
        assert (p_values <= 0.02).mean() < 0.06
