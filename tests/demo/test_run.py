"""demo/run.py. The slow tests run the whole demo as a person does, each in a home of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from demo import run
from demo.airflow_home import REPO
from demo.planting import Planted
from pipeline import monitor
from pipeline.errors import FailedMachinery
from pipeline.results import Contribution

LAST_LINE = re.compile(
    r"demo: planted (\d+), caught (\d+) \(quarantined (\d+), flagged (\d+)\), "
    r"(\d+) other records flagged of (\d+) accepted"
)


def _planted(key: int) -> Planted:
    return Planted(key, "distance in kilometres", "distance", "1609", "1000")


def _anomaly(key: str) -> Any:
    reasons = (Contribution("distance", "1609", "1001", 0.9, 1, "reconstruction"),)
    return SimpleNamespace(record_key=key, contributions=reasons)


@pytest.fixture
def results() -> run.Results:
    """Planted: 1 and 2 quarantined, 3 flagged, 4 missed. Not planted: 90 quarantined, 91 and 92 flagged.

    In the night of patterns 5 and 6 belong to one incident, in which 93 has no business, and 94 is alone.
    """
    return run.Results(
        quarantined={key: [f"carrier null of {key}"] for key in ("1", "2", "90")},
        flagged={key: _anomaly(key) for key in ("91", "3", "92")},
        accepted=500,
        truth={str(key): _planted(key) for key in (1, 2, 3, 4)},
        incidents=[_incident("a", "pattern", "distance is 0"), _incident("b", "single", "record 94")],
        of_record={"5": "a", "6": "a", "93": "a", "94": "b"},
        patterns={"5": "no distance", "6": "no distance"},
    )


def _incident(incident_id: str, kind: str, summary: str) -> Any:
    return SimpleNamespace(incident_id=incident_id, kind=kind, severity="critical", summary=summary)


def _said(results: run.Results) -> list[str]:
    lines: list[str] = []
    run.report(results, lambda text: lines.extend(text.splitlines()))
    return lines


# --- what is counted and told -----------------------------------------------------------------------------------------


def test_the_last_line_counts_the_planted_apart_from_the_others(results: run.Results) -> None:
    assert results.last_line() == (
        "demo: planted 4, caught 3 (quarantined 2, flagged 1), 2 other records flagged of 500 accepted"
    )


def test_every_record_is_told_with_its_reason(results: run.Results) -> None:
    said = _said(results)
    (flagged,) = [line for line in said if line.split()[:1] == ["3"]]
    assert "distance in kilometres" in flagged and "distance 1609 (expected 1001)" in flagged
    (other,) = [line for line in said if line.split()[:1] == ["91"]]
    assert other.split() == ["91", "distance", "1609", "(expected", "1001)"]
    assert sum("carrier null of" in line for line in said) == 3
    assert "Not planted: 1 quarantined, 2 flagged" in said


def test_incidents_are_told_with_what_was_planted_in_them(results: run.Results) -> None:
    said = _said(results)
    at = said.index("Incidents in 2013-02-01: 1")
    assert said[at + 1 : at + 4] == [
        "  critical: distance is 0",
        "    planted: 2 no distance, 1 not planted",
        "  and 1 single records",
    ]


def test_a_missed_record_is_not_hidden(results: run.Results) -> None:
    said = _said(results)
    assert "Missed: 1 planted records" in said
    (missed,) = [line for line in said if line.split()[:1] == ["4"]]
    assert "distance 1609 (was 1000)" in missed


# --- one DAG run ------------------------------------------------------------------------------------------------------


@dataclass
class FakeDag:
    """A DAG whose run ends as it is told, with the outcome of its first task."""

    dag_id: str
    outcome: dict[str, Any] | None
    error: BaseException | None = None
    asked: list[Any] = field(default_factory=list)
    tasks: list[Any] = field(default_factory=lambda: [SimpleNamespace()])

    @property
    def roots(self) -> list[Any]:
        return [SimpleNamespace(task_id=self.dag_id.split("_")[0])]

    def test(self, run_conf: dict[str, str]) -> Any:
        self.asked.append(run_conf)
        if self.error:
            for callback in self.tasks[0].on_failure_callback:
                callback({"exception": self.error})
        instances = {self.roots[0].task_id: SimpleNamespace(xcom_pull=lambda task_ids: self.outcome)}
        return SimpleNamespace(state="failed" if self.error else "success", get_task_instance=instances.get)


def _outcome(**counts: int) -> dict[str, Any]:
    return {"counts": counts, "message": "3 records read", "warnings": ["the mean is high"]}


def test_a_dag_run_is_told_and_gives_its_counts(capsys: pytest.CaptureFixture[str]) -> None:
    dag: Any = FakeDag("validate_flights", _outcome(read=3))
    assert run.run_dag(dag, "2013-01-29", print) == {"read": 3}
    assert dag.asked == [{"partition": "2013-01-29"}]
    told, warning = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"validate_flights +2013-01-29 +success +\d+\.\d  3 records read", told)
    assert warning == "  warning: the mean is high"


@pytest.mark.parametrize(
    ("error", "reason"), [(ValueError("no such column"), "no such column"), (KeyboardInterrupt(), "KeyboardInterrupt")]
)
def test_a_dag_run_that_fails_ends_the_demo_with_its_reason(error: BaseException, reason: str) -> None:
    dag: Any = FakeDag("score_flights", None, error)
    with pytest.raises(FailedMachinery, match=f"^score_flights failed: {reason}$"):
        run.run_dag(dag, "2013-01-29", print)


# --- the process ------------------------------------------------------------------------------------------------------


def test_a_failure_is_told_with_the_log_and_ends_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(home: Path, model: str | None, say: Callable[..., None]) -> run.Results:
        os.write(1, b"a library talks\n")
        raise FailedMachinery("score_flights 2013-01-29: the disk is full")

    monkeypatch.setenv("TABLEWATCH_HOME", str(tmp_path))
    monkeypatch.setattr(run, "run", fail)
    assert run.main([]) == 1
    log = tmp_path / "demo.log"
    assert capfd.readouterr().err == f"score_flights 2013-01-29: the disk is full\nmore in {log}\n"
    assert log.read_text() == "a library talks\n"


def test_only_our_words_reach_the_screen(tmp_path: Path) -> None:
    script = f"""
