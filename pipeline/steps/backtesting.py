"""The step that replays past partitions with the models of then, at several thresholds at once, and writes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import TYPE_CHECKING

from pipeline.errors import ConfigurationError, RefusedData
from pipeline.settings import Settings
from pipeline.steps.checking import Checking
from pipeline.steps.house import House, Progress
from pipeline.steps.replaying import Asked, Champion, Champions

if TYPE_CHECKING:
    from pipeline.monitor import Monitor
    from pipeline.results import ExpectationResult
    from pipeline.steps.tally import Tally

RATES = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02)
BUDGETS = (5.0, 20.0)


@dataclass(frozen=True)
class Brought:
    """What a threshold would have brought in a night: records flagged, incidents, and alerts, of which there is one."""

    flagged: int
    incidents: int
    alerts: int


@dataclass(frozen=True)
class Night:
    """What one partition would have brought at each threshold that was asked for, in their order.

    `model` is the version that would have scored it, `in_memory` whether it was trained for this replay alone. A
    partition that would have been refused has the reason in `refused` and no counts.
    """

    partition: str
    model: str | None
    in_memory: bool
    accepted: int = 0
    quarantined: int = 0
    brought: tuple[Brought, ...] = ()
    refused: str | None = None


@dataclass(frozen=True)
class Totals:
    """What a threshold would have brought a night, over the nights that were scored; None where there was none.

    `share` is that of the accepted records flagged, `alerts` how many nights would have sent one.
    """

    asked: Asked
    median: float | None
    most: int | None
    share: float | None
    incidents: float | None
    most_incidents: int | None
    alerts: int

    @classmethod
    def of(cls, asked: Asked, nights: Sequence[Brought], accepted: int) -> Totals:
        if not nights:
            return cls(asked, None, None, None, None, None, 0)
        flagged, incidents = [night.flagged for night in nights], [night.incidents for night in nights]
        share = sum(flagged) / accepted if accepted else None
        alerts = sum(night.alerts for night in nights)
        return cls(asked, median(flagged), max(flagged), share, median(incidents), max(incidents), alerts)


@dataclass(frozen=True)
class Backtest:
    """The nights of a replay, in order, and the thresholds at which each was judged."""

    monitor: str
    asked: tuple[Asked, ...]
    nights: tuple[Night, ...]

    def totals(self) -> list[Totals]:
        """A line for each threshold."""
        scored = [night for night in self.nights if night.refused is None]
        accepted = sum(night.accepted for night in scored)
        return [Totals.of(asked, [n.brought[at] for n in scored], accepted) for at, asked in enumerate(self.asked)]


def backtest(
    name: str,
    first: str,
    last: str,
    rates: Sequence[float] = RATES,
    budgets: Sequence[float] = BUDGETS,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> Backtest:
    """Replay the partitions from `first` to `last` at the monitor's threshold and at each of `rates` and `budgets`.

    Each is validated and scored, as `score` would, by the version that would have been champion then: the stored one
    whose window ends latest before it, or where there is none one that is trained on the window before it and kept in
    memory only, anew after seven partitions. Nothing is written. Raises ConfigurationError when the table holds no such
    partition.
    """
    house = House(settings)
    monitor = house.monitor(name)
    keys = [p.key for p in house.source(monitor).partitions() if p.key]
    wanted = [key for key in keys if first <= key <= last]
    if not wanted:
        mend = f"`tablewatch partitions {name}` lists those there are"
        raise ConfigurationError(f"{name}: the table holds no partition from {first} to {last}; {mend}")
    replay = Replay(house, monitor, keys, thresholds(monitor, rates, budgets), progress or (lambda share, text: None))
    return Backtest(name, replay.asked, tuple(replay.nights(wanted)))


def thresholds(monitor: Monitor, rates: Sequence[float], budgets: Sequence[float]) -> tuple[Asked, ...]:
    """The monitor's own threshold and the others, each once, rates before budgets, ascending."""
    own = Asked(monitor.threshold.false_alarm_rate, monitor.threshold.alert_budget, present=True)
    others = [*(Asked(rate=rate) for rate in rates), *(Asked(budget=budget) for budget in budgets)]
    each = [own, *(other for other in dict.fromkeys(others) if other != replace(own, present=False))]
    return tuple(sorted(each, key=lambda asked: (asked.rate is None, asked.rate or asked.budget)))


@dataclass
class Replay:
    """Nights one after the other, each with what the nights before it left behind."""

    house: House
    monitor: Monitor
    keys: list[str]
    asked: tuple[Asked, ...]
    progress: Progress
    champions: Champions = field(init=False)

    def __post_init__(self) -> None:
        self.champions = Champions(self.house, self.monitor, self.keys)

    def nights(self, wanted: Sequence[str]) -> Iterator[Night]:
        """The nights of the partitions `wanted`, in order."""
        for at, partition in enumerate(wanted):

            def told(share: float, text: str, at: int = at, partition: str = partition) -> None:
                self.progress((at + share) / len(wanted), f"{partition}, {text}")

            told(0.0, "scoring")
            yield self._night(partition, told)

    def _night(self, partition: str, progress: Progress) -> Night:
        try:
            champion = self.champions.of(partition, progress)
        except RefusedData as refusal:
            return Night(partition, None, False, refused=str(refusal))
        for earlier in champion.unseen(self.keys, partition):
            self._judged(champion, earlier)
        return self._judged(champion, partition)

    def _judged(self, champion: Champion, partition: str) -> Night:
        try:
            return self._scored(champion, partition)
        except RefusedData as refusal:
            self.champions.refused.add(partition)
            return Night(partition, champion.version, champion.in_memory, refused=str(refusal))

    def _scored(self, champion: Champion, partition: str) -> Night:
        from pipeline.steps.tally import Tally

        rates = [asked.rate_of(champion.typical) for asked in self.asked]
        source = self.house.source(self.monitor, champion.suite.schema)
        checking = Checking(self.monitor, partition, source, champion.suite)
        # What is flagged at the highest rate holds what is flagged at any other.
        tally = Tally(self.monitor, partition, champion.detector, None, max(rates), champion.refresh())
        for batch in checking.batches():
            tally.add(batch)
        results, counts = checking.results(), checking.counts()
        champion.powers[partition] = tally.metrics()["p_value_power"]
        brought = tuple(_brought(tally, rate, results) for rate in rates)
        accepted, quarantined = counts["accepted"], counts["quarantined"]
        return Night(partition, champion.version, champion.in_memory, accepted, quarantined, brought)


def _brought(tally: Tally, rate: float, results: Sequence[ExpectationResult]) -> Brought:
    """What a night would have brought at a rate that is not above the one at which it was tallied."""
    from pipeline.alerts import worth_telling

    at = tally.at(rate)
    incidents = at.incidents(results, (), ()).incidents
    alerts = any(worth_telling(tally.monitor, incident) for incident in incidents)
    return Brought(len(at.anomalies), len(incidents), int(alerts))
