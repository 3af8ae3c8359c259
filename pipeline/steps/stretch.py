"""What a stretch of a partition came to on a worker, and how it travels: JSON and Arrow's own format, no objects."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.results import Anomaly, Contribution, Quarantined
from pipeline.steps.tally import Counted, Tallied
from pipeline.validation import Checked

DDL = "told string, kept binary, flagged binary, scores binary, normal binary, tested binary, written binary"
_SCHEMA = pa.schema([("told", pa.string()), *((each.split()[0], pa.binary()) for each in DDL.split(", ")[1:])])
_LOTS = "tablewatch:lots"


@dataclass(frozen=True)
class Stretch:
    """`read` records, of which so many were `accepted`; what they add up to, where they were scored.

    Rows of `quarantined` count from the beginning of the stretch. `written` holds the key columns, score and p_value of
    every accepted record where they are asked for.
    """

    read: int
    accepted: int
    quarantined: list[Quarantined]
    checked: Checked
    tallied: Tallied | None = None
    written: pa.Table | None = None

    def to_batch(self) -> pa.RecordBatch:
        """One row of the columns of DDL."""
        told: dict[str, Any] = {"read": self.read, "accepted": self.accepted, "counts": self.checked.counts}
        told["quarantined"] = [asdict(each) for each in self.quarantined]
        cells: dict[str, bytes | None] = {"kept": _bytes(self.checked.kept), "written": _bytes(self.written)}
        if self.tallied is not None:
            each = self.tallied.counted
            told["tallied"] = {
                "accepted": each.accepted,
                "anomalies": [asdict(anomaly) for anomaly in self.tallied.anomalies],
                "flagged": list(self.tallied.flagged.shape),
                "body": each.body.tolist(),
                "counts": None if each.counts is None else each.counts.tolist(),
            }
            cells |= {"flagged": self.tallied.flagged.tobytes(), "scores": each.scores.tobytes()}
            cells |= {"normal": _drawn(each.normal), "tested": _drawn(each.tested)}
        return pa.RecordBatch.from_pylist([{"told": json.dumps(told), **cells}], schema=_SCHEMA)

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Stretch:
        """The stretch that `to_batch` wrote."""
        told = json.loads(row["told"])
        return cls(
            read=told["read"],
            accepted=told["accepted"],
            quarantined=[Quarantined(**each) for each in told["quarantined"]],
            checked=Checked(told["counts"], _table(row["kept"])),
            tallied=_tallied(told["tallied"], row) if "tallied" in told else None,
            written=_table(row["written"]),
        )


def _tallied(told: dict[str, Any], row: dict[str, Any]) -> Tallied:
    counted = Counted(
        accepted=told["accepted"],
        body=np.array(told["body"], np.int64),
        counts=None if told["counts"] is None else np.array(told["counts"], np.int64),
        scores=np.frombuffer(row["scores"], np.int64),
        normal=_sample(row["normal"]),
        tested=_sample(row["tested"]),
    )
    flagged = np.frombuffer(row["flagged"], np.float32).reshape(told["flagged"])
    return Tallied(counted, [_anomaly(each) for each in told["anomalies"]], flagged)


def _anomaly(told: dict[str, Any]) -> Anomaly:
    return Anomaly(**{**told, "contributions": tuple(Contribution(**each) for each in told["contributions"])})


def _drawn(sample: tuple[pa.Table, np.ndarray] | None) -> bytes | None:
    return None if sample is None else _bytes(sample[0].append_column(_LOTS, pa.array(sample[1])))


def _sample(content: bytes | None) -> tuple[pa.Table, np.ndarray] | None:
    table = _table(content)
    return None if table is None else (table.drop_columns([_LOTS]), table.column(_LOTS).to_numpy())


def _bytes(table: pa.Table | None) -> bytes | None:
    if table is None:
        return None
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _table(content: bytes | None) -> pa.Table | None:
    return None if content is None else pa.ipc.open_stream(content).read_all()
