"""What every step needs, how it ends, and the row in `runs` that it leaves whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pipeline.errors import ConfigurationError, EmptyPartition, FailedMachinery, RefusedData, TablewatchError
from pipeline.monitor import Monitor, find
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.registry import Registry
    from pipeline.source import Source, SparkSource
    from pipeline.store import ModelVersion, RunKind, RunStatus, Store
    from pipeline.validation import Suite

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Outcome:
    """How a step ended: names and counts only, so that it may travel through XCom and logs."""

    monitor: str
    partition: str | None
    kind: str
    status: str
    run_id: str
    model_version: str | None
    counts: dict[str, int]
    message: str
    warnings: tuple[str, ...] = ()
    retrain: tuple[str, ...] = ()
    """Why another training is asked for; empty where none is."""
    awaits_approval: bool = False
    """Whether the version that was trained becomes champion only once a person approves of it."""

    def as_dict(self) -> dict[str, Any]:
        """The outcome as JSON values."""
        return {**asdict(self), "warnings": list(self.warnings), "retrain": list(self.retrain)}


class House:
    """What every step needs: the settings, the store (migrated on first use) and the registry."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()

    @cached_property
    def store(self) -> Store:
        from pipeline.store import Store

        store = Store(self.settings.store)
        store.migrate()
        return store

    @cached_property
    def registry(self) -> Registry:
        from pipeline.registry import Registry

        return Registry(self.settings.bundles)

    def monitor(self, name: str) -> Monitor:
        return find(name, self.settings.monitors)

    def source(self, monitor: Monitor, schema: dict[str, str] | None = None) -> Source:
        from pipeline.source import open_source

        return open_source(monitor, types=schema)

    def on_spark(self, monitor: Monitor) -> SparkSource:
        """The source of a monitor on Spark; what it opens starts no session."""
        from pipeline import spark
        from pipeline.source import open_on_spark

        return open_on_spark(monitor, lambda: spark.session(monitor.name, self.settings))

    def send(self) -> tuple[str, ...]:
        """Deliver the alerts that are due; what did not arrive, in words. Nothing that goes wrong here raises."""
        from pipeline.alerts import deliver

        try:
            errors = deliver(self.store, self.settings).errors
        except FailedMachinery as error:
            return (f"alerts stay in the outbox: {error}",)
        return tuple(
            f"{endpoint} did not take an alert, which stays in the outbox: {reason}"
            for endpoint, reason in errors.items()
        )

    def champion(self, monitor: Monitor) -> ModelVersion:
        found = self.store.champion(monitor.name)
        if found is None:
            raise ConfigurationError(f"{monitor.name}: no champion to score with; run: tablewatch train {monitor.name}")
        return found

    def suite(self, monitor: Monitor, champion: ModelVersion) -> Suite:
        """The suite the champion was trained with, under the expectations that the monitor holds today."""
        from pipeline.validation import Suite, with_own

        return with_own(monitor, Suite.from_json(self.store.suite(monitor.name, champion.suite_version)))


@contextmanager
def run_row(house: House, monitor: Monitor, partition: str | None, kind: RunKind, alerts: bool = True) -> Iterator[str]:
    """One run row: `running` until the block ends it, `refused`, `empty` or `failed` with the reason when it raises.

    With `alerts` people are told when it raises.
    """
    run_id = house.store.start_run(monitor.name, partition, kind, monitor.config_hash, house.settings.dag_run)
    try:
        yield run_id
    except TablewatchError as raised:
        error = _of_the_run(raised, monitor, partition)
        status: RunStatus = "failed"
        if isinstance(error, RefusedData):
            status = "empty" if isinstance(error, EmptyPartition) else "refused"
        _end_badly(house, monitor, partition, kind, run_id, status, str(error), alerts)
        if error is raised:
            raise
        raise error from raised.__cause__
    except BaseException as error:
        # The words of an unforeseen error may hold a secret, so only its name is kept.
        _end_badly(house, monitor, partition, kind, run_id, "failed", type(error).__name__, alerts)
        raise


def _of_the_run(error: TablewatchError, monitor: Monitor, partition: str | None) -> TablewatchError:
    """The error, beginning with the monitor and the partition: what reads for many of them cannot name them."""
    from pipeline.store.runs import subject

    about = subject(monitor.name, partition)
    if not isinstance(error, FailedMachinery) or str(error).startswith((f"{monitor.name}:", f"{about}:")):
        return error
    return FailedMachinery(f"{about}: {error}")


def _end_badly(
    house: House,
    monitor: Monitor,
    partition: str | None,
    kind: RunKind,
    run_id: str,
    status: RunStatus,
    reason: str,
    alerts: bool,
) -> None:
    """Tell the store, and people, how the run ended; where it does not answer, what went wrong first is raised."""
    from pipeline.alerts import of_failed, of_refused

    posted = []
    if alerts:
        posted = (of_failed if status == "failed" else of_refused)(monitor, partition, kind, reason)
    with suppress(FailedMachinery):
        house.store.finish_run(run_id, status, reason, alerts=posted)
        if posted:
            house.send()
