"""One partition on its way through validation and scoring on Spark's workers.

Each task checks and scores a stretch of the partition by the functions that do it locally and sends back what it came
to; here that is added up, in the order of the records. Only this process writes: whatever Spark tries again or loses,
the store sees one set of results, in one transaction.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from pipeline import spark
from pipeline.monitor import Monitor
from pipeline.steps.checking import Checking

if TYPE_CHECKING:
    from typing import Self

    import pyarrow as pa

    from pipeline.detector import Detector
    from pipeline.drift import Reference
    from pipeline.results import Quarantined
    from pipeline.scores_file import Write
    from pipeline.scoring import ScoredBatch
    from pipeline.source import SparkSource
    from pipeline.steps.house import House
    from pipeline.steps.stretch import Stretch
    from pipeline.steps.tally import Tally
    from pipeline.store import ModelVersion
    from pipeline.validation import Columns, KeyCensus, Suite

    Batches = Iterator[pa.RecordBatch]

_VALUES = "columns int, value binary"
_CONTENTS = f"{_VALUES}, content binary"


@dataclass(frozen=True)
class Job:
    """What a worker has to know, as texts and bytes; the last five only where records are scored.

    `columns` is the Arrow schema of the records; `census` holds [columns, repeated, conflicting] with digests in hex.
    """

    monitor: str
    partition: str
    suite: str
    columns: bytes
    census: str = "[]"
    version: str = ""
    bundle: bytes = b""
    refresh: str = "{}"
    scores: bool = False

    def opened(self) -> tuple[Monitor, Suite, KeyCensus]:
        from pipeline.validation import KeyCensus, Suite

        known = json.loads(self.census)
        repeated = {tuple(columns): _digests(hexed) for columns, hexed, _ in known}
        census = KeyCensus(repeated, {tuple(columns): _digests(hexed) for columns, _, hexed in known})
        return Monitor.model_validate(json.loads(self.monitor)), Suite.from_json(self.suite), census

    def arriving(self, batches: Batches) -> Batches:
        """Spark's batches as those of a source."""
        import pyarrow as pa

        from pipeline.source import arriving

        schema = pa.ipc.read_schema(pa.py_buffer(self.columns))
        return arriving(batches, schema, json.loads(self.monitor)["name"], self.partition)


class SparkChecking(Checking):
    """See Checking; `batches` alone are read by this process."""

    _source: SparkSource
    _job: Job
    _bundle: Callable[[], bytes]

    @classmethod
    def of(cls, house: House, monitor: Monitor, partition: str, champion: ModelVersion | None) -> Self:
        """See Checking."""
        made = super().of(house, monitor, partition, champion)
        if champion is not None:
            made._job = replace(made._job, version=champion.version)
            made._bundle = partial(house.registry.content, monitor.name, champion.version, champion.sha256)
        return made

    @staticmethod
    def source(house: House, monitor: Monitor, schema: dict[str, str] | None) -> SparkSource:
        """See Checking. Parquet files have types of their own."""
        return house.on_spark(monitor)

    def quarantined(self) -> list[Quarantined]:
        """See Checking."""
        return [one for stretch in self._stretches(self._job) for one in stretch.quarantined]

    def score(self, tally: Tally, write: Write | None = None) -> None:
        """See Checking."""
        refresh = json.dumps(asdict(tally.refresh))
        job = replace(self._job, bundle=self._bundle(), refresh=refresh, scores=write is not None)
        for stretch in self._stretches(job):
            if stretch.tallied is not None:
                tally.join(stretch.tallied, stretch.quarantined)
            if write is not None and stretch.written is not None:
                write(stretch.written, *(stretch.written.column(name).to_numpy() for name in ("score", "p_value")))

    def _stretches(self, job: Job) -> Iterator[Stretch]:
        """What the workers found, in the order of the records, taken into account; rows count from the first one."""
        from pipeline.steps.stretch import DDL, Stretch

        records = self._source.records(self._partition, self.columns)
        ordered = spark.in_order(records, self._source.order(self._partition, self.columns), self._counted)
        for row in spark.rows(spark.on_workers(ordered, partial(stretches, job), DDL), self._where):
            stretch = Stretch.from_row(row)
            placed = [replace(each, row=self.read + each.row) for each in stretch.quarantined]
            self._check.take(stretch.checked)
            self.read += stretch.read
            self.accepted += stretch.accepted
            self.set_aside.update(each.row for each in placed)
            yield replace(stretch, quarantined=placed)
        self._all_were_read()

    def _census(self, suite: Suite) -> KeyCensus:
        from pipeline.validation import KeyCensus, unique_columns

        monitor = json.dumps(self._monitor.model_dump(mode="json", by_alias=True))
        self._job = Job(monitor, self._partition, suite.to_json(), self._schema(self.columns))
        groups = unique_columns(suite)
        names = sorted({name for group in groups for name in group})
        of_keys = partial(values, replace(self._job, columns=self._schema(names)), groups)
        repeated = self._digests_of(groups, names, of_keys, _VALUES, "count(*) > 1")
        conflicting = repeated
        if any(repeated.values()):
            whole = partial(contents, replace(self._job, census=census_text(KeyCensus(repeated, repeated))), groups)
            conflicting = self._digests_of(groups, self.columns, whole, _CONTENTS, "count(distinct content) > 1")
        census = KeyCensus(repeated, conflicting)
        self._job = replace(self._job, census=census_text(census))
        return census

    def _schema(self, names: list[str]) -> bytes:
        """Those columns in the Arrow types that the source gives them."""
        import pyarrow as pa

        schema = self._source.schema([self._partition])
        content: bytes = pa.schema([schema.field(name) for name in names]).serialize().to_pybytes()
        return content

    @property
    def _where(self) -> str:
        return f"{self._monitor.name} {self._partition}"

    def _digests_of(
        self, groups: list[Columns], names: list[str], function: spark.OnBatches, schema: str, having: str
    ) -> dict[Columns, frozenset[bytes]]:
        """Of what `function` makes of the records, the values for which the aggregate holds."""
        from pyspark.sql import functions

        found: dict[Columns, set[bytes]] = {group: set() for group in groups}
        frame = spark.on_workers(self._source.records(self._partition, names), function, schema)
        counted = frame.groupBy("columns", "value").agg(functions.expr(having).alias("wanted")).where("wanted")
        for row in spark.rows(counted.select("columns", "value"), self._where):
            found[groups[row["columns"]]].add(row["value"])
        return {group: frozenset(each) for group, each in found.items()}


