"""A store as a bad night leaves it: a pattern, a single record, records in quarantine, and texts that mean harm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from small_house import AT_LEAST_ONE, NIGHTS, ROWS, SmallHouse, anomaly, broken

from pipeline.results import Anomaly, Condition, Contribution, Incident, Neighbour, Quarantined
from pipeline.store import PartitionResults, Store

LAST = NIGHTS[-1]
PATTERN, SINGLE = "aaaa1111aa", "bbbb2222bb"
PAYLOADS = (
    "<script>alert(1)</script>",
    "<img src=http://evil.example/i.png onerror=alert(1)>",
    "[press](javascript:alert(1))",
    "![](http://evil.example/x.png)",
    "http://evil.example/path",
    "$\\LaTeX$",
    ":red[loud] :smile: :material/home:",
    "=cmd|'/C calc'!A0",
    "# heading **bold** `code`",
    "txt\u202egnp.exe",
)


def incident(name: str = PATTERN, **changes: object) -> Incident:
    """A pattern of three flagged and one quarantined record, worth telling."""
    known = Incident(
        incident_id=name,
        kind="pattern",
        severity="critical",
        summary=f"4 of 5 records with carrier ZZ on {LAST}: air_time is about 60 times too long",
        columns=("air_time", "carrier"),
        segment=(Condition("carrier", "ZZ"),),
        flagged=3,
        quarantined=1,
        segment_records=5,
        lift=31.0,
        p_value=1e-9,
        observed="9060",
        expected="151",
        first_partition=NIGHTS[1],
    )
    return replace(known, **changes)  # type: ignore[arg-type]


def of(name: str, key: str, score: float = 5.0, **changes: object) -> Anomaly:
    """A flagged record of an incident."""
    return replace(anomaly(key, score), incident_id=name, severity="critical", **changes)  # type: ignore[arg-type]


def beside(key: str, *values: int) -> list[Neighbour]:
    """Normal records that are like a flagged one but for how long they were in the air."""
    return [
        Neighbour(key, rank, f"n{rank}", 0.5 * rank, {"carrier": "ZZ", "air_time": value, "stops": rank - 1})
        for rank, value in enumerate(values, start=1)
    ]


class WrongNight(SmallHouse):
    """Three nights: a quiet one, one where the pattern begins, one where it goes on and a single record is strange."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, url: str | None = None) -> None:
        super().__init__(folder, patch)
        if url is not None:
            patch.setenv("TABLEWATCH_STORE_URL", url)
            self.store = Store(url)
            self.store.migrate()
        self.version = self.train()
        self.drift = {"air_time": 0.4, "carrier": 0.1}
        self.score(NIGHTS[0])
        self.score(NIGHTS[1], [of(PATTERN, "11")], incidents=[incident(flagged=1, quarantined=0)])
        single = incident(
            SINGLE,
            kind="single",
            severity="info",
            summary="record 34: carrier is ZZ",
            flagged=1,
            quarantined=0,
            segment=(),
        )
        self.score(
            LAST,
            [of(PATTERN, "31", 9.0), of(PATTERN, "32", 8.0), of(PATTERN, "33", 7.0), of(SINGLE, "34", 3.0)],
            [replace(broken("35"), incident_id=PATTERN)],
            incidents=[incident(), single],
            neighbours=beside("31", 150, 162),
        )

    def score(
        self,
        partition: str,
        anomalies: Sequence[Anomaly] = (),
        quarantine: Sequence[Quarantined] = (),
        read: int = ROWS,
        incidents: Sequence[Incident] = (),
        neighbours: Sequence[Neighbour] = (),
    ) -> None:
        """As any night is scored, with its metrics."""
        run_id = self.store.start_run("nights", partition, "run", "0" * 12)
        accepted = read - len({each.row for each in quarantine})
        results = PartitionResults(
            validations=[AT_LEAST_ONE],
            quarantine=quarantine,
            anomalies=anomalies,
            metrics={"flagged_rate": len(anomalies) / read, "asked_rate": 0.001, "canary_recall": 0.75},
            column_metrics={(name, "psi"): drift for name, drift in self.drift.items()},
            counts={"read": read, "accepted": accepted, "quarantined": read - accepted, "flagged": len(anomalies)},
            incidents=incidents,
            neighbours=neighbours,
        )
        self.store.replace_partition(run_id, "nights", partition, self.version, "0" * 12, results)

    def harm(self) -> list[str]:
        """Score the last night with every payload as a value, a column's name, a key and a sentence; the keys."""
        records = []
        for number, payload in enumerate(PAYLOADS):
            key = f"{number} {payload}"
            why = Contribution(payload, payload, f"not {payload}", 0.9, 1, "reconstruction")
            records.append(
                of(PATTERN, key, 9.0 - number / 10, contributions=(why,), record={payload: payload, "id": key})
            )
        sentence = "; ".join(PAYLOADS)
        found = incident(
            summary=sentence,
            columns=PAYLOADS,
            segment=(Condition(PAYLOADS[0], PAYLOADS[1]),),
            flagged=len(records),
            observed=sentence,
        )
        rows = [
            replace(broken(f"q {each}", row, each), column=each, incident_id=PATTERN)
            for row, each in enumerate(PAYLOADS)
        ]
        self.drift = dict.fromkeys(PAYLOADS, 0.5)
        near = [Neighbour(each.record_key, 1, PAYLOADS[0], 0.5, each.record | {PAYLOADS[1]: None}) for each in records]
        self.score(LAST, records, rows, incidents=[found], neighbours=near)
        for key in (record.record_key for record in records):
            self.store.add_label("nights", LAST, key, "expected", sentence, PAYLOADS[0])
        return [record.record_key for record in records]
