"""The training window: which partitions, and which of their records may be learned from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.errors import RefusedData

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline.monitor import Monitor
    from pipeline.source import Source
    from pipeline.steps.house import House
    from pipeline.steps.labelled import WindowLabels
    from pipeline.validation import Suite


def training_window(house: House, monitor: Monitor, source: Source, through: str | None) -> dict[str, int]:
    """The partitions to train on with their records: the last ones up to `through` that were not refused.

    Raises RefusedData where there is none.
    """
    refused = {s.partition for s in house.store.partition_states(monitor.name) if s.status == "refused"}
    known = [p for p in source.partitions() if p.key]
    past = [p for p in known if (through is None or p.key <= through) and p.key not in refused]
    window = past[-monitor.training.window :]
    if not window:
        there = f"the table begins with {known[0].key}" if known else "the table is empty"
        raise RefusedData(f"{monitor.name} {through or ''}: no partition to train on; {there}")
    return {p.key: p.rows for p in window}


def accepted_records(
    monitor: Monitor, source: Source, partitions: dict[str, int], seed: int, labels: WindowLabels | None = None
) -> tuple[pa.Table, Suite, dict[str, int]]:
    """The window's records that keep to the suite learned from it, and that suite; of none that is confirmed."""
    import pyarrow as pa

    from pipeline import training
    from pipeline.steps.labelled import WindowLabels
    from pipeline.validation import KeyCensus, RecordCheck, first_suite, learn, unique_columns

    schema, excluded = source.schema(list(partitions)), monitor.columns.exclude
    # The monitor may expect something of a column that nothing is learned of.
    named = first_suite(monitor, schema).columns
    names = [n for n in schema.names if n not in excluded or n in named]
    batches = source.batches(list(partitions), names)
    labels = labels or WindowLabels(monitor)
    sampled = training.sample(monitor, batches, sum(partitions.values()), seed, labels.are_expected)
    window = sampled.filter(pa.array(~labels.are_confirmed(sampled)))
    expected = window.filter(pa.array(labels.are_expected(window)))
    suite = learn(monitor, window, source.profiles(list(partitions)), expected)
    # A key is unique within its partition, not within the window.
    none = {group: frozenset[bytes]() for group in unique_columns(suite)}
    check = RecordCheck(monitor, max(partitions), suite, KeyCensus(none, none))
    accepted = [check.check(batch, 0).accepted for batch in window.to_batches()]
    table = pa.concat_tables(accepted, promote_options="permissive") if accepted else window
    table = table.select([n for n in names if n not in excluded])
    counts = {"read": window.num_rows, "accepted": table.num_rows, "quarantined": window.num_rows - table.num_rows}
    if labels.confirmed or labels.expected:
        weighted = int(labels.are_expected(table).sum())
        counts |= {"confirmed": sampled.num_rows - window.num_rows, "expected": weighted}
        counts["expected_quarantined"] = expected.num_rows - weighted
    return table, suite, counts
