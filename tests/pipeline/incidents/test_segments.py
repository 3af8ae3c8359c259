"""How improbable a segment is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from pipeline.incidents.segments import _tail


def test_a_segment_is_as_improbable_as_the_binomial_distribution_says() -> None:
    draw = np.random.default_rng(0)
    here, records = draw.integers(1, 60, 500), draw.integers(0, 2_000, 500)
    share = np.minimum(np.maximum(records, here) / 2_000, 1.0)
    np.testing.assert_allclose(_tail(here, records, 60, 2_000), binom.logsf(here - 1, 60, share), rtol=1e-9)
    assert _tail(np.array([60]), np.array([2_000]), 60, 2_000)[0] == pytest.approx(0.0, abs=1e-12)
