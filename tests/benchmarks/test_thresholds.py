"""What the counts of flags say of a threshold."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks.thresholds import CALIBRATIONS, judged, kept_scores, measure, rate_interval, records, summary, verdict


@pytest.mark.parametrize(("flagged", "fresh"), [(0, 50), (3, 1_000), (40, 90), (50, 50)])
def test_the_interval_is_clopper_and_pearson_s(flagged: int, fresh: int) -> None:
    expected = stats.binomtest(flagged, fresh).proportion_ci(0.95, method="exact")
    assert rate_interval(flagged, fresh) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize(
    ("flagged", "fresh", "rate", "tells", "within", "compatible"),
    [
        (20, 20_000, 0.001, True, True, True),
        (10, 20_000, 0.001, True, True, True),
        (40, 20_000, 0.001, True, True, True),
        (9, 20_000, 0.001, True, False, True),
        (41, 20_000, 0.001, True, False, True),
        (90, 20_000, 0.001, True, False, False),
        (1, 20_000, 0.001, True, False, False),
        (0, 489, 0.001, False, False, True),
    ],
)
def test_what_a_count_says(flagged: int, fresh: int, rate: float, tells: bool, within: bool, compatible: bool) -> None:
    found = verdict(flagged, fresh, rate)
    assert found == {"ratio": flagged / (fresh * rate), "tells": tells, "within": within, "compatible": compatible}


def rows(**sets: tuple[int, list[int]]) -> pd.DataFrame:
    """One row a seed: calibration records and flags of each seed among 10,000 records at 1 %."""
    common = {"calibration": "ranks", "rate": 0.01, "n_fresh": 10_000}
    return pd.DataFrame(
        [
            {"dataset": name, "seed": seed, "n_calibration": n, "flagged": flagged, **common}
            for name, (n, counts) in sets.items()
            for seed, flagged in enumerate(counts)
        ]
    )


def test_the_seeds_of_a_set_are_counted_together() -> None:
    found = judged(rows(a=(400, [30, 210]), b=(400, [40, 20]))).set_index("dataset")
    assert found["ratio"].to_dict() == {"a": pytest.approx(1.2), "b": pytest.approx(0.3)}
    assert found["within"].to_dict() == {"a": True, "b": False}


def test_sets_with_few_calibration_records_are_left_out_of_the_summary() -> None:
    lines = summary(rows(a=(400, [100]), b=(5_000, [250]), c=(399, [10_000]))).splitlines()
    assert lines[1].split() == ["ranks", "0.010", "2", "1.75", "2", "1.00", "2.50", "50%", "50%"]
    assert lines[-1] == "ranks: within 1 of 2, compatible 1 of 2"


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    draw = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("sets") / "made.npz"
    x = np.vstack([draw.normal(size=(3_000, 2)), draw.normal(9, 1, size=(40, 2))])
    np.savez(path, X=x, y=np.arange(3_040) >= 3_000)
    return path


def test_fresh_records_are_normal_and_never_trained_on(labelled: Path) -> None:
    train, fresh = records(labelled, seed=1, most=1_000, fresh=10_000)
    everything = {tuple(row) for row in np.vstack([train, fresh])}
    assert len(train) == 485 and len(fresh) == 3_000 - 485
    assert len(everything) == 3_000 and np.vstack([train, fresh]).max() < 6
    assert len(records(labelled, seed=1, most=1_000, fresh=700)[1]) == 700


def test_a_memory_keeps_its_rates_by_every_calibration_that_reaches(labelled: Path, tmp_path: Path) -> None:
    options = Namespace(keep=tmp_path / "scores", score="memory", max_rows=2_000, fresh=20_000)
    found = pd.DataFrame(measure(labelled, 0, [0.001, 0.05], options)).set_index(["calibration", "rate"])
    ratio = found["flagged"] / found["n_fresh"] / found.index.get_level_values("rate")
    assert set(found.index.get_level_values("calibration")) == set(CALIBRATIONS)
    assert (ratio.xs(0.05, level="rate") - 1).abs().max() < 0.5
    assert found.loc[("ranks", 0.001), "flagged"] == 0 and ratio[("tablewatch", 0.001)] < 5


def test_kept_scores_are_taken_from_their_folder(labelled: Path, tmp_path: Path) -> None:
    options = Namespace(keep=tmp_path, score="memory", max_rows=600, fresh=100)
    made, again = kept_scores(labelled, 3, options), kept_scores(labelled, 3, options)
    np.testing.assert_array_equal(made[1], again[1])
    np.savez(tmp_path / "memory_made_3.npz", calibration=np.zeros(3), fresh=np.ones(2))
    np.testing.assert_array_equal(kept_scores(labelled, 3, options)[1], np.ones(2))
