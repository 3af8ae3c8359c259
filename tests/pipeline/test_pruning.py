"""`tablewatch prune`: bundles go after the rows that know them, and a person sees what went."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from command_line import call, value
from small_house import SmallHouse, anomaly

from pipeline import steps
from pipeline.errors import ConfigurationError
from pipeline.registry import Registry
from pipeline.store import Store, pruning

OLD, NEW = "2011-12-30", "2013-02-03"
COMPANION = f".codes-8.{'0' * 64}.npz"


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallHouse:
    house = SmallHouse(tmp_path, monkeypatch)
    for night in (OLD, NEW):
        house.score(night, [anomaly("1")])
    monkeypatch.setattr(pruning, "YOUNG", pruning.YOUNG * 0)
    return house


def bundle(house: SmallHouse, through: str, seed: int, age: float = 2.0) -> Path:
    """A bundle written so many days ago, which the store knows nothing of."""
    registry = Registry(house.folder / "home" / "bundles")
    path = registry.save("nights", through, {"seed": seed}, {"weights": np.zeros(3)}).path
    written = time.time() - age * 86_400
    os.utime(path, (written, written))
    return path


def test_a_bundle_goes_once_no_row_knows_it(house: SmallHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    champion = house.folder / "home" / "bundles" / "nights" / f"{house.train()}.npz"
    left = bundle(house, OLD, 1)
    companion = left.with_name(left.stem + COMPANION)
    companion.write_bytes(b"")
    os.utime(companion, (0, 0))
    kept = [bundle(house, OLD, 2, age=0.1), bundle(house, NEW, 3), left.with_name("notes.npz")]
    kept[2].write_bytes(b"")
    named = steps.prune(400, dry_run=True)
    assert left.exists() and companion.exists()
    (pruned,) = steps.prune(400)
    assert [pruned] == named
    assert pruned.bundles == (companion.name, left.name)
    assert not left.exists() and not companion.exists()
    assert all(path.exists() for path in (champion, *kept))


def test_p25_an_interruption_leaves_bundles_whose_rows_are_gone_for_the_next_time(
    house: SmallHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bundle(house, OLD, 1)
    from pipeline.store import TrainedModel

    window = (OLD, OLD, 1)
    house.store.add_model_version(TrainedModel("nights", path.stem, "", "ensemble", 1, *window, "", "", {}))
    seen: list[bool] = []

    def interrupted(*_: object) -> tuple[str, ...]:
        seen.append(path.exists())
        raise KeyboardInterrupt

    with monkeypatch.context() as now, pytest.raises(KeyboardInterrupt):
        now.setattr(Registry, "remove_unknown", interrupted)
        steps.prune(400)
    assert seen == [True]
    assert house.store.model_versions("nights") == []
    (again,) = steps.prune(400)
    assert (again.versions, again.bundles, path.exists()) == ((), (path.name,), False)


def test_rows_that_could_not_be_removed_keep_their_bundle(house: SmallHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    path = bundle(house, OLD, 1)
    monkeypatch.setattr(Store, "prune_versions", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        steps.prune(400)
    assert path.exists()


def test_what_a_person_and_a_program_see(house: SmallHouse) -> None:
    planned = call("prune", "--keep", "400d", "--dry-run")
    assert planned.stdout.splitlines()[-1] == "nothing was removed; to remove it: the same command without --dry-run"
    assert len(house.store.anomalies("nights")) == 2
    (pruned,) = value(call("prune", "--keep", "401d", "--monitor", "nights", "--json"))
    assert (pruned["kept_from"], pruned["partitions"]) == (OLD, [])
    shown = call("prune", "--keep", "400d")
    heading, row = shown.stdout.splitlines()
    assert heading.split()[:3] == ["monitor", "kept", "from"]
    assert row.split()[:5] == ["nights", "2011-12-31", "1", "1", "2"]
    assert [each.partition for each in house.store.anomalies("nights")] == [NEW]
    assert call("prune", "--keep", "400d").stdout == "nothing is that old\n"


@pytest.mark.parametrize("keep", ["400", "0d", "-1d", "d", "1.5d", "400 d", "999999d"])
def test_days_are_written_one_way(house: SmallHouse, keep: str) -> None:
    result = call("prune", "--keep", keep)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "write it as 400d" in result.stderr


def test_a_monitor_that_never_ran_is_an_error(house: SmallHouse) -> None:
    with pytest.raises(ConfigurationError, match="nihgts: never ran, .*did you mean 'nights'"):
        steps.prune(400, "nihgts")
