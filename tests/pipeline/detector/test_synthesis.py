"""What is drawn from a model's output, and what a made-up record is completed with."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from models import Spec
from pipeline.detector.synthesis import completed, drawn_output
from pipeline.errors import ConfigurationError
from pipeline.monitor import Monitor

SPEC = Spec("vae", widths=(1, 1, 1), levels=(0, 3, 0), columns=(0, 1, 2), members=1, scaled=True)
N = 20_000


def monitor(key: list[str]) -> Monitor:
    return Monitor.model_validate(
        {
            "name": "orders",
            "source": {"files": "orders.parquet"},
            "partition_by": "day",
            "primary_key": key,
            "columns": {"exclude": ["noted"]},
        }
    )


def test_numbers_are_drawn_from_their_logistic_distribution_and_levels_from_their_softmax() -> None:
    shares = np.array([0.7, 0.25, 0.05])
    output = np.tile([1.0, -2.0, np.log(0.5), -50.0, *np.log(shares)], (N, 1)).astype(np.float32)
    drawn = drawn_output(SPEC, output, np.random.default_rng(0))
    assert stats.kstest(drawn[:, 0], stats.logistic(1, 0.5).cdf).pvalue > 1e-3
    # No scale is finer than the smallest one a model may have.
    assert drawn[:, 1].std() == pytest.approx(np.exp(-5) * np.pi / 3**0.5, rel=0.05)
    levels = np.bincount(drawn[:, 4:].argmax(axis=1), minlength=3) / N
    assert levels == pytest.approx(shares, abs=0.02)
    assert output[0].tolist() == pytest.approx([1, -2, np.log(0.5), -50, *np.log(shares)])


SCHEMA = pa.schema(
    [("day", pa.date32()), ("id", pa.int32()), ("noted", pa.string()), ("amount", pa.float64()), ("open", pa.bool_())]
)
MADE = pa.table({"amount": [1.0, 2.0], "day": pa.array([3, 4], pa.date32())})


def test_a_record_is_completed_in_the_tables_order_and_types() -> None:
    table, origins = completed(monitor(["id", "open"]), SCHEMA, MADE)
    assert table.schema.equals(SCHEMA)
    assert table["id"].to_pylist() == [-1, -2]
    assert table["noted"].null_count == table["open"].null_count == 2
    assert table["amount"].to_pylist() == [1.0, 2.0]
    assert origins == {
        "day": "drawn from the training window",
        "id": "new keys",
        "noted": "null: the model does not know it",
        "open": "null",
    }


@pytest.mark.parametrize("key", [["day"], ["open"], ["day", "open"]])
def test_a_key_that_cannot_be_made_up_is_an_error(key: list[str]) -> None:
    with pytest.raises(ConfigurationError, match=f"orders: the primary key {', '.join(key)} has no column"):
        completed(monitor(key), SCHEMA, MADE)