def stretches(job: Job, batches: Batches) -> Batches:
    """On a worker: check and, with a bundle, score the records that one task reads, in order; one row of `Stretch`."""
    from pipeline.steps.stretch import Stretch
    from pipeline.validation import RecordCheck

    monitor, suite, census = job.opened()
    check, tally = RecordCheck(monitor, job.partition, suite, census), _tally(job, monitor)
    read = accepted = 0
    quarantined: list[Quarantined] = []
    written: list[pa.Table] = []
    for batch in job.arriving(batches):
        checked = check.check(batch, read)
        read += batch.num_rows
        accepted += checked.accepted.num_rows
        quarantined += checked.quarantined
        if tally is not None:
            scored = tally.add(checked)
            if job.scores:
                written.append(_scores(monitor, checked.accepted, scored))
    tallied = tally.tallied() if tally is not None else None
    yield Stretch(read, accepted, quarantined, check.checked(), tallied, _joined(written)).to_batch()


def values(job: Job, groups: list[Columns], batches: Batches) -> Batches:
    """On a worker: the digest of each value that must be unique, by the number of its columns in `groups`."""
    import pyarrow as pa

    from pipeline import validation

    monitor, suite, _ = job.opened()
    for batch in job.arriving(batches):
        for group, digests in validation.values(monitor, suite, groups, batch):
            numbers = pa.array([groups.index(group)] * len(digests), pa.int32())
            yield pa.RecordBatch.from_arrays([numbers, pa.array(digests, pa.binary())], ["columns", "value"])


def contents(job: Job, groups: list[Columns], batches: Batches) -> Batches:
    """On a worker: of each record with a repeated value the digest of that and of the whole record."""
    import pyarrow as pa

    from pipeline import validation

    schema = pa.schema([("columns", pa.int32()), ("value", pa.binary()), ("content", pa.binary())])
    monitor, suite, census = job.opened()
    for batch in job.arriving(batches):
        found = validation.contents(monitor, suite, groups, census.repeats, batch)
        rows = [(groups.index(group), value, content) for group, value, content in found]
        yield pa.RecordBatch.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema)


def _tally(job: Job, monitor: Monitor) -> Tally | None:
    from pipeline.refreshing import Refresh
    from pipeline.steps.tally import Tally

    if not job.bundle:
        return None
    champion = _champion(job.monitor, job.version, job.bundle)
    return Tally(monitor, job.partition, *champion, Refresh(**json.loads(job.refresh)), exact=job.scores)


@lru_cache(maxsize=1)
def _champion(monitor: str, version: str, bundle: bytes) -> tuple[Detector, Reference | None, float]:
    """A process restores the champion once, whatever how many tasks it runs."""
    from pipeline.registry import open_bundle
    from pipeline.steps.tally import champion_of

    watched = Monitor.model_validate(json.loads(monitor))
    return champion_of(watched, *open_bundle(watched.name, version, bundle))


def _scores(monitor: Monitor, accepted: pa.Table, scored: ScoredBatch) -> pa.Table:
    import pyarrow as pa

    keys = accepted.select(list(monitor.primary_key))
    return keys.append_column("score", pa.array(scored.score)).append_column("p_value", pa.array(scored.p_value))


def _joined(tables: list[pa.Table]) -> pa.Table | None:
    import pyarrow as pa

    return pa.concat_tables(tables, promote_options="permissive") if tables else None


def census_text(census: KeyCensus) -> str:
    """The census as JSON; the digests in order, so that the same census is the same text."""
    hexed = [
        [group, *(sorted(each.hex() for each in found[group]) for found in (census.repeated, census.conflicting))]
        for group in census.repeated
    ]
    return json.dumps(hexed)


def _digests(hexed: list[str]) -> frozenset[bytes]:
    return frozenset(map(bytes.fromhex, hexed))
