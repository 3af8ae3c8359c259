"""The detector: fit on normal records, score new ones, explain the flagged; saved as numbers and JSON."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pyarrow as pa

from models import Spec
from pipeline.calibration import Conformal, TailSurprise
from pipeline.detector.events import event_surprises, floors_of
from pipeline.detector.memory import Memory
from pipeline.detector.network import Network, Progress
from pipeline.detector.screen import FEWEST_COLUMNS, Screen
from pipeline.detector.trimming import trimmed
from pipeline.detector.voices import ColumnVoice, MemoryVoice, fused
from pipeline.encoding import EVENTS, Encoded, Encoder
from pipeline.errors import RefusedData
from pipeline.monitor import Kind

FOLDS = 2
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
    ) -> None:
        self.model = model
        self.kinds = dict(kinds or {})
        self.anchor = anchor
        self.seed = seed
        self.trim = trim
        self.sensitive = sensitive

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
        specs = _specs(self.model, self.encoder)
        kept, distrust = self._trimmed(matrix, specs[0], decreed)
        networks = [
            Network.fit(
                spec,
                matrix[kept],
                folds[kept],
                self.seed,
                _part_of(progress, at, len(specs)),
                None if weights is None else weights[kept],
            )
            for at, spec in enumerate(specs)
        ]
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
        self._calibrate(networks, memory, matrix[held_out], folds[held_out], own[held_out], floors)
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
        if self.model == "ensemble" and self.network.spec.column_count >= FEWEST_COLUMNS:
            self.screen = Screen.fit(self.network, matrix, folds, remembers, self.seed)
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
            arrays |= {f"weight_{at}_{i:05d}": w for i, w in enumerate(voice.network.weights)}
            arrays |= {f"{name}_{at}": array for name, array in voice.to_arrays().items()}
        if self.memory is not None:
            arrays |= {"memory": self.memory.memory.rows, "distrust": self.memory.memory.distrust}
            arrays["distance"] = self.memory.distance.to_array()
        if self.screen is not None:
            arrays |= {f"screen_{name}": array for name, array in self.screen.to_arrays().items()}
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
        own = {name.removeprefix("screen_"): arrays[name] for name in arrays if name.startswith("screen_")}
        detector.screen = Screen.from_arrays(detector.network, own) if own else None
        return detector


def _specs(model: str, encoder: Encoder) -> list[Spec]:
    """The networks of a model: on a table of numbers the ensemble has a blunt one, and a memory, beside the first.

    Sizes by the width of the record: the code is a quarter of the encoded width, 2 to 16.
    """
    widths, levels = zip(*encoder.cells, strict=True)
    shape = (tuple(widths), tuple(levels), tuple(encoder.column_of_cell))
    if model == "ensemble":
        scaled = Spec(model, *shape, members=FOLDS, hidden=128, scaled=True)
        return [scaled, replace(scaled, scaled=False, blunt=True)] if scaled.numbers_only else [scaled]
    inputs = sum(level or width for width, level in encoder.cells)
    return [Spec(model, *shape, members=FOLDS, hidden=40, code=min(max(round(inputs / 4), 2), 16))]


def _restored(spec: Spec, at: int, arrays: Mapping[str, np.ndarray]) -> Network:
    return Network.restored(spec, [arrays[name] for name in sorted(arrays) if name.startswith(f"weight_{at}_")])


def _part_of(progress: Progress | None, at: int, networks: int) -> Progress | None:
    """Progress of one network of several, as progress of the whole."""
    return progress and (lambda share, words: progress((at + share) / networks, words))
