"""The composition root: one function a task, used by the DAGs and by the command line alike.

Nothing heavy loads with this package; each step loads what it needs. A step writes one row in `runs` whatever happens,
but for `alerting`, `codes` and `labelling`, which change nothing that was found in a partition, and `pruning`.
"""

from pipeline.steps.alerting import deliver, late_nights, tell_late
from pipeline.steps.house import House, Outcome
from pipeline.steps.labelling import Labelled, label, label_all, mute, unmute
from pipeline.steps.learning import train
from pipeline.steps.nightly import backfill, run, run_all, score, validate
from pipeline.steps.pruning import Pruned, prune
from pipeline.steps.rescoring import left_behind, rescore

__all__ = [
    "House",
    "Labelled",
    "Outcome",
    "Pruned",
    "backfill",
    "deliver",
    "label",
    "label_all",
    "late_nights",
    "left_behind",
    "mute",
    "prune",
    "rescore",
    "run",
    "run_all",
    "score",
    "tell_late",
    "train",
    "unmute",
    "validate",
]
