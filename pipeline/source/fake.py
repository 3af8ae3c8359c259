"""A source for tests: a table in memory, read by the same code as any other."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from pipeline.monitor import Monitor
from pipeline.source.engine import EmbeddedEngine
from pipeline.source.failures import Failures
from pipeline.source.reading import IbisSource, days_in
from pipeline.source.tables import DatabaseTable


class FakeSource(IbisSource):
    """The records of an Arrow table as those of a monitor; what the monitor's `source` says is not looked at."""

    def __init__(self, monitor: Monitor, table: pa.Table) -> None:
        engine = EmbeddedEngine()
        place = DatabaseTable(engine, _stored(engine, table), days_in(monitor), monitor.primary_key)
        super().__init__(monitor, place, Failures(monitor.name))


def _stored(engine: EmbeddedEngine, table: pa.Table) -> Any:
    engine.backend.con.from_arrow(table).create("fake")
    return engine.backend.table("fake")
