"""The stages of scoring the made-up partition of benchmarks/throughput.py, each alone, beside the floor of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from benchmarks import validation as made_up
from benchmarks.made_up_table import Table
from benchmarks.postgres import bare_copy, in_transaction, inserted, rows_of
from models.spec import BLOCKS
from pipeline import training
from pipeline.results import Anomaly
from pipeline.scoring import Flagged, anomalies
from pipeline.source import open_source
from pipeline.steps.house import House
from pipeline.store import Store, copying
from pipeline.validation import RecordCheck, duplicate_keys, metrics_of

BLOCK = 3_072


@dataclass(frozen=True)
class Cost:
    """What some work took: seconds, and CPU seconds of this process with all its threads."""

    wall: float
    cpu: float

    @classmethod
    def of(cls, work: Callable[[], Any]) -> Cost:
        """Do the work."""
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        return cls(time.perf_counter() - wall, time.process_time() - cpu)


@dataclass(frozen=True)
class Stage:
    """What a stage cost over so many records of the partition, and what its floor did where it has one."""

    name: str
    rows: int
    cost: Cost
    floor: Cost | None = None

    @property
    def a_second(self) -> float:
        """Records a second."""
        return self.rows / self.cost.wall

    @property
    def microseconds(self) -> float:
        """CPU microseconds a record."""
        return self.cost.cpu / self.rows * 1e6

    @property
    def floor_microseconds(self) -> float | None:
        """CPU microseconds a record of the floor."""
        return self.floor.cpu / self.rows * 1e6 if self.floor else None


def floors(stages: Iterable[Stage], rows: int) -> Cost:
    """What the floors of all stages come to over so many records."""
    known = [(stage.floor, rows / stage.rows) for stage in stages if stage.floor]
    return Cost(sum(floor.wall * times for floor, times in known), sum(floor.cpu * times for floor, times in known))


def rest(whole: Stage, stages: Sequence[Stage]) -> Stage | None:
    """What the whole took beyond all stages over the same records; None where their sum is not below it."""
    beyond = Cost(
        whole.cost.wall - sum(stage.cost.wall for stage in stages),
        whole.cost.cpu - sum(stage.cost.cpu for stage in stages),
    )
    return Stage("rest of the step", whole.rows, beyond) if beyond.cpu > 0 else None


def stages(house: House, table: Table, rows: int, window_rows: int) -> Iterator[Stage]:
    """The stages in the order of a record's path, the first time not counted.

    `rows` are those of the partition, `window_rows` those that the champion was trained on.
    """
    partition = made_up.DAY.isoformat()
    monitor = house.monitor("made_up")
    champion = house.champion(monitor)
    suite = house.suite(monitor, champion)
    source = open_source(monitor, types=suite.schema)
    columns = source.schema([partition]).names
    batches = list(source.batches([partition], columns))
    alone = Cost.of(lambda: table.read(made_up.DAY, columns))
    yield Stage("profile", rows, Cost.of(lambda: source.profiles([partition], metrics_of(suite))))
    yield Stage("read, by key", rows, Cost.of(lambda: [None for _ in source.batches([partition], columns)]), alone)

    def read(names: list[str] | None) -> Iterator[pa.RecordBatch]:
        return (batch if names is None else batch.select(names) for batch in batches)

    accepted: list[pa.Table] = []

    def checked() -> None:
        check = RecordCheck(monitor, partition, suite, duplicate_keys(monitor, suite, read))
        accepted[:] = [check.check(batch, 0).accepted for batch in batches]

    by_hand = Cost.of(lambda: made_up.by_hand(monitor, suite, batches))
    yield Stage("census and records", rows, Cost.of(checked), by_hand)
    detector = training.restore(monitor, *house.registry.load("made_up", champion.version, champion.sha256))
    rate = training.flag_rate(monitor, window_rows)
    encoded = [detector.encoder.encode(each) for each in accepted]
    yield Stage("encode", rows, Cost.of(lambda: [detector.encoder.encode(each) for each in accepted]))
    detector.score_encoded(encoded[0], rate)
    scored: list[Any] = []
    cost = Cost.of(lambda: scored.extend(detector.score_encoded(each, rate) for each in encoded))
    measured = sum(int((each.surprise > 0).any(axis=1).sum()) for each in scored)
    screened = sum(len(each.score) for each in scored)
    yield Stage(f"score ({measured / screened:.1%} in full)", rows, cost, products(detector, screened, measured))
    flagged = [
        Flagged(records.take(pa.array(at)), each.take(at), each.p_value[at])
        for records, each in zip(accepted, scored, strict=True)
        if len(at := np.flatnonzero(each.p_value <= rate))
    ]
    count = sum(len(each.p_value) for each in flagged)
    found: list[Anomaly] = []
    cost = Cost.of(lambda: found.extend(anomalies(monitor, detector, flagged, detector.threshold(rate))))
    yield Stage(f"explain {count:,}", rows, cost)
    yield Stage(f"store {count:,}", rows, *stored(house.store, found))


def products(detector: Any, screened: int, measured: int) -> Cost:
    """The matrix products of the residual blocks alone, for the passes of the screen and of the full measure.

    On one thread: on matrices of this size the others of a BLAS wait more than they multiply.
    """
    screen = [detector.screen.voice.network] if detector.screen else []
    passes = [(each, screened) for each in screen] + [(voice.network, measured) for voice in detector.voices]

    def multiplied() -> None:
        for network, count in passes:
            spec = network.spec
            times = spec.members * sum(max(groups) + 1 for groups in network.partitions)
            rows, wide, back = (
                np.ones(shape, np.float32)
                for shape in ((BLOCK, spec.hidden), (spec.hidden, 2 * spec.hidden), (2 * spec.hidden, spec.hidden))
            )
            for _ in range(BLOCKS * count * times // BLOCK):
                rows @ wide @ back

    with threadpool_limits(1):
        return Cost.of(multiplied)


def stored(store: Store, flagged: Sequence[Anomaly]) -> tuple[Cost, Cost]:
    """The store's COPY of the anomalies and their reasons, and a bare one of the same rows; nothing of them stays."""
    run_id = store.start_run("made_up", made_up.DAY.isoformat(), "score", "c0ffee")
    tables = rows_of(flagged, run_id)
    bare, ours = bare_copy(tables), inserted(tables, copying._copy)
    for write in (bare, ours):
        in_transaction(store, write)
    costs = [in_transaction(store, lambda on, write=write: Cost.of(partial(write, on))) for write in (ours, bare)]
    store.finish_run(run_id, "failed", "a benchmark")
    return costs[0], costs[1]
