"""A monitor to make DAGs of."""

from __future__ import annotations

MONITOR = """\
description: Flights that left New York
owner: planes
source: {files: "data/flights/*.parquet"}
partition_by: flight_date
primary_key: [flight_id]
"""
