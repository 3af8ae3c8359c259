"""Models that learn for a few steps, and the modules of the other tests' houses."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1] / "pipeline")]


@pytest.fixture(scope="session")
def tiny() -> Iterator[None]:
    """Models learn for a few steps."""
    from pipeline.detector import network

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "SCHEDULES", dict.fromkeys(network.SCHEDULES, network.Schedule(60, 64, 3e-3)))
        yield
