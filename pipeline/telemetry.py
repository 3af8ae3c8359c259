"""What a task tells those who watch over Airflow: gauges by its own metrics, data quality by OpenLineage.

Each only where Airflow is configured for it. Nothing that goes wrong here fails a task: the night is scored and stored.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.reports import Quality

log = logging.getLogger(__name__)

WITH_TAGS = ("otel_on", "statsd_datadog_enabled", "statsd_influxdb_enabled")
"""Options of Airflow's `[metrics]` under which a metric keeps its tags."""


def of_validation(monitor: str, partition: str, backfill: bool) -> None:
    """Tell of a partition that was validated: its figures, and how its expectations fared."""
    of_scoring(monitor, partition, backfill)
    _emit_quality(monitor, partition)


def of_scoring(monitor: str, partition: str, backfill: bool) -> None:
    """Set the gauges of the monitor to what its partition measured; of a backfill, which is of the past, none."""
    if backfill:
        return
    from airflow.sdk.configuration import conf

    sends = {name: conf.getboolean("metrics", name, fallback=False) for name in ("statsd_on", *WITH_TAGS)}
    if not any(sends.values()):
        return
    with _never_failing("metrics", monitor, partition):
        from pipeline import reports

        gauges(monitor, reports.measures(monitor, partition), tags=any(sends[name] for name in WITH_TAGS))


def gauges(monitor: str, values: Mapping[str, float], tags: bool) -> None:
    """`tablewatch.flagged` with the tag `monitor`; where tags are lost `tablewatch.<m>.flagged`."""
    from airflow.sdk.observability import stats

    for name, value in values.items():
        if tags:
            stats.gauge(f"tablewatch.{name}", value, tags={"monitor": monitor})
        else:
            stats.gauge(f"tablewatch.{monitor}.{name}", value)


def _emit_quality(monitor: str, partition: str) -> None:
    """Emit how the partition's expectations fared, where OpenLineage's provider is installed and configured."""
    try:
        from airflow.providers.openlineage.api import emit_dataset_lineage, is_openlineage_active
    except ImportError:
        return
    if not is_openlineage_active():
        return
    with _never_failing("OpenLineage", monitor, partition):
        from pipeline import reports

        emit_dataset_lineage(inputs=[_input(reports.quality(monitor, partition))])


def _input(quality: Quality) -> Any:
    """The table as an input, with its facets: names, counts and whether each expectation holds, never a value."""
    from openlineage.client.event_v2 import InputDataset
    from openlineage.client.facet_v2 import data_quality_assertions_dataset as asserted
    from openlineage.client.facet_v2 import data_quality_metrics_input_dataset as measured

    assertions = [
        asserted.Assertion(
            assertion=result.expectation,
            success=result.success,
            column=result.column,
            severity="warn" if result.severity == "warning" else "error",
            expected="0" if result.scope == "record" else None,
            actual=str(result.unexpected) if result.scope == "record" else None,
        )
        for result in quality.results
    ]
    facets = {
        "dataQualityAssertions": asserted.DataQualityAssertionsDatasetFacet(assertions=assertions),
        "dataQualityMetrics": measured.DataQualityMetricsInputDatasetFacet(columnMetrics={}, rowCount=quality.rows),
    }
    return InputDataset(namespace=quality.namespace, name=quality.name, inputFacets=facets)


@contextmanager
def _never_failing(what: str, monitor: str, partition: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # The words of an unforeseen error may hold a secret, so only its name is kept.
        log.warning("%s %s: %s got nothing of it: %s", monitor, partition, what, type(error).__name__)
