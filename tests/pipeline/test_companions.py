"""Companions: kept beside a champion's bundle, the first one stays, and a damaged one is not read."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ConfigurationError, CorruptBundle, FailedMachinery
from pipeline.registry import Registry

VERSION = "2013-02-03-0123abcd"
STATE = {"spec": {"code": 8}}
ARRAYS = {"weight": np.arange(6, dtype=np.float32).reshape(2, 3)}


@pytest.fixture
def bundles(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "bundles")


def only_file(tmp_path: Path) -> Path:
    (found,) = (tmp_path / "bundles" / "flights").iterdir()
    return found


def test_a_companion_comes_back_for_its_version_and_width_only(bundles: Registry) -> None:
    assert bundles.load_companion("flights", VERSION, 8) is None
    bundles.save_companion("flights", VERSION, 8, STATE, ARRAYS)
    state, arrays = bundles.load_companion("flights", VERSION, 8) or ({}, {})
    assert state == STATE
    np.testing.assert_array_equal(arrays["weight"], ARRAYS["weight"])
    assert bundles.load_companion("flights", VERSION, 2) is None
    assert bundles.load_companion("flights", "2013-02-03-0123abce", 8) is None
    assert bundles.load_companion("orders", VERSION, 8) is None


def test_the_first_companion_stays(bundles: Registry, tmp_path: Path) -> None:
    bundles.save_companion("flights", VERSION, 8, STATE, ARRAYS)
    first = only_file(tmp_path)
    bundles.save_companion("flights", VERSION, 8, STATE, {"weight": np.zeros(3)})
    assert only_file(tmp_path) == first


@pytest.mark.parametrize("later", [0, 1])
def test_of_two_that_were_trained_at_the_same_time_all_take_the_older(
    bundles: Registry, tmp_path: Path, later: int
) -> None:
    others = [Registry(tmp_path / f"other{each}") for each in range(2)]
    for each, other in enumerate(others):
        other.save_companion("flights", VERSION, 8, STATE, {"weight": np.full(1, each)})
    folder = tmp_path / "bundles" / "flights"
    folder.mkdir(parents=True)
    for each in range(2):
        (path,) = (tmp_path / f"other{each}" / "flights").iterdir()
        os.utime(path, (1_000 + (each == later),) * 2)
        path.rename(folder / path.name)
    _, arrays = bundles.load_companion("flights", VERSION, 8) or ({}, {})
    assert arrays["weight"].tolist() == [1 - later]


def test_a_damaged_companion_is_not_read_and_the_mend_is_named(bundles: Registry, tmp_path: Path) -> None:
    bundles.save_companion("flights", VERSION, 8, STATE, ARRAYS)
    path = only_file(tmp_path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        CorruptBundle, match=f"flights: companion {path.name} is not .*SHA-256 differs; delete {path}: "
    ):
        bundles.load_companion("flights", VERSION, 8)


def test_a_companion_that_is_no_bundle_is_refused_even_under_its_right_digest(
    bundles: Registry, tmp_path: Path
) -> None:
    import hashlib

    folder = tmp_path / "bundles" / "flights"
    folder.mkdir(parents=True)
    content = b"no zip at all"
    (folder / f"{VERSION}.codes-8.{hashlib.sha256(content).hexdigest()}.npz").write_bytes(content)
    with pytest.raises(CorruptBundle, match="cannot be read"):
        bundles.load_companion("flights", VERSION, 8)


def test_a_name_that_leads_elsewhere_is_refused(bundles: Registry) -> None:
    with pytest.raises(ConfigurationError, match="not a model version"):
        bundles.load_companion("flights", "../../etc", 8)
    with pytest.raises(ConfigurationError, match="not a monitor's name"):
        bundles.save_companion("../flights", VERSION, 8, STATE, ARRAYS)


def test_a_disk_that_refuses_leaves_nothing_behind(bundles: Registry, tmp_path: Path) -> None:
    (tmp_path / "bundles").mkdir()
    (tmp_path / "bundles" / "flights").write_text("a file where the folder should be")
    with pytest.raises(FailedMachinery, match="could not be written"):
        bundles.save_companion("flights", VERSION, 8, STATE, ARRAYS)
