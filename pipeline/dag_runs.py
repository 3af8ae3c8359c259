"""What a run of a DAG is for, from the context that Airflow gives its tasks: nothing of Airflow is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from pipeline.errors import ConfigurationError


def partition_of(context: Mapping[str, Any]) -> str:
    """The partition that the run is for, an ISO date. ConfigurationError if it names none, two, or something else."""
    dag_id: str = context["dag"].dag_id
    key: str | None = context["partition_key"]
    asked: str | None = context["params"]["partition"]
    if key and asked and key != asked:
        raise ConfigurationError(f"{dag_id}: the partition key is {key!r} but the param is {asked!r}; give one")
    partition = key or asked
    if not partition:
        raise ConfigurationError(
            f"{dag_id}: the run names no partition; trigger it with a partition key, "
            'or with the param `partition`, for example {"partition": "2013-02-03"}'
        )
    if not _is_iso_date(partition):
        raise ConfigurationError(f"{dag_id}: {partition!r} is not a partition; write a date such as 2013-02-03")
    return partition


def is_backfill(context: Mapping[str, Any]) -> bool:
    """Whether a backfill made the run, or the validation that it follows."""
    events = _events(context)
    follows = bool(events) and all(event.extra.get("backfill") for event in events)
    return follows or context["dag_run"].run_type == "backfill"


def tells_people(context: Mapping[str, Any]) -> bool:
    """Whether people are told of what the run finds: as its param says; else as the validation did that it follows.

    A validation that says nothing tells people, but for one of a backfill, which looks at the past.
    """
    asked: bool | None = context["params"]["alerts"]
    if asked is not None:
        return asked
    if events := _events(context):
        return any(event.extra.get("alerts", True) for event in events)
    return not is_backfill(context)


def _events(context: Mapping[str, Any]) -> list[Any]:
    """The asset events that made the run; none where the clock, a backfill or a person did."""
    return [event for events in context["triggering_asset_events"].values() for event in events]


def _is_iso_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
