"""A stand-in for pipeline.steps that remembers what it was asked."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class FakeSteps:
    """Records each call as (kind, monitor, partition); raises the errors it was given, one a call, before it works."""

    errors: list[Exception] = field(default_factory=list)
    calls: list[tuple[str, str, str | None]] = field(default_factory=list)

    def validate(self, name: str, partition: str) -> FakeOutcome:
        return self._run("validate", name, partition)

    def score(self, name: str, partition: str) -> FakeOutcome:
        return self._run("score", name, partition)

    def train(self, name: str, through: str | None = None) -> FakeOutcome:
        return self._run("train", name, through)

    def _run(self, kind: str, name: str, partition: str | None) -> FakeOutcome:
        self.calls.append((kind, name, partition))
        if self.errors:
            raise self.errors.pop(0)
        return FakeOutcome(kind, name, partition, {"flagged": 7})


@dataclass(frozen=True)
class FakeOutcome:
    kind: str
    monitor: str
    partition: str | None
    counts: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
