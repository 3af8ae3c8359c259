"""The screen: which columns may be hidden together, and that what it lets pass would not have been flagged."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from models import Spec
from pipeline.detector import Detector, detector, network
from pipeline.detector.screen import DRAWS, GROUPS, RECORDS, Screen, apart, dependence


def test_columns_that_tell_of_each_other_are_hidden_apart() -> None:
    tie = np.zeros((9, 9))
    for one, two in ((0, 1), (2, 3), (4, 5), (4, 6), (5, 6)):
        tie[one, two] = 1.0
    groups = apart(tie, GROUPS, seed=0)
    assert sorted(set(groups)) == [0, 1, 2]
    assert groups[0] != groups[1] and groups[2] != groups[3] and len({groups[4], groups[5], groups[6]}) == 3
    np.testing.assert_array_equal(groups, apart(tie, GROUPS, seed=0))


@pytest.mark.parametrize("columns", [7, 30, 200])
def test_columns_without_a_tie_are_parted_evenly(columns: int) -> None:
    sizes = np.bincount(apart(np.zeros((columns, columns)), GROUPS, seed=0), minlength=GROUPS)
    assert sizes.max() - sizes.min() <= 1


@dataclass
class Known:
    """In place of a network: the error of column 1 is 1 nat, 3 where column 0 is hidden too; all others are 1."""

    spec: Spec

    def errors_with(self, matrix: np.ndarray, hidden: np.ndarray) -> np.ndarray:
        assert matrix.shape == (DRAWS * RECORDS, 4) and hidden.shape == (DRAWS * RECORDS, 3)
        found = np.ones((len(matrix), 4))
        found[:, 1] += 2.0 * hidden[:, 0]
        return found


def test_dependence_is_what_hiding_another_column_adds_to_the_error() -> None:
    known: Any = Known(Spec("ensemble", (1,) * 4, (0,) * 4, (0, 1, 2, 2), scaled=True))
    found = dependence(known, np.zeros((50, 4), "float32"), seed=0)
    assert found[0, 1] == pytest.approx(2.0)
    found[0, 1] = 0.0
    assert found.max() < 0.5, "what is left is the chance that columns are hidden together"


def orders(n: int, seed: int) -> pa.Table:
    """`amount` follows from `price` and `pieces`, `weight` from `pieces`, `gate` from `carrier`, the rest from none."""
    draw = np.random.default_rng(seed)
    price, pieces = draw.uniform(1, 50, n), draw.integers(1, 20, n)
    carrier = draw.choice(["AA", "BB", "CC"], n, p=[0.5, 0.3, 0.2])
    return pa.table(
        {
            "day": [dt.date(2013, 1, 1)] * n,
            "price": np.round(price, 2),
            "pieces": pieces,
            "amount": np.round(price * pieces, 2),
            "weight": np.round(0.4 * pieces + draw.normal(0, 0.05, n), 2),
            "carrier": carrier,
            "gate": [f"{c[0]}{i}" for c, i in zip(carrier, draw.integers(1, 4, n), strict=True)],
            "shelf": draw.integers(0, 100, n),
            "age": draw.normal(40, 10, n),
        }
    )


@pytest.fixture(scope="module", params=[False, True], ids=["of the first member", "its own"])
def trained(fit: Any, request: pytest.FixtureRequest) -> Detector:
    return fit("ensemble", orders(4_000, 0), schedule=network.Schedule(600, 128, 3e-3), own_screen=request.param)


def broken(n: int) -> pa.Table:
    """Orders whose amount is that of the next order, or whose gate is another carrier's."""
    table = orders(2 * n, 7)
    amount, gate = table["amount"].to_numpy().copy(), np.array(table["gate"].to_pylist())
    amount[:n] = np.roll(amount[:n], 1)
    gate[n:] = np.where(np.char.startswith(gate[n:], "A"), "B1", "A1")
    table = table.set_column(table.column_names.index("amount"), "amount", pa.array(amount))
    return table.set_column(table.column_names.index("gate"), "gate", pa.array(gate.tolist()))


@pytest.mark.slow
def test_p18_what_the_screen_lets_pass_would_hardly_be_flagged(trained: Detector) -> None:
    table = pa.concat_tables([orders(3_000, 5), broken(100)])
    exact = trained.score(table)
    for rate in (0.001, 0.01, 0.02):
        screened = trained.score(table, rate)
        flagged, would = screened.p_value <= rate, exact.p_value <= rate
        assert not (flagged & ~would).any()
        assert (would & ~flagged).sum() <= 0.02 * would.sum() and would.sum() > 20


