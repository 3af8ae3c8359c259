"""How much an incident matters: by how improbable it is, how many records it has and how far that is above budget.

`budget` is how many normal records of a partition are expected to be flagged: the false-alarm rate times the accepted.
"""

from __future__ import annotations

from pipeline.results import IncidentSeverity

RARE = 0.01
MANY = 20
SHARE = 0.01
TIMES = 10.0


def of_pattern(records: int, budget: float, partition_records: int) -> IncidentSeverity:
    """Records that are wrong in the same way are never chance; many of them, far above the budget, are critical."""
    many = max(MANY, SHARE * partition_records)
    return "critical" if records >= many and records >= TIMES * min(budget, many / TIMES) else "warning"


def of_single(p_value: float, accepted: int) -> IncidentSeverity:
    """A warning where fewer than `RARE` normal records of a partition are as strange; else it may be chance."""
    return "warning" if p_value * accepted < RARE else "info"


def of_partition(flagged: int, budget: float, accepted: int) -> IncidentSeverity:
    """Critical where many times the budget, and a considerable share of the partition, is flagged."""
    return "critical" if flagged >= TIMES * budget and flagged >= SHARE * accepted else "warning"
