"""A monitor's table or files as partitions and Arrow record batches: the first stage of the path of a record.

ibis does the reading. Each kind of place has a file: `tables` (databases), `sqlite`, `parquet`, `delimited` (CSV).
"""

from __future__ import annotations

from pipeline.source.contract import Partition, Source, read
from pipeline.source.fake import FakeSource
from pipeline.source.on_spark import SparkSource, arriving
from pipeline.source.opening import open_on_spark, open_source

__all__ = ["FakeSource", "Partition", "Source", "SparkSource", "arriving", "open_on_spark", "open_source", "read"]
