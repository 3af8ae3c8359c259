"""After the champion was changed by hand: what the champions before have scored, and scoring it again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.errors import RefusedData
from pipeline.settings import Settings
from pipeline.steps.house import House, Outcome
from pipeline.steps.nightly import score


def left_behind(name: str, settings: Settings | None = None) -> list[str]:
    """The partitions that were scored last by a version that the champion has taken over from, sorted.

    Those are the versions promoted since the champion first was, or the one before it where there is none. What is
    scored again is of the champion, so the list grows shorter, and nothing is scored twice when a rescoring broke off.
    """
    house = House(settings)
    house.champion(house.monitor(name))
    before = set(house.store.superseded(name))
    states = house.store.partition_states(name)
    return [each.partition for each in states if each.scored_at is not None and each.model_version in before]


def rescore(name: str, partitions: Sequence[str], settings: Settings | None = None) -> Iterator[Outcome | RefusedData]:
    """Score some partitions with the champion, in order, and tell nobody; a refused one does not stop the rest."""
    for partition in sorted(partitions):
        try:
            yield score(name, partition, settings, alerts=False)
        except RefusedData as refusal:
            yield refusal
