"""The nightly self-test: whether the detector still finds what is known to be wrong among records of tonight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.stats import fisher_exact

from pipeline.detector.canaries import make_canaries
from pipeline.detector.detector import Detector
from pipeline.refreshing import UNCHANGED, Refresh

CANARIES = 200
FEWEST_RECORDS = 20
SURE = 0.001
"""How improbable a drop must be, all kinds of corruption together, before a detector is called blind."""


def lots(keys: pa.Table, seed: int) -> np.ndarray:
    """A number drawn for each record by the values of its key columns, uint64 (n,), as good as random.

    So whatever the records come among, and in which order, the same of them are drawn; with another `seed`, others.
    """
    from pandas.util import hash_pandas_object

    drawn = hash_pandas_object(keys.to_pandas(), index=False).to_numpy(np.uint64)
    # What Steele, Lea and Flood (2014) finish SplitMix with: neighbouring seeds and keys give numbers far apart.
    drawn = drawn + np.uint64(seed * 0x9E3779B97F4A7C15 % 2**64)
    drawn = (drawn ^ (drawn >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    drawn = (drawn ^ (drawn >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(drawn ^ (drawn >> np.uint64(31)))


class Sample:
    """Up to `most` of the records that stream by: those with the lowest lots, in the order of these."""

    def __init__(self, most: int = CANARIES) -> None:
        self._most = most
        self._kept: list[pa.Table] = []
        self._lots = np.zeros(0, np.uint64)

    def add(self, table: pa.Table, drawn: np.ndarray) -> None:
        """Records with the `lots` drawn for them."""
        every = np.concatenate([self._lots, drawn])
        best = np.argsort(every, kind="stable")[: self._most]
        self._lots = every[best]
        self._kept = [pa.concat_tables([*self._kept, table], promote_options="permissive").take(pa.array(best))]

    @property
    def drawn(self) -> np.ndarray:
        """The lots of the records drawn, uint64 (n,), in order."""
        return self._lots

    def table(self) -> pa.Table | None:
        """The records drawn; None when nothing was added."""
        return self._kept[0] if self._kept else None


@dataclass(frozen=True)
class SelfTest:
    """Of each kind of corruption how many canaries there were and how many were flagged; the same of the originals.

    Canaries are made in memory of records of the partition, and are forgotten with it.
    """

    by_kind: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    untouched: int = 0
    untouched_flagged: int = 0

    @property
    def count(self) -> int:
        return sum(count for count, _ in self.by_kind.values())

    @property
    def caught(self) -> int:
        return sum(caught for _, caught in self.by_kind.values())

    def as_metrics(self) -> dict[str, float | None]:
        """Recall of all and of each kind, None of no canaries; how many there were; the share of originals flagged."""
        found: dict[str, float | None] = {"canary_count": float(self.count), "canary_recall": None}
        found["canary_false_alarm_rate"] = self.untouched_flagged / self.untouched if self.untouched else None
        if self.count:
            found["canary_recall"] = self.caught / self.count
        for kind, (count, caught) in self.by_kind.items():
            found |= {f"canary_count.{kind}": float(count), f"canary_recall.{kind}": caught / count}
        return found

    def to_state(self) -> dict[str, Any]:
        """The counts as JSON values."""
        kinds = {kind: list(counts) for kind, counts in self.by_kind.items()}
        return {"by_kind": kinds, "untouched": self.untouched, "untouched_flagged": self.untouched_flagged}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> SelfTest:
        """What `to_state` wrote."""
        kinds = {kind: (count, caught) for kind, (count, caught) in state["by_kind"].items()}
        return cls(kinds, state["untouched"], state["untouched_flagged"])


def self_test(
    detector: Detector, sample: pa.Table, rate: float, refresh: Refresh = UNCHANGED, seed: int = 0, most: int = CANARIES
) -> SelfTest:
    """Flag up to `most` records of `sample` as the night does, then those that were not, with one field corrupted each.

    That is: at the asked `rate`, p-values refreshed as tonight's. Of fewer than FEWEST_RECORDS nothing is told.
    """
    if sample.num_rows < FEWEST_RECORDS:
        return SelfTest()
    kinds = {name: encoder.kind for name, encoder in detector.encoder.columns.items()}
    drawn = sample.take(pa.array(np.sort(np.random.default_rng(seed).permutation(sample.num_rows)[:most])))
    flagged = refresh(detector.score(drawn, refresh.before(rate)).p_value) <= rate
    canaries = make_canaries(drawn.filter(pa.array(~flagged)), kinds, most, seed)
    caught = refresh(detector.score(canaries.table, refresh.before(rate)).p_value) <= rate
    counts = Counter(canaries.corruptions)
    found = Counter(kind for kind, was in zip(canaries.corruptions, caught, strict=True) if was)
    by_kind = {kind: (counts[kind], found[kind]) for kind in sorted(counts)}
    return SelfTest(by_kind, drawn.num_rows, int(flagged.sum()))


def blind(tonight: SelfTest, at_training: SelfTest) -> str | None:
    """Says so when fewer canaries are surely flagged than were at training, of a kind or of all; else None.

    Fisher's exact test (1935), one-sided, of two proportions, at `SURE` divided by the number of comparisons.
    """
    pairs = {"": ((tonight.count, tonight.caught), (at_training.count, at_training.caught))} | {
        f"{kind} ": (tonight.by_kind[kind], at_training.by_kind[kind])
        for kind in tonight.by_kind
        if kind in at_training.by_kind
    }
    told = [
        f"{caught} of {count} {kind}canaries ({caught / count:.0%}, at training {then_caught / then:.0%})"
        for kind, ((count, caught), (then, then_caught)) in pairs.items()
        if count and then and _fewer(caught, count, then_caught, then) < SURE / len(pairs)
    ]
    return f"it has gone blind: it flags {', '.join(told)}" if told else None


def _fewer(caught: int, count: int, then_caught: int, then: int) -> float:
    """How probable so few caught would be if nothing had changed."""
    table = [[caught, count - caught], [then_caught, then - then_caught]]
    return float(fisher_exact(table, alternative="less").pvalue)
