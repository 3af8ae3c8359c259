"""The detector: fit on normal records, score new ones, explain the flagged; saved as numbers and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from models import Spec, build
from pipeline.calibration import Conformal, TailSurprise, log_sum_exp
from pipeline.detector.memory import Memory
from pipeline.detector.network import Network, Progress
from pipeline.encoding import EVENTS, Encoded, Encoder
from pipeline.errors import RefusedData
from pipeline.monitor import Kind

CALIBRATION_RECORDS = 50_000
MEMORY_RECORDS = 5_000
FEWEST_RECORDS = 20
UNSEEN = EVENTS.index("unseen_category")


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


class Detector:
    """Learns what normal records of a table look like and how far new ones are from that.

    `model` is "ensemble", "autoencoder" or "vae". `kinds` overrides the inferred kinds of columns; `anchor` names the
    partition column, from which datetimes are counted and which is not scored.
    """

    encoder: Encoder
    network: Network
    memory: Memory | None
    cells: list[TailSurprise]
    voices: list[TailSurprise]
    final: TailSurprise
    calibration: Conformal
    held_out: int

    def __init__(
        self, model: str = "ensemble", kinds: Mapping[str, Kind] | None = None, anchor: str | None = None, seed: int = 0
    ) -> None:
        self.model = model
        self.kinds = dict(kinds or {})
        self.anchor = anchor
        self.seed = seed

    def fit(self, table: pa.Table, progress: Progress | None = None) -> Detector:
        """Fit on the accepted records of `table`. Raises RefusedData on too few records or a training that diverges."""
        if table.num_rows < FEWEST_RECORDS:
            raise RefusedData(f"{table.num_rows} records are too few to learn from; {FEWEST_RECORDS} are the least")
        self.encoder = Encoder.fit(table, self.kinds, self.anchor)
        matrix = self.encoder.encode(table).matrix
        draw = np.random.default_rng(self.seed)
        spec = _spec(self.model, self.encoder)
        folds = draw.permutation(len(matrix)) % spec.members
        self.network = Network.fit(spec, matrix, folds, self.seed, progress)
        remembered = np.sort(draw.permutation(len(matrix))[:MEMORY_RECORDS])
        # Among categories the nearest record is far for many a normal one, and its voice drowns a broken relation.
        remembers = self.model == "ensemble" and not spec.category_cells
        self.memory = Memory(matrix[remembered], spec) if remembers else None
        held_out = np.sort(draw.permutation(len(matrix))[:CALIBRATION_RECORDS])
        own = np.full(len(matrix), -1)
        own[remembered] = np.arange(len(remembered))
        self._calibrate(matrix[held_out], folds[held_out], own[held_out])
        return self

    def _calibrate(self, matrix: np.ndarray, folds: np.ndarray, own: np.ndarray) -> None:
        self.held_out = len(matrix)
        errors = self.network.errors(matrix, folds)
        self.cells = [TailSurprise.fit(column) for column in errors.T]
        voices = self._voices(matrix, self._surprise(errors), own)
        self.voices = [TailSurprise.fit(voice) for voice in voices]
        scores = self._fuse(voices)
        self.final = TailSurprise.fit(scores)
        self.calibration = Conformal.fit(scores)

    def score(self, table: pa.Table) -> Scores:
        """Score the records of `table`, each whatever the others are. Raises KeyError on a missing column."""
        return self.score_encoded(self.encoder.encode(table))

    def score_encoded(self, encoded: Encoded) -> Scores:
        """Score records that are encoded already."""
        if len(encoded.matrix) == 0:
            nothing = np.zeros(0)
            return Scores(nothing, nothing, np.zeros((0, len(self.encoder.columns))), encoded.events, encoded.matrix)
        rare = np.where(encoded.events, -np.log(self.encoder.rarities()), 0.0)
        # Of a value that was never seen the model knows nothing: only how often such values come counts.
        modelled = np.where(encoded.events[:, :, UNSEEN], 0.0, self._surprise(self.network.errors(encoded.matrix)))
        surprise = np.maximum(modelled, rare.max(axis=2))
        rarest = rare.max(axis=(1, 2))
        floor = np.where(rarest > 0, self.final.inverse(rarest), -np.inf)
        score = np.maximum(self._fuse(self._voices(encoded.matrix, surprise)), floor)
        return Scores(score, self._p_values(score), surprise, encoded.events, encoded.matrix)

    def _p_values(self, score: np.ndarray) -> np.ndarray:
        """Conformal p-values; above the largest held-out score the fitted tail goes on where ranks end."""
        beyond = score > self.calibration.scores[-1]
        ranked = self.calibration.p_values(score)
        return np.where(beyond, np.minimum(ranked, np.exp(-self.final(score))), ranked)

    def threshold(self, rate: float) -> float:
        """The score from which records are flagged at `rate`: by rank, or by the fitted tail beyond all ranks."""
        if len(self.calibration.scores) >= Conformal.records_needed(rate):
            return self.calibration.threshold(rate)
        return max(float(self.final.inverse(np.array(-np.log(rate)))), float(self.calibration.scores[-1]))

    def _surprise(self, errors: np.ndarray) -> np.ndarray:
        """(n, columns): the surprise of each column is that of its most surprising cell."""
        by_column = np.zeros((len(errors), len(self.encoder.columns)))
        for cell, column in enumerate(self.network.spec.columns):
            surprise = self.cells[cell](errors[:, cell])
            if self.network.spec.levels[cell]:
                # Beyond the last rank a level is no more improbable than the model says, whose error is in nats.
                surprise = np.minimum(surprise, np.maximum(errors[:, cell], np.log(self.held_out)))
            by_column[:, column] = np.maximum(by_column[:, column], surprise)
        return by_column

    def _voices(self, matrix: np.ndarray, surprise: np.ndarray, own: np.ndarray | None = None) -> list[np.ndarray]:
        """What speaks for an anomaly: the loudest column, and the distance to the nearest remembered record."""
        loudest = log_sum_exp(surprise)
        return [loudest] if self.memory is None else [loudest, self.memory.distances(matrix, own)]

    def _fuse(self, voices: list[np.ndarray]) -> np.ndarray:
        return log_sum_exp(np.stack([tail(v) for tail, v in zip(self.voices, voices, strict=True)], axis=1))

    def to_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Everything that scoring needs: a JSON value and plain arrays."""
        state = {
            "model": self.model,
            "seed": self.seed,
            "kinds": self.kinds,
            "encoder": self.encoder.to_state(),
            "spec": self.network.spec.to_state(),
        }
        arrays = {f"weight_{i:05d}": w for i, w in enumerate(self.network.model.get_weights())}
        arrays["cells"] = np.stack([tail.to_array() for tail in self.cells])
        arrays["voices"] = np.stack([tail.to_array() for tail in [*self.voices, self.final]])
        arrays["calibration"] = self.calibration.scores
        if self.memory is not None:
            arrays["memory"] = self.memory.rows
        return state, arrays

    @classmethod
    def from_state(cls, state: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> Detector:
        """The detector that `to_state` described; the graph comes from `models.build`, only numbers from the arrays."""
        encoder = Encoder.from_state(state["encoder"])
        detector = cls(state["model"], state["kinds"], encoder.anchor, state["seed"])
        detector.encoder = encoder
        spec = Spec.from_state(state["spec"])
        model = build(spec)
        model.set_weights([arrays[name] for name in sorted(arrays) if name.startswith("weight_")])
        detector.network = Network(spec, model)
        detector.memory = Memory(arrays["memory"], spec) if "memory" in arrays else None
        detector.cells = [TailSurprise.from_array(a) for a in arrays["cells"]]
        *detector.voices, detector.final = [TailSurprise.from_array(a) for a in arrays["voices"]]
        detector.calibration = Conformal(arrays["calibration"])
        detector.held_out = len(detector.calibration.scores)
        return detector


def _spec(model: str, encoder: Encoder) -> Spec:
    """Sizes by the width of the record: the code is a quarter of the encoded width, 2 to 16."""
    widths, levels = zip(*encoder.cells, strict=True)
    shape = (tuple(widths), tuple(levels), tuple(encoder.column_of_cell))
    if model == "ensemble":
        return Spec(model, *shape, hidden=128, scaled=True)
    inputs = sum(level or width for width, level in encoder.cells)
    return Spec(model, *shape, hidden=40, code=min(max(round(inputs / 4), 2), 16))