import os, sys
from pathlib import Path
from demo.run import only_our_words
with only_our_words(Path({str(tmp_path)!r}) / "folder" / "log") as screen:
    print("noise of python")
    os.system("echo noise of another process; echo and its errors >&2")
    print("our words", file=screen)
print("after")
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=REPO, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("our words\nafter\n", "")
    log = (tmp_path / "folder" / "log").read_text()
    assert sorted(log.splitlines()) == ["and its errors", "noise of another process", "noise of python"]


def test_another_model_changes_the_model_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TABLEWATCH_STORE_URL", "postgresql://warehouse.example/production")
    monkeypatch.setenv("TABLEWATCH_MONITORS", "elsewhere")
    run.choose_monitors(tmp_path, "vae")
    assert os.environ["TABLEWATCH_MONITORS"] == str(tmp_path / "monitors")
    assert "TABLEWATCH_STORE_URL" not in os.environ
    ours = monitor.find("flights", REPO / "monitors")
    training = ours.training.model_copy(update={"model": "vae"})
    assert monitor.find("flights", tmp_path / "monitors") == ours.model_copy(update={"training": training})


# --- the whole --------------------------------------------------------------------------------------------------------


def _demo(home: Path, *arguments: str) -> list[str]:
    """What the demo prints, lines. It must end well, and say nothing but that."""
    done = subprocess.run(
        [sys.executable, "-m", "demo.run", *arguments],
        cwd=REPO,
        env={**os.environ, "TABLEWATCH_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout.splitlines()


def _counts(said: list[str]) -> tuple[int, ...]:
    found = LAST_LINE.fullmatch(said[-1])
    assert found, said[-1]
    return tuple(int(count) for count in found.groups())


@pytest.mark.slow
def test_the_demo_catches_what_was_planted_and_again(tmp_path: Path) -> None:
    said = _demo(tmp_path)
    planted, caught, quarantined, flagged, others, accepted = _counts(said)
    assert (planted, caught) == (40, quarantined + flagged)
    assert caught >= 35
    assert others <= 0.01 * accepted
    runs = [line.split()[:3] for line in said if re.match(r"(retrain|validate|score)_flights ", line)]
    nights = [[f"{kind}_flights", night, "success"] for night in run.SCORED for kind in ("validate", "score")]
    assert runs == [["retrain_flights", "2013-01-28", "success"], *nights]
    assert "Incidents in 2013-02-01: 3" in said
    for pattern, column, segment in (
        ("30 air times of carrier EV in seconds", "air_time", "carrier EV"),
        ("30 no distance from JFK to LAX", "distance", "dest LAX and origin JFK"),
        ("times of airport LGA twelve hours off", "time", "origin LGA"),
    ):
        (told,) = (said[at - 1] for at, line in enumerate(said) if "planted: " in line and pattern in line)
        assert column in told and segment in told
    again = _demo(tmp_path)
    assert _counts(again) == _counts(said)
    (retraining,) = [line.split()[:3] for line in again if line.startswith("retrain_flights")]
    assert retraining == ["retrain_flights", "2013-01-28", "kept"]


@pytest.mark.slow
@pytest.mark.parametrize("model", sorted(set(run.MODELS) - {"ensemble"}))
def test_the_demo_runs_with_each_model(model: str, tmp_path: Path) -> None:
    planted, caught, *_ = _counts(_demo(tmp_path, "--model", model))
    assert planted == 40
    assert caught > planted // 2
    assert (tmp_path / model / "store.db").exists()
