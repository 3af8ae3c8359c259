"""What else an autoencoder knows: the codes of a partition's records, and made-up records.

Neither changes what is known of a partition, so neither leaves a row in `runs`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import ConfigurationError, CorruptBundle, RefusedData
from pipeline.monitor import Monitor
from pipeline.settings import Settings
from pipeline.steps.checking import Checking
from pipeline.steps.house import House, Progress
from pipeline.whole_file import whole

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline.detector import Detector
    from pipeline.detector.codes import Companion, Vae
    from pipeline.detector.fidelity import Fidelity
    from pipeline.store import ModelVersion

WIDTHS = (8, 2)
SYNTHESIS_WIDTH = 8
FORMATS = (".parquet", ".csv")


@dataclass(frozen=True)
class Codes:
    """A file of codes: `accepted` records of the `read` ones have one, the `quarantined` ones do not."""

    monitor: str
    partition: str
    model_version: str
    width: int
    file: str
    read: int
    accepted: int
    quarantined: int
    warnings: list[str]


@dataclass(frozen=True)
class MadeUp:
    """A file of made-up records, how they were come by, and how faithful they are.

    `least_distance` is what a made-up record keeps from every other record of the training window, `closest` what the
    closest one that equals none does keep (None if all equal shared ones); `columns` says where the columns come from
    that no model made.
    """

    monitor: str
    model_version: str
    seed: int
    file: str
    rows: int
    drawn: int
    improbable: int
    too_close: int
    least_distance: float
    closest: float | None
    columns: dict[str, str]
    fidelity: Fidelity


def encode(
    name: str,
    partition: str,
    width: int = 8,
    out: Path | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> Codes:
    """Write the codes of a partition's accepted records: key columns, then code_0.. as float32.

    `out` (Parquet) is `codes/<monitor>/<partition>.codes-<width>.parquet` in the home if None. Raises EmptyPartition or
    RefusedData when the partition cannot be trusted, ConfigurationError without a champion or for another width.
    """
    import pyarrow.parquet as pq

    if width not in WIDTHS:
        raise ConfigurationError(f"{name}: no codes of {width} numbers; --width is 8 or 2")
    house = House(settings)
    monitor = house.monitor(name)
    champion, detector, _ = _champion(house, monitor)
    checking = Checking.of(house, monitor, partition, champion)
    vae = _vae(house, monitor, champion, detector, width, progress)
    path = out or house.settings.home.absolute() / "codes" / name / f"{partition}.codes-{width}.parquet"
    if out is None:
        path.parent.mkdir(parents=True, exist_ok=True)
    of = {"monitor": name, "partition": partition, "model_version": champion.version, "width": width}
    with whole(path) as partial:
        writer: pq.ParquetWriter | None = None
        try:
            for batch in checking.batches():
                table = _coded(vae, detector, batch.accepted, monitor, of)
                writer = writer or pq.ParquetWriter(partial, table.schema)
                writer.write_table(table)
        finally:
            if writer is not None:
                writer.close()
        checking.results()
    return Codes(name, partition, champion.version, width, str(path), **checking.counts(), warnings=checking.warnings)


def synth(
    name: str,
    rows: int,
    out: Path,
    seed: int = 0,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> MadeUp:
    """Write `rows` made-up records (Parquet or CSV, by the name of `out`) with the table's columns and types.

    Raises ConfigurationError without a champion, RefusedData when the training window is gone or leaves no room.
    """
    import numpy as np

    from pipeline import training
    from pipeline.detector.fidelity import compare
    from pipeline.detector.synthesis import Synthesis, completed

    if out.suffix not in FORMATS:
        raise ConfigurationError(f"{name}: {out.name} is neither a .parquet nor a .csv file")
    house = House(settings)
    monitor = house.monitor(name)
    champion, detector, typical = _champion(house, monitor)
    window = _window(house, monitor, champion, detector)
    companion = _companion(house, monitor, champion, detector, SYNTHESIS_WIDTH, window, progress)
    synthesis = Synthesis(detector, companion, window, seed)
    try:
        made = synthesis.records(rows, training.flag_rate(monitor, typical), monitor.columns.sensitive)
    except RefusedData as refusal:
        raise RefusedData(f"{name}: {refusal}") from refusal
    table, origins = completed(monitor, house.source(monitor).schema(), made.table)
    with whole(out) as partial:
        _write(table, partial, out.suffix)
    near = synthesis.closeness.nearest(made.matrix)
    other = near[near > 0]
    return MadeUp(
        name,
        champion.version,
        seed,
        str(out),
        table.num_rows,
        made.drawn,
        made.improbable,
        made.too_close,
        synthesis.closeness.least,
        float(np.min(other)) if len(other) else None,
        origins,
        compare(detector.encoder, synthesis.matrix, made.matrix, seed),
    )


def _champion(house: House, monitor: Monitor) -> tuple[ModelVersion, Detector, float]:
    """The champion, its detector, and the records of a typical partition."""
    from pipeline import training

    champion = house.champion(monitor)
    manifest, arrays = house.registry.load(monitor.name, champion.version, champion.sha256)
    return champion, training.restore(monitor, manifest, arrays), manifest["typical_partition"]


def _vae(
    house: House, monitor: Monitor, champion: ModelVersion, detector: Detector, width: int, progress: Progress | None
) -> Vae:
    """The champion itself where it is one with codes of that width, its companion otherwise."""
    from pipeline.detector.codes import Vae

    if detector.model == "vae" and detector.network.spec.code == width:
        return Vae(detector.network.spec, detector.network.model)
    return _companion(house, monitor, champion, detector, width, None, progress).vae


def _companion(
    house: House,
    monitor: Monitor,
    champion: ModelVersion,
    detector: Detector,
    width: int,
    window: pa.Table | None,
    progress: Progress | None,
) -> Companion:
    """The champion's companion, trained when it is first needed on the champion's window with the champion's seed."""
    from pipeline.detector.codes import Companion

    where = (monitor.name, champion.version, width)
    if house.registry.load_companion(*where) is None:
        records = _window(house, monitor, champion, detector) if window is None else window
        matrix = detector.encoder.encode(records).matrix
        try:
            fitted = Companion.fit(detector.encoder, matrix, width, champion.seed, progress)
        except RefusedData as refusal:
            raise RefusedData(f"{monitor.name}: {refusal}") from refusal
        house.registry.save_companion(*where, *fitted.to_state())
    state, arrays = house.registry.load_companion(*where) or ({}, {})
    try:
        return Companion.from_state(state, arrays)
    except (KeyError, ValueError, TypeError) as error:
        raise CorruptBundle(
            f"{monitor.name}: the companion of {champion.version} was written by another version of tablewatch "
            f"({error}); train again: tablewatch train {monitor.name}"
        ) from error


