"""A stand-in for pipeline.steps, and for what the DAGs need of pipeline.reports, that remembers what it was asked."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

VERSION = "2013-02-03-3f9d1c07"


@dataclass
class FakeSteps:
    """Records each call as (kind, monitor, partition); raises the errors it was given, one a call, before it works.

    `told` holds what each validation and each scoring was asked about alerts, `promoted` each promotion with its
    reason. `retrain` and `awaits_approval` are what the outcomes say.
    """

    errors: list[Exception] = field(default_factory=list)
    calls: list[tuple[str, str, str | None]] = field(default_factory=list)
    told: list[bool] = field(default_factory=list)
    promoted: list[tuple[str, str, str]] = field(default_factory=list)
    retrain: tuple[str, ...] = ()
    awaits_approval: bool = False
    delivered: FakeDelivered | None = None
    late: list[str] = field(default_factory=list)

    def validate(self, name: str, partition: str, alerts: bool = True) -> FakeOutcome:
        self.told.append(alerts)
        return self._run("validate", name, partition)

    def score(self, name: str, partition: str, alerts: bool = True) -> FakeOutcome:
        self.told.append(alerts)
        return self._run("score", name, partition)

    def train(self, name: str, through: str | None = None) -> FakeOutcome:
        return self._run("train", name, through)

    def deliver(self) -> FakeDelivered:
        self._run("deliver", "", None)
        return self.delivered or FakeDelivered(2, 0, {})

    def tell_late(self) -> list[str]:
        return self.late

    def promote(self, name: str, version: str, reason: str) -> FakeVersion:
        self.promoted.append((name, version, reason))
        return FakeVersion(version)

    def beside_champion(self, name: str, version: str) -> str:
        return f"| {version} | {name}'s champion |"

    def measures(self, name: str, partition: str) -> dict[str, float]:
        return {"read": 40.0, "flagged": 7.0}

    def quality(self, name: str, partition: str) -> Any:
        raise ValueError("asked of a fake")

    def _run(self, kind: str, name: str, partition: str | None) -> FakeOutcome:
        self.calls.append((kind, name, partition))
        if self.errors:
            raise self.errors.pop(0)
        return FakeOutcome(
            kind, name, partition, {"flagged": 7}, VERSION, "trained", list(self.retrain), self.awaits_approval
        )


@dataclass(frozen=True)
class FakeOutcome:
    kind: str
    monitor: str
    partition: str | None
    counts: dict[str, int]
    model_version: str
    message: str
    retrain: list[str]
    awaits_approval: bool

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class FakeDelivered:
    sent: int
    failed: int
    errors: dict[str, str]


@dataclass(frozen=True)
class FakeVersion:
    version: str
