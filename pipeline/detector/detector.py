"""The detector: fit on normal records, score new ones, explain the flagged; saved as numbers and JSON."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa

from models import Spec
from pipeline.calibration import Conformal, TailSurprise
from pipeline.detector.events import event_surprises, floors_of
from pipeline.detector.memory import Memory
from pipeline.detector.network import Network, Progress
from pipeline.detector.screen import Screen
from pipeline.detector.sizes import FOLDS, is_screened, of_screen, specs_of
from pipeline.detector.trimming import trimmed
from pipeline.detector.voices import ColumnVoice, MemoryVoice, fused
from pipeline.encoding import EVENTS, Encoded, Encoder
from pipeline.errors import RefusedData
from pipeline.monitor import Kind

EVERY_FOLD = -1
CALIBRATION_RECORDS = 50_000
MEMORY_RECORDS = 5_000
FEWEST_RECORDS = 20
UNSEEN = EVENTS.index("unseen_category")
MARGIN, LEAST_MEASURED, MOST_MEASURED = 10.0, 0.02, 0.2
"""Measured in full is what the screen finds at most so many times as probable as the rate that is asked for, no fewer
records than the least share and, where it would be more than the most, all: then the screen would save nothing."""


@dataclass(frozen=True)
class Scores:
    """Scores of some records: `score` and `p_value` float64 (n,), `surprise` float64 (n, columns) in nats.

    `events` is bool (n, columns, len(EVENTS)), `matrix` the encoded records, float32 (n, slots).
    """

    score: np.ndarray
    p_value: np.ndarray
    surprise: np.ndarray
    events: np.ndarray
    matrix: np.ndarray

    def take(self, rows: np.ndarray) -> Scores:
        """The scores of the records at `rows` (k,), in that order."""
        return Scores(*(getattr(self, each.name)[rows] for each in fields(self)))


class Detector:
    """Learns what normal records of a table look like and how far new ones are from that.

    `model` is "ensemble", "autoencoder" or "vae". `kinds` overrides the inferred kinds of columns; `anchor` names the
    partition column, from which datetimes are counted and which is not scored. `trim` sets aside what looks like an
    anomaly before fitting, which helps in a dirty window and costs something in a clean one. Of `sensitive` columns the
    state keeps no value: categories as digests, numbers of remembered records to a tenth of a standard deviation.
    `own_screen` gives the ensemble's screen a network of its own, half as wide: it pays where nights are large.
    """

    encoder: Encoder
    voices: list[ColumnVoice]
    memory: MemoryVoice | None
    screen: Screen | None
    rare: np.ndarray
    floors: np.ndarray
    calibration: Conformal

    def __init__(
        self,
        model: str = "ensemble",
        kinds: Mapping[str, Kind] | None = None,
        anchor: str | None = None,
        seed: int = 0,
        trim: bool = False,
        sensitive: Collection[str] = (),
        own_screen: bool = False,
    ) -> None:
        self.model = model
        self.kinds = dict(kinds or {})
        self.anchor = anchor
        self.seed = seed
        self.trim = trim
        self.sensitive = sensitive
        self.own_screen = own_screen

    def fit(self, table: pa.Table, progress: Progress | None = None, weights: np.ndarray | None = None) -> Detector:
        """Fit on the accepted records of `table`. Raises RefusedData on too few records or a training that diverges.

        `weights`, float64 (n,), are 1 but for records that are normal by decree: one above 1 says how much more often
        the record is drawn. All networks train on it and the memory keeps it, so it takes no part in the calibration.
        """
        if table.num_rows < FEWEST_RECORDS:
            raise RefusedData(f"{table.num_rows} records are too few to learn from; {FEWEST_RECORDS} are the least")
        self.encoder = Encoder.fit(table, self.kinds, self.anchor, self.sensitive)
        matrix = self.encoder.encode(table).matrix
        decreed = np.zeros(len(matrix), dtype=bool) if weights is None else weights > 1
        draw = np.random.default_rng(self.seed)
        folds = np.where(decreed, EVERY_FOLD, draw.permutation(len(matrix)) % FOLDS)
        specs = specs_of(self.model, self.encoder)
        kept, distrust = self._trimmed(matrix, specs[0], decreed)
        own_screen = self.own_screen and is_screened(specs[0])

        def trained(at: int, spec: Spec, purpose: str | None = None) -> Network:
            part = _part_of(progress, at, len(specs) + own_screen)
            weighted = None if weights is None else weights[kept]
            return Network.fit(spec, matrix[kept], folds[kept], self.seed, part, weighted, purpose)

        networks = [trained(at, spec) for at, spec in enumerate(specs)]
        quick = trained(len(specs), of_screen(specs[0]), "screen") if own_screen else None
        drawn = draw.permutation(kept)
        remembered = np.sort(drawn[np.argsort(~decreed[drawn], kind="stable")][:MEMORY_RECORDS])
        own = np.full(len(matrix), -1)
        own[remembered] = np.arange(len(remembered))
        # Among categories the nearest record is far for many a normal one, and its voice drowns a broken relation.
        far = None if distrust is None else distrust[remembered]
        memory = Memory(self._as_kept(matrix[remembered]), specs[0], far) if len(specs) > 1 else None
        ranked = draw.permutation(len(matrix))
        held_out = np.sort(ranked[~decreed[ranked]][:CALIBRATION_RECORDS])
        self.rare, floors = event_surprises(self.encoder, table.take(pa.array(held_out)), folds[held_out])
        self._calibrate(networks, quick, memory, matrix[held_out], folds[held_out], own[held_out], floors)
        return self

    def _trimmed(self, matrix: np.ndarray, spec: Spec, decreed: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Which records are fitted on (k,), and how little each is trusted as a neighbour (n,), None where all are."""
        if not self.trim:
            return np.arange(len(matrix)), None
        kept, distrust = trimmed(matrix, spec, self.seed)
        return np.union1d(kept, np.flatnonzero(decreed)), np.where(decreed, 0.0, distrust)

    def _as_kept(self, rows: np.ndarray) -> np.ndarray:
        """Encoded records (n, slots) with the cells of sensitive columns rounded to a tenth."""
        names = list(self.encoder.columns)
        for cell, start, column in zip(
            self.encoder.cells, self.encoder.starts, self.encoder.column_of_cell, strict=True
        ):
            if names[column] in self.sensitive:
                rows[:, start : start + cell.width] = rows[:, start : start + cell.width].round(1)
        return rows

    def _calibrate(
        self,
        networks: list[Network],
        quick: Network | None,
        memory: Memory | None,
        matrix: np.ndarray,
        folds: np.ndarray,
        own: np.ndarray,
        rarest: np.ndarray,
    ) -> None:
        fitted = [ColumnVoice.fit(network, matrix, folds) for network in networks]
        self.voices = [voice for voice, _ in fitted]
        self.memory, remembers = MemoryVoice.fit(memory, matrix, own) if memory else (None, None)
        scores = fused([surprise for _, surprise in fitted], remembers)
        self.screen = None
        if is_screened(self.network.spec):
            self.screen = Screen.fit(quick or self.network, matrix, folds, remembers, self.seed, own=quick is not None)
        self.calibration = Conformal.fit(np.maximum(scores, floors_of(Conformal.fit(scores), rarest)))
        self.floors = floors_of(self.calibration, self.rare)

    @property
    def network(self) -> Network:
        """The network by which records are repaired: the first, which learns scales."""
        return self.voices[0].network

    def score(self, table: pa.Table, rate: float | None = None) -> Scores:
        """Score the records of `table`, each whatever the others are. Raises KeyError on a missing column.

        With `rate`, a record that the screen finds far more probable than that is not measured further: its score is
        that of the held-out records which are as probable, and nothing is said of its columns.
        """
        return self.score_encoded(self.encoder.encode(table), rate)

    def score_encoded(self, encoded: Encoded, rate: float | None = None) -> Scores:
        """Score records that are encoded already."""
        share = 1.0 if rate is None else max(LEAST_MEASURED, MARGIN * rate)
        if self.screen is None or share > MOST_MEASURED:
            return self._measured(encoded)
        p_value = self.screen.p_values(encoded.matrix, self.memory)
        floor = self._floor(encoded.events)
        score = np.maximum(self.calibration.score_at(p_value), floor)
        surprise = np.zeros((len(score), len(self.encoder.columns)))
        suspect = np.flatnonzero((p_value <= share) | (floor >= self.threshold(share)))
        measured = self._measured(Encoded(encoded.matrix[suspect], encoded.events[suspect]))
        score[suspect], surprise[suspect] = measured.score, measured.surprise
        return Scores(score, self._p_values(score), surprise, encoded.events, encoded.matrix)

    def glance(self, matrix: np.ndarray) -> np.ndarray:
        """How surprising each column of records (n, slots) is by the fewest passes there are, float64 (n, columns)."""
        return np.asarray(np.mean([voice.surprises(matrix).mean(axis=1) for voice in self._quickest], axis=0))

    def loudness(self, matrix: np.ndarray) -> np.ndarray:
        """How surprising records (n, slots) are as wholes by the fewest passes there are, float64 (n,)."""
        return np.asarray(np.mean([voice(voice.surprises(matrix)) for voice in self._quickest], axis=0))

    @property
    def _quickest(self) -> list[ColumnVoice]:
        return self.voices if self.screen is None else [self.screen.voice]

    def _measured(self, encoded: Encoded) -> Scores:
        """The scores of records, every column of which is hidden in turn."""
        if len(encoded.matrix) == 0:
            nothing = np.zeros(0)
            return Scores(nothing, nothing, np.zeros((0, len(self.encoder.columns))), encoded.events, encoded.matrix)
        # Of a value that was never seen the model knows nothing: only how often such values come counts.
        unseen = encoded.events[:, None, :, UNSEEN]
        surprises = [np.where(unseen, 0.0, voice.surprises(encoded.matrix)) for voice in self.voices]
        columns = [voice(surprise) for voice, surprise in zip(self.voices, surprises, strict=True)]
        score = fused(columns, self.memory(encoded.matrix) if self.memory else None)
        score = np.maximum(score, self._floor(encoded.events))
        modelled = np.mean([each.mean(axis=1) for each in surprises], axis=0)
        surprise = np.maximum(modelled, np.where(encoded.events, self.rare, 0.0).max(axis=2))
        return Scores(score, self._p_values(score), surprise, encoded.events, encoded.matrix)

    def _floor(self, events: np.ndarray) -> np.ndarray:
        """The least score that the events (n, columns, EVENTS) of each record allow it, float64 (n,)."""
        floor = np.full(len(events), -np.inf)
        some = np.flatnonzero(events.any(axis=(1, 2)))
        floor[some] = np.where(events[some], self.floors, -np.inf).max(axis=(1, 2))
        return floor

    def _p_values(self, score: np.ndarray) -> np.ndarray:
        """Conformal p-values; where ranks end the fitted tail goes on."""
        return self.calibration.p_values(score)

    def threshold(self, rate: float) -> float:
        """The least score that is flagged at `rate`: by rank, or by the fitted tail where ranks are few or none."""
        return self.calibration.threshold(rate)

    def to_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Everything that scoring needs: a JSON value and plain arrays."""
        state = {
            "model": self.model,
            "seed": self.seed,
            "trim": self.trim,
            "kinds": self.kinds,
            "encoder": self.encoder.to_state(),
            "specs": [voice.network.spec.to_state() for voice in self.voices],
        }
        arrays = {"calibration": self.calibration.scores, "rare": self.rare, "floors": self.floors}
        for at, voice in enumerate(self.voices):
            arrays |= _weights(voice.network, at)
            arrays |= {f"{name}_{at}": array for name, array in voice.to_arrays().items()}
        if self.memory is not None:
            arrays |= {"memory": self.memory.memory.rows, "distrust": self.memory.memory.distrust}
            arrays["distance"] = self.memory.distance.to_array()
        if self.screen is not None:
            arrays |= {f"screen_{name}": array for name, array in self.screen.to_arrays().items()}
            if self.screen.own:
                state["screen"] = self.screen.voice.network.spec.to_state()
                arrays |= _weights(self.screen.voice.network, "screen")
        return state, arrays

    @classmethod
    def from_state(cls, state: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> Detector:
        """The detector that `to_state` described; the graph comes from `models.build`, only numbers from the arrays."""
        encoder = Encoder.from_state(state["encoder"])
        detector = cls(state["model"], state["kinds"], encoder.anchor, state["seed"], state["trim"])
        detector.encoder = encoder
        detector.rare = arrays["rare"]
        detector.floors = arrays["floors"]
        detector.calibration = Conformal(arrays["calibration"])
        detector.voices = [
            ColumnVoice.from_arrays(
                _restored(Spec.from_state(spec), at, arrays),
                {name: arrays[f"{name}_{at}"] for name in ("cells", "loudness")},
            )
            for at, spec in enumerate(state["specs"])
        ]
        detector.memory = None
        if "memory" in arrays:
            memory = Memory(arrays["memory"], detector.network.spec, arrays["distrust"])
            detector.memory = MemoryVoice(memory, TailSurprise.from_array(arrays["distance"]))
        screen = {name.removeprefix("screen_"): arrays[name] for name in arrays if name.startswith("screen_")}
        own = _restored(Spec.from_state(state["screen"]), "screen", arrays) if "screen" in state else None
        network = own or detector.network
        detector.screen = Screen.from_arrays(network, screen, own is not None) if screen else None
        return detector


def _weights(network: Network, name: int | str) -> dict[str, np.ndarray]:
    return {f"weight_{name}_{i:05d}": weight for i, weight in enumerate(network.weights)}


def _restored(spec: Spec, name: int | str, arrays: Mapping[str, np.ndarray]) -> Network:
    return Network.restored(spec, [arrays[each] for each in sorted(arrays) if each.startswith(f"weight_{name}_")])


def _part_of(progress: Progress | None, at: int, networks: int) -> Progress | None:
    """Progress of one network of several, as progress of the whole."""
    return progress and (lambda share, words: progress((at + share) / networks, words))
