"""What is set aside before fitting: clumps of strangers, little of a clean window, nothing among categories."""

from __future__ import annotations

import numpy as np
import pytest

from models import Spec
from pipeline.detector import trimming
from pipeline.detector.trimming import MOST, reaches, suspects

DIMENSIONS = 6


def numbers(dimensions: int = DIMENSIONS) -> Spec:
    """The spec of a table with columns of numbers only."""
    return Spec("ensemble", (1,) * dimensions, (0,) * dimensions, tuple(range(dimensions)))


def aside(matrix: np.ndarray, spec: Spec | None = None, seed: int = 0) -> np.ndarray:
    spec = spec or numbers(matrix.shape[1])
    return suspects(matrix.astype("float32"), spec, reaches(matrix.astype("float32"), spec, seed), seed)


def gaussian(n: int = 1_000) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(n, DIMENSIONS))


def clumped(share: float, n: int = 1_000) -> tuple[np.ndarray, np.ndarray]:
    """Normal records among which a share are anomalies close to each other, and which they are."""
    draw = np.random.default_rng(2)
    matrix, wrong = gaussian(n), draw.permutation(n) < round(share * n)
    matrix[wrong] = draw.normal(size=(wrong.sum(), DIMENSIONS)) * 0.1 + 4.0
    return matrix, wrong


def mixture() -> np.ndarray:
    matrix = gaussian()
    matrix[::2] += 3.0
    matrix[1::4, 0] -= 3.0
    return (matrix - matrix.mean(axis=0)) / matrix.std(axis=0)


def heavy() -> np.ndarray:
    # As the encoder gives a heavy-tailed column: bent by an inverse hyperbolic sine, then standardised.
    bent = np.arcsinh(np.exp(1.5 * gaussian()))
    return (bent - bent.mean(axis=0)) / bent.std(axis=0)


@pytest.mark.parametrize("clean", [gaussian(), mixture(), heavy()], ids=["gaussian", "mixture", "lognormal"])
def test_a_clean_window_loses_little(clean: np.ndarray) -> None:
    assert aside(clean).mean() < 0.06


@pytest.mark.parametrize("share", [0.01, 0.05, 0.1])
def test_a_clump_of_anomalies_is_set_aside(share: float) -> None:
    matrix, wrong = clumped(share)
    found = aside(matrix)
    assert found[wrong].all()
    assert found[~wrong].mean() < 0.06


def test_the_amount_follows_the_window() -> None:
    amounts = [aside(clumped(share)[0]).mean() for share in (0.0, 0.05, 0.1)]
    assert amounts == sorted(amounts)
    assert amounts[2] - amounts[0] > 0.05


def scattered(n: int = 1_000) -> np.ndarray:
    """Records of which a fifth are strangers, each far from all others, the first the farthest."""
    draw = np.random.default_rng(3)
    matrix = gaussian(n)
    matrix[: n // 5] = 20.0 * draw.normal(size=(n // 5, DIMENSIONS))
    matrix[0] = 1e4
    return matrix


def test_no_more_than_the_cap_is_set_aside() -> None:
    found = aside(scattered())
    assert found.mean() == MOST
    assert not found[200:].any()


def test_the_worst_go_first_where_the_cap_bites() -> None:
    assert aside(scattered())[0]


def test_it_is_the_same_again_and_the_records_order_hardly_matters() -> None:
    matrix, wrong = clumped(0.05)
    assert (aside(matrix) == aside(matrix)).all()
    order = np.random.default_rng(3).permutation(len(matrix))
    assert aside(matrix[order])[wrong[order]].all()


def test_one_measure_is_enough() -> None:
    # A broken relation: both numbers are usual ones, so that only the distance with covariances sees it.
    draw = np.random.default_rng(4)
    x = draw.normal(size=(1_000, 1))
    matrix = np.concatenate([x + 0.05 * draw.normal(size=(1_000, 1)) for _ in range(DIMENSIONS)], axis=1)
    matrix[:10, 0] = -matrix[:10, 1] + np.sign(matrix[:10, 1])
    assert aside(matrix)[:10].mean() >= 0.8


def test_what_the_forest_alone_sees_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = gaussian()
    usual = int(np.argmin(np.abs(matrix).sum(axis=1)))
    assert not aside(matrix)[usual]
    forest = trimming._isolation
    monkeypatch.setattr(trimming, "_isolation", lambda *given: forest(*given) + (np.arange(len(matrix)) == usual))
    assert aside(matrix)[usual]


def test_constant_columns_and_equal_records_set_nobody_aside() -> None:
    assert not aside(np.zeros((200, DIMENSIONS))).any()
    assert not aside(np.ones((200, DIMENSIONS))).any()
    matrix, wrong = clumped(0.05)
    matrix[:, :2] = 0.5
    assert aside(matrix)[wrong].all()
    assert (aside(matrix)).mean() < MOST


@pytest.mark.parametrize("n", [20, trimming.FEWEST_RECORDS - 1])
def test_a_tiny_window_keeps_all(n: int) -> None:
    matrix = gaussian(n)
    matrix[0] = 100.0
    assert not aside(matrix).any()


def test_a_small_window_loses_its_stranger() -> None:
    matrix = gaussian(trimming.FEWEST_RECORDS)
    matrix[7] = 100.0
    assert aside(matrix)[7]


def test_missing_numbers_are_usual_ones() -> None:
    matrix, wrong = clumped(0.05)
    matrix[np.random.default_rng(5).random(matrix.shape) < 0.05] = np.nan
    found = aside(matrix)
    assert found[wrong].mean() > 0.9
    assert found[~wrong].mean() < 0.06


def test_a_rare_level_is_no_anomaly() -> None:
    draw = np.random.default_rng(6)
    two, many = (Spec("ensemble", (1, 1, 1), (0, 0, levels), (0, 1, 2)) for levels in (2, 30))
    matrix = np.column_stack([draw.normal(size=(1_000, 2)), np.arange(1_000) < 5])
    usual = matrix.copy()
    usual[:, 2] = 0
    assert aside(matrix, two)[:5].sum() <= aside(usual, two)[:5].sum() + 1
    matrix[:5, :2] = 50.0
    assert aside(matrix, two)[:5].all()
    assert not aside(matrix, many).any()


def test_a_table_without_numbers_keeps_all() -> None:
    spec = Spec("ensemble", (1, 1), (2, 2), (0, 1))
    matrix = np.column_stack([np.arange(100) < 2, np.arange(100) % 2])
    assert not aside(matrix, spec).any()


def test_the_reach_of_a_clump_is_the_way_out_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix, wrong = clumped(0.05)
    reach = reaches(matrix.astype("float32"), numbers(), 0)
    assert reach[wrong].min() > np.quantile(reach[~wrong], 0.99)
    monkeypatch.setattr(trimming, "BLOCK", 64)
    np.testing.assert_allclose(reaches(matrix.astype("float32"), numbers(), 0), reach, rtol=1e-5)


def test_the_reach_is_the_distance_to_the_kth_neighbour() -> None:
    matrix = gaussian(200).astype("float32")
    distances = ((matrix[:, None] - matrix) ** 2).sum(axis=2)
    np.testing.assert_allclose(reaches(matrix, numbers(), 0), np.sort(distances, axis=1)[:, 20], rtol=1e-3)
