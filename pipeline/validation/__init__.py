"""Validation on Great Expectations: suites learned from the past and written by the user, run on each partition.

Before training `first_suite`, after it `learn`. Then, partition by partition: `check_schema`, `check_partition` on the
profile, `duplicate_keys` over its batches, and a `RecordCheck` that parts each batch into accepted and quarantined.
`refuse_if_broken` stops a partition that cannot be trusted.
"""

from __future__ import annotations

from pipeline.validation.census import Columns, KeyCensus, contents, duplicate_keys, unique_columns, values
from pipeline.validation.learning import first_suite, learn, with_own
from pipeline.validation.partition import check_partition, check_schema, metrics_of, refuse_if_broken
from pipeline.validation.records import Checked, CheckedBatch, RecordCheck
from pipeline.validation.suite import Spec, Suite
from pipeline.validation.words import in_words, readable

__all__ = [
    "Checked",
    "CheckedBatch",
    "Columns",
    "KeyCensus",
    "RecordCheck",
    "Spec",
    "Suite",
    "check_partition",
    "check_schema",
    "contents",
    "duplicate_keys",
    "first_suite",
    "in_words",
    "learn",
    "metrics_of",
    "readable",
    "refuse_if_broken",
    "unique_columns",
    "values",
    "with_own",
]
