"""What Airflow's UI says of each DAG, and what it asks a person: words only, nothing of Airflow is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.monitor import Monitor

ANSWER_WITHIN = timedelta(days=6)
"""How long a challenger waits for approval: shorter than the week until the next one."""

SUMMARY = {
    "validate": "Checks one partition of {name} and sets aside the records that break its expectations",
    "score": "Scores the accepted records of one partition of {name} and keeps the anomalies with their reasons",
    "ask_retrain": "Asks for a training of {name} by the clock",
    "retrain": "Trains a challenger for {name}; it replaces the champion only if it passes the gate",
}
RUNS = {
    "validate": "at `{schedule}` ({timezone}), for the day before. A backfill tells nobody of what it finds, unless "
    'its `--dag-run-conf` is `{{"alerts": true}}`',
    "score": "as soon as `validate_{name}` has validated a partition, for that partition; anomalies never fail it. "
    "`ask_for_training` asks `retrain_{name}` for a training where the champion is stale or the table has drifted, and "
    "is skipped everywhere else",
    "ask_retrain": "at `{training_schedule}` ({timezone}), for the day before; `retrain_{name}` follows",
    "retrain": "as soon as `ask_retrain_{name}` or `score_{name}` asks for it, through the partition that they name. "
    "The event on the asset `{name}_to_retrain` says why",
}
APPROVAL = (
    ". A challenger that passes the gate waits in `approve` for a person, who answers under Required Actions; "
    "no answer in {days} days is a no"
)
COMMAND = {
    "validate": "tablewatch validate {name} --partition 2013-02-03",
    "score": "tablewatch score {name} --partition 2013-02-03",
    "ask_retrain": "tablewatch train {name} --through 2013-02-03",
    "retrain": "tablewatch train {name} --through 2013-02-03",
}
GUIDE = """\
{summary}. {description}

**Owner:** {owner}

**Runs** {runs}. By hand: trigger it with a partition key, or with the param `partition`.

**When it fails**, the task's log ends with what and where:

- `RefusedData`, `EmptyPartition`: the data cannot be trusted and nothing of them was used; trying again cannot help.
  Look with `tablewatch partitions {name}`, mend or load the table again, then clear the task.
- `ConfigurationError`: the monitor's file or the run names what does not exist; `tablewatch check` says which.
- `CorruptBundle`: the model on disk is not the one that was saved; `tablewatch rollback {name}`, then `retrain_{name}`.
- `FailedMachinery`: a source, a database or a disk did not answer in {tries} tries; `tablewatch doctor`, then clear the
  task.

**The same by hand**

    {command}
    tablewatch anomalies {name} --partition 2013-02-03
    tablewatch models {name}
"""
BROKEN_GUIDE = """\
These monitors have no DAGs until their files are mended:

    {problems}

**Owner:** data-team

**When it fails**, which it does until then: `tablewatch check`, mend the files, and wait for the next parse. This DAG
goes away with the last broken file.
"""
DELIVERY_GUIDE = """\
Tells of nights that are not scored by their monitor's `alerts.deadline`, and sends the alerts that are due again
because an endpoint did not take them; each run of a monitor sends its own.

**Owner:** data-team

**Runs** every five minutes.

**When it fails**, the store did not answer in {tries} tries: `tablewatch doctor`, mend it, and wait for the next run.
An endpoint that is down or has no URL does not fail it: the log warns and the alerts wait. `tablewatch doctor` counts
them, and `tablewatch check` names an endpoint without a URL.

**The same by hand**

    tablewatch alerts --deliver
    tablewatch alerts --test ops
"""
QUESTION = """\
{message}.

{measured}

**Approve** makes {version} champion of {name}: partitions are scored with it from then on, and
`tablewatch rollback {name}` takes that back.

**Reject**, or no answer in {days} days, leaves the champion as it is. {version} is kept, and
`tablewatch promote {name} {version}` still makes it champion.
"""


def summary(kind: str, monitor: Monitor) -> str:
    """What the DAG of that kind does, in one sentence without its full stop."""
    return SUMMARY[kind].format(name=monitor.name)


def guide(kind: str, monitor: Monitor, tries: int) -> str:
    """The page of a monitor's DAG, Markdown: what, whose, when, and what to do when it fails."""
    words = {
        "name": monitor.name,
        "description": monitor.description,
        "owner": monitor.owner,
        "timezone": monitor.timezone,
        "schedule": monitor.schedule,
        "training_schedule": monitor.training.schedule,
        "days": ANSWER_WITHIN.days,
        "tries": tries,
    }
    waits = APPROVAL if kind == "retrain" and monitor.training.approval else ""
    runs, command = (RUNS[kind] + waits).format(**words), COMMAND[kind].format(**words)
    return GUIDE.format(summary=summary(kind, monitor), runs=runs, command=command, **words)


def broken(problems: Sequence[str]) -> str:
    """The page of the DAG that tells what is wrong with monitors' files, Markdown."""
    return BROKEN_GUIDE.format(problems="\n    ".join(problems))


def delivery(tries: int) -> str:
    """The page of the DAG that delivers alerts, Markdown."""
    return DELIVERY_GUIDE.format(tries=tries)


def question(outcome: Mapping[str, Any], measured: str) -> str:
    """What a person who has to approve of a challenger is told, Markdown: how its training ended, what it measured."""
    name, version, message = outcome["monitor"], outcome["model_version"], outcome["message"]
    return QUESTION.format(name=name, version=version, message=message, measured=measured, days=ANSWER_WITHIN.days)