def _window(house: House, monitor: Monitor, champion: ModelVersion, detector: Detector) -> pa.Table:
    """The records that the champion was trained on, as the table holds them today; RefusedData where they are gone."""
    import pyarrow as pa

    from pipeline import training
    from pipeline.validation import KeyCensus, RecordCheck, unique_columns

    span = f"{monitor.name} {champion.window_first} to {champion.window_last}"
    mend = f"train again: tablewatch train {monitor.name}"
    suite = house.suite(monitor, champion)
    source = house.source(monitor, suite.schema)
    refused = {s.partition for s in house.store.partition_states(monitor.name) if s.status == "refused"}
    rows = {
        p.key: p.rows
        for p in source.partitions()
        if champion.window_first <= p.key <= champion.window_last and p.key not in refused
    }
    if not rows:
        raise RefusedData(f"{span}: the table no longer holds the champion's training window; {mend}")
    names = [n for n in source.schema(list(rows)).names if n not in monitor.columns.exclude]
    if missing := sorted(set(detector.encoder.columns) - set(names)):
        raise RefusedData(f"{span}: column {missing[0]!r} that the champion knows is missing; {mend}")
    batches = source.batches(list(rows), names)
    window = training.sample(monitor, batches, sum(rows.values()), champion.seed)
    none = {group: frozenset[bytes]() for group in unique_columns(suite)}
    check = RecordCheck(monitor, champion.window_last, suite, KeyCensus(none, none))
    accepted = pa.concat_tables([check.check(batch, 0).accepted for batch in window.to_batches()])
    if accepted.num_rows == 0:
        raise RefusedData(f"{span}: no record of the champion's training window is accepted; {mend}")
    return accepted


def _coded(vae: Vae, detector: Detector, accepted: pa.Table, monitor: Monitor, of: dict[str, object]) -> pa.Table:
    import pyarrow as pa

    from pipeline.records import key_columns

    table = key_columns(accepted, monitor.primary_key, monitor.columns.sensitive)
    for at, values in enumerate(vae.codes(detector.encoder.encode(accepted).matrix).T):
        table = table.append_column(f"code_{at}", pa.array(values))
    return table.replace_schema_metadata({"tablewatch": json.dumps(of)})


def _write(table: pa.Table, path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        import pyarrow.parquet as pq

        pq.write_table(table, path)
    else:
        from pipeline.spreadsheet import write_csv

        write_csv(table, path)
