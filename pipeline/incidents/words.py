"""One sentence an incident: how many records, which ones, what is wrong with them, what was to be expected."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.incidents.manner import Manner
from pipeline.incidents.population import NULL
from pipeline.results import Condition

SHOWN_COLUMNS = 3


def of_pattern(
    partition: str,
    counts: tuple[int, int],
    segment: tuple[Condition, ...],
    population: tuple[int, bool] | None,
    columns: Sequence[str],
    manner: Manner,
) -> str:
    """A pattern in words: `counts` of all its records and of the quarantined; `population` of its segment, if exact."""
    records, quarantined = counts
    if population is None:
        who = f"{records:,} records on {partition}, which share nothing else"
    else:
        size, exact = population
        of = f"{'' if exact else 'about '}{size:,}"
        who = f"{records:,} of {of} records with {conditions_in_words(segment)} on {partition}"
    also = f"; also {_list(columns[1:])}" if len(columns) > 1 else ""
    return f"{who}: {columns[0]} {manner.words}{_ranges(manner)}{also}{_quarantined(records, quarantined)}"


def of_single(partition: str, key: str | None, columns: Sequence[str], manner: Manner) -> str:
    """A single record in words."""
    also = f"; also {_list(columns[1:])}" if len(columns) > 1 else ""
    return f"record {key} on {partition}: {columns[0]} {manner.words}{_ranges(manner)}{also}"


def of_partition(
    partition: str, flagged: int, accepted: int, expected: float, columns: Sequence[tuple[str, int]]
) -> str:
    """A partition that changed in words; `columns` lead so many of its records."""
    moved = _list([f"{name} ({count:,})" for name, count in columns])
    return (
        f"{flagged:,} of {accepted:,} accepted records on {partition} are flagged for no common reason, where about "
        f"{expected:.2g} were to be expected; they are led by {moved}"
    )


def conditions_in_words(segment: Sequence[Condition]) -> str:
    """`carrier F9 and distance from 96 to 241`."""
    return " and ".join(_condition(each) for each in segment)


def _condition(condition: Condition) -> str:
    if condition.value is None:
        return f"{condition.column} from {condition.low} to {condition.high}"
    return f"no {condition.column}" if condition.value == NULL else f"{condition.column} {condition.value}"


def _ranges(manner: Manner) -> str:
    told = [f"expected {manner.expected}"] if manner.expected is not None else []
    if manner.observed is not None and not manner.words.startswith("is " + manner.observed):
        told.append(f"observed {manner.observed}")
    return f" ({', '.join(told)})" if told else ""


def _quarantined(records: int, quarantined: int) -> str:
    if not quarantined:
        return ""
    return "; all are quarantined" if quarantined == records else f"; {quarantined:,} of them are quarantined"


def _list(words: Sequence[str]) -> str:
    shown = list(words[:SHOWN_COLUMNS])
    if len(words) > SHOWN_COLUMNS:
        return f"{', '.join(shown)} and {len(words) - SHOWN_COLUMNS} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
