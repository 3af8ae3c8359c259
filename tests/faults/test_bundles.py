"""A champion's bundle flipped, cut, swapped or gone on the disk: nothing is scored with it, and the way back works."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from night_house import NightHouse

pytestmark = pytest.mark.fault

NIGHT = ("--partition", "2013-02-03")
MEND = "; go back with `tablewatch rollback nights` or train anew with `tablewatch train nights`\n"
DIFFERS = "is not the one that was saved: its SHA-256 differs"


def flip(bundle: Path) -> None:
    content = bytearray(bundle.read_bytes())
    content[len(content) // 2] ^= 1
    bundle.write_bytes(content)


def cut(bundle: Path) -> None:
    bundle.write_bytes(bundle.read_bytes()[:-1])


def swap(bundle: Path) -> None:
    other = next(path for path in bundle.parent.glob("*.npz") if path != bundle)
    bundle.write_bytes(other.read_bytes())


def remove(bundle: Path) -> None:
    bundle.unlink()


@pytest.fixture(scope="session")
def trained_twice(trained: NightHouse, tablewatch, tmp_path_factory: pytest.TempPathFactory) -> NightHouse:
    """A house with a champion and the one before it; for others to move into, not to be touched."""
    house = NightHouse(tmp_path_factory.mktemp("trained_twice"))
    house.build()
    house.move_in(trained)
    code, said = tablewatch(house, "train", "nights", "--seed", "1")
    assert code == 0, said
    return house


@pytest.mark.parametrize("empty", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("harm", "why"), [(flip, DIFFERS), (cut, DIFFERS), (swap, DIFFERS), (remove, "is missing")])
def test_p22_a_harmed_bundle_scores_nothing(
    empty: NightHouse, trained_twice: NightHouse, tablewatch, harm: Callable[[Path], None], why: str
) -> None:
    house = empty
    house.move_in(trained_twice)
    before = house.state()
    harm(house.home / "bundles" / "nights" / f"{before.champion}.npz")
    said = f"error: nights: bundle {before.champion} {why}{MEND}"
    assert tablewatch(house, "score", "nights", *NIGHT) == (1, said)
    assert tablewatch(house, "run", "nights", *NIGHT) == (1, said)
    assert tablewatch(house, "promote", "nights", before.champion) == (1, said)
    harmed = house.state()
    assert harmed.seen == before.seen
    assert harmed.runs[len(before.runs) :] == (("score", "failed"), ("run", "failed"))
    assert tablewatch(house, "rollback", "nights")[0] == 0
    assert tablewatch(house, "score", "nights", *NIGHT)[0] == 0
    assert house.state().results == before.results