@pytest.mark.slow
def test_records_that_are_let_pass_have_the_rank_that_the_screen_gives_them(trained: Detector) -> None:
    table, rate = orders(3_000, 5), 0.001
    exact, screened = trained.score(table), trained.score(table, rate)
    assert trained.screen is not None
    p_value = trained.screen.p_values(screened.matrix, trained.memory)
    passed = p_value > detector.LEAST_MEASURED
    assert 0.95 < passed.mean() < 0.99
    np.testing.assert_allclose(screened.p_value[passed], p_value[passed], atol=0.002)
    assert (screened.surprise[passed] == 0).all()
    np.testing.assert_allclose(screened.score[~passed], exact.score[~passed], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(screened.surprise[~passed], exact.surprise[~passed], rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_p17_p_values_of_fresh_records_are_uniform_with_the_screen(trained: Detector) -> None:
    found = trained.score(orders(20_000, 11), 0.001).p_value
    # The full measure, which the most improbable get, errs on the side of silence: two members agree less on the new.
    for share, error in ((0.05, 0.4), (0.2, 0.15), (0.5, 0.1)):
        assert abs((found <= share).mean() - share) < error * share


@pytest.mark.slow
def test_an_event_that_may_flag_a_record_has_it_measured(trained: Detector) -> None:
    table = orders(50, 5)
    table = table.set_column(table.column_names.index("carrier"), "carrier", pa.array(["??"] * 50))
    exact, screened = trained.score(table), trained.score(table, 0.001)
    np.testing.assert_allclose(screened.score, exact.score, rtol=1e-3)
    assert (screened.surprise > 0).any(axis=1).all()


@pytest.mark.slow
def test_p15_a_screened_record_scores_alone_as_in_a_batch(trained: Detector) -> None:
    table = pa.concat_tables([orders(40, 5), broken(5)])
    together = trained.score(table, 0.001)
    for row in (0, 7, 39, 42, 48):
        alone = trained.score(table[row : row + 1], 0.001)
        np.testing.assert_allclose(alone.score[0], together.score[row], rtol=1e-3)


@pytest.mark.slow
def test_p21_the_screen_comes_back_with_the_detector(trained: Detector) -> None:
    state, arrays = trained.to_state()
    again, table = Detector.from_state(state, arrays), orders(500, 5)
    np.testing.assert_allclose(again.score(table, 0.001).score, trained.score(table, 0.001).score, rtol=1e-3)
    assert isinstance(again.screen, Screen)
    assert (again.screen.own, "screen" in state) == (trained.own_screen, trained.own_screen)
    before = {name: array for name, array in arrays.items() if "screen_" not in name}
    older = Detector.from_state({name: value for name, value in state.items() if name != "screen"}, before)
    assert older.screen is None, "bundles from before there was a screen are still read"
    np.testing.assert_allclose(older.score(table, 0.001).score, trained.score(table).score, rtol=1e-3)


@pytest.mark.slow
def test_a_network_of_its_own_has_one_member_that_is_half_as_wide(trained: Detector) -> None:
    assert trained.screen is not None
    first, own = trained.network.spec, trained.screen.voice.network.spec
    assert own.members == 1 and own.hidden == first.hidden // (2 if trained.own_screen else 1)
    assert (own.widths, own.levels, own.columns) == (first.widths, first.levels, first.columns)
    if not trained.own_screen:
        np.testing.assert_array_equal(trained.screen.voice.network.weights[0][0], trained.network.weights[0][0])


@pytest.mark.slow
def test_p17_a_network_of_its_own_never_saw_the_records_that_it_is_calibrated_on(
    fit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained_on: list[np.ndarray] = []
    fit_network = network.Network.fit.__func__  # type: ignore[attr-defined]

    def seen(cls: Any, spec: Spec, matrix: np.ndarray, folds: np.ndarray, *rest: Any) -> network.Network:
        if spec.members == 1:
            trained_on.append(matrix[folds != 0])
        return fit_network(cls, spec, matrix, folds, *rest)

    def calibrated(net: Any, matrix: np.ndarray, folds: np.ndarray, *rest: Any, **more: Any) -> Screen:
        (learned,) = trained_on
        held_out = {tuple(row) for row in matrix[folds == 0].tolist()}
        assert held_out and not held_out & {tuple(row) for row in learned.tolist()}
        return fit_screen(net, matrix, folds, *rest, **more)

    fit_screen = Screen.fit
    monkeypatch.setattr(network.Network, "fit", classmethod(seen))
    monkeypatch.setattr(Screen, "fit", calibrated)
    schedule = network.Schedule(60, 64, 3e-3, fewest=60)
    assert fit("ensemble", orders(400, 0), schedule=schedule, own_screen=True).screen.own


@pytest.mark.slow
def test_at_a_large_rate_every_record_is_measured(trained: Detector) -> None:
    table = orders(200, 5)
    np.testing.assert_array_equal(trained.score(table, 0.05).score, trained.score(table).score)


def test_few_columns_and_plain_models_have_no_screen(of_numbers: Detector, fitted: Any) -> None:
    assert of_numbers.screen is None
    assert fitted("autoencoder").screen is None and fitted("vae").screen is None
    assert fitted("ensemble").screen is not None
