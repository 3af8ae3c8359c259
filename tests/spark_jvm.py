"""Spark's Java process, which outlives the sessions of a test with the settings that it was started with."""

from __future__ import annotations


def end() -> None:
    """Stop the session, if there is one, and the Java process, so that the next session gets one of its own."""
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    if session := SparkSession.getActiveSession():
        session.stop()
    if gateway := SparkContext._gateway:
        gateway.shutdown()
        # It would end by itself once nobody can write to it, which a forked process of another test still can.
        gateway.proc.kill()
        gateway.proc.wait()
        SparkContext._gateway = SparkContext._jvm = None
