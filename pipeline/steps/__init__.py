"""The composition root: one function a task, used by the DAGs and by the command line alike.

Nothing heavy loads with this package; each step loads what it needs. A step writes one row in `runs` whatever happens,
but for `codes`, which changes nothing that is known of a partition.
"""

from pipeline.steps.house import House, Outcome
from pipeline.steps.learning import train
from pipeline.steps.nightly import backfill, run, score, validate

__all__ = ["House", "Outcome", "backfill", "run", "score", "train", "validate"]
