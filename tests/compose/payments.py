"""A small table of a shop on the stack's PostgreSQL, and the monitor that watches it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import yaml

RECORDS = 300
WRONG = 7
WINDOW = 20
PASSWORD = "SHOP_PASSWORD"
# From yesterday on every day's seventh payment is for a plan that never was.
TABLE = f"""
    CREATE TABLE payments AS
    SELECT (100000 * day + number)::integer AS payment_id,
           current_date + day::integer AS paid_on,
           CASE WHEN day >= -1 AND number = {WRONG} THEN 'mammoth' ELSE plan END AS plan,
           seats,
           seats * price AS amount
    FROM generate_series(-{WINDOW + 4}, 1) AS day,
         generate_series(1, {RECORDS}) AS number,
         LATERAL (SELECT 1 + (number * 7919 + day * 31 + 100000)::integer % 12 AS seats) AS sold,
         LATERAL (SELECT (ARRAY['small', 'team', 'large'])[1 + number % 3] AS plan,
                         (ARRAY[5, 9, 20])[1 + number % 3] AS price) AS priced
"""


def write_monitor(folder: Path, tick: dt.datetime) -> None:
    """Writes the monitor; its night is validated at that minute."""
    monitor = {
        "source": {"connection": f"postgres://shop:${{{PASSWORD}}}@postgres/shop", "table": "payments"},
        "partition_by": "paid_on",
        "primary_key": ["payment_id"],
        "schedule": f"{tick.minute} {tick.hour} * * *",
        "training": {"window": WINDOW, "model": "autoencoder"},
    }
    (folder / "payments.yaml").write_text(yaml.safe_dump(monitor), encoding="utf-8")
