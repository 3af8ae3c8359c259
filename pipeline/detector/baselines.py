"""What a model must not lose to: a Gaussian and the nearest neighbour, measured with it on the same canaries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.detector.canaries import Canaries, make_canaries
from pipeline.detector.detector import Detector
from pipeline.detector.points import one_hot
from pipeline.detector.reasons import explain
from pipeline.encoding import Encoder

CANARIES = 200
FEWEST_CONTROLS = 10
RATE = 0.01
BASELINE_RECORDS = 20_000
REACH = 10.0
METHODS = ("model", "gaussian", "nearest")


class Gaussian:
    """A normal distribution over encoded records, its covariance shrunk (Ledoit & Wolf 2004).

    The linear baseline: it knows how columns move together in proportion, and nothing else.
    """

    def __init__(self, rows: np.ndarray) -> None:
        from sklearn.covariance import LedoitWolf

        self._fitted = LedoitWolf(store_precision=False).fit(rows)
        # Where all columns are constant even the shrunk covariance is nothing; their scale is 1, so this is no spread.
        self._fitted.covariance_ = self._fitted.covariance_ + 1e-9 * np.eye(rows.shape[1])

    def score(self, rows: np.ndarray) -> np.ndarray:
        """The squared Mahalanobis distance of each row (n, width) from the mean, float64 (n,)."""
        return np.asarray(self._fitted.mahalanobis(rows))


class Nearest:
    """The distance to the nearest training record."""

    def __init__(self, rows: np.ndarray) -> None:
        from sklearn.neighbors import NearestNeighbors

        self._neighbours = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(rows)

    def score(self, rows: np.ndarray) -> np.ndarray:
        """The Euclidean distance of each row (n, width) to its nearest training row, float64 (n,)."""
        return np.asarray(self._neighbours.kneighbors(rows)[0][:, 0])


def plain(encoder: Encoder, table: pa.Table) -> np.ndarray:
    """Records as both baselines see them, float64 (n, width): numbers clipped, a missing one as 0, and one-hot levels.

    Beside the numbers of a column stands whether they are missing; a level that was never seen has a place of its own.
    These are no `points`: a covariance has to see what is missing, and weighs a level by how often it comes.
    """
    matrix = encoder.encode(table).matrix
    parts: list[np.ndarray] = []
    for index in range(len(encoder.columns)):
        cells = [cell for cell, column in enumerate(encoder.column_of_cell) if column == index]
        numbers = [
            matrix[:, encoder.starts[c] : encoder.starts[c] + encoder.cells[c].width]
            for c in cells
            if not encoder.cells[c].levels
        ]
        if numbers:  # its cell of presence, if there is one, says what the missing number says
            parts += [np.clip(np.nan_to_num(each, nan=0.0), -REACH, REACH) for each in numbers]
            parts.append(np.isnan(numbers[0][:, :1]))
        else:
            parts.append(one_hot(matrix[:, encoder.starts[cells[0]]], encoder.cells[cells[0]].levels))
    return np.concatenate(parts, axis=1, dtype=np.float64)


def measure(
    detector: Detector,
    held_out: pa.Table,
    fitted_on: pa.Table,
    seed: int = 0,
    asked: float = RATE,
    champion: Detector | None = None,
) -> dict[str, Any]:
    """How well the model and the two baselines tell canaries from untouched records, none of which they trained on.

    The canaries are made of `held_out`, whose records are the controls. The baselines are fitted on `fitted_on` as the
    model was, or on `BASELINE_RECORDS` of it drawn at random. For each method there is `auc_roc`, and `caught`: the
    share of canaries above the score that `rate` of the controls exceed; for the model also `right_column`: the share
    of those caught whose reasons the corrupted column leads, and `corruptions`: of each kind how many there were and
    what share was caught. What could not be measured is None, and `note` says why.

    A `champion` is measured as a fourth method; it may have trained on some of these records, which is to its favour.
    Held-out records that either of the two flags at the rate `asked` are then no controls and no originals of canaries:
    a window may be poisoned, and wrong records must not vouch for who learned them. Each method but the model also
    tells how many canaries it catches that the model misses (`lost`) and the other way round (`won`), the champion by
    kind of corruption too; model and champion how many of the `held_out` records they flag (`flagged`).
    """
    kinds = {name: encoder.kind for name, encoder in detector.encoder.columns.items()}
    judges = {"model": detector} | ({"champion": champion} if champion else {})
    scored = {name: judge.score(held_out).score for name, judge in judges.items()}
    flags = {name: scored[name] >= judge.threshold(asked) for name, judge in judges.items()}
    vouching = ~np.any(list(flags.values()), axis=0) if champion else np.ones(held_out.num_rows, dtype=bool)
    held_out = held_out.filter(pa.array(vouching))
    controls = held_out.num_rows
    canaries = make_canaries(held_out, kinds, CANARIES if controls >= FEWEST_CONTROLS else 0, seed)
    count = len(canaries.columns)
    figures: dict[str, Any] = {method: {"auc_roc": None, "caught": None} for method in METHODS}
    figures["model"] |= {"right_column": None, "corruptions": None}
    if count:
        above: dict[str, np.ndarray] = {}
        for method, score in _scorers(detector, fitted_on, seed, champion).items():
            wrong = score(canaries.table)
            right = scored[method][vouching] if method in scored else score(held_out)
            figures.setdefault(method, {})["auc_roc"] = auc_roc(wrong, right)
            if controls >= 1 / RATE:
                above[method] = wrong > exceeded_by(right, RATE)
                figures[method]["caught"] = float(above[method].mean())
                if method == "model":
                    figures[method] |= _of_the_caught(detector, canaries, above[method])
                else:
                    figures[method] |= _beside(above["model"], above[method])
        if "champion" in above:
            kinds_of = np.array(canaries.corruptions)
            figures["champion"]["corruptions"] = {
                kind: _beside(above["model"][kinds_of == kind], above["champion"][kinds_of == kind])
                for kind in sorted(set(canaries.corruptions))
            }
    for name, flagged in flags.items():
        figures.setdefault(name, {})["flagged"] = int(flagged.sum())
    told = {"count": count, "controls": controls, "held_out": len(vouching), "rate": RATE, "asked": asked}
    return {**told, "note": _note(count, controls), **figures}


def auc_roc(wrong: np.ndarray, right: np.ndarray) -> float:
    """How likely a wrong record scores higher than a right one, ties counted half."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(np.repeat([True, False], [len(wrong), len(right)]), np.concatenate([wrong, right])))


def exceeded_by(scores: np.ndarray, rate: float) -> float:
    """The score that a share of `rate` of `scores`, rounded down to whole records, exceeds."""
    return float(np.sort(scores)[::-1][int(rate * len(scores))])


def _beside(model: np.ndarray, other: np.ndarray) -> dict[str, int]:
    """How many canaries only the other catches, and how many only the model, from what each catches, bool (n,)."""
    return {"lost": int((other & ~model).sum()), "won": int((model & ~other).sum())}


def _scorers(
    detector: Detector, fitted_on: pa.Table, seed: int, champion: Detector | None
) -> dict[str, Callable[[pa.Table], np.ndarray]]:
    """Each method as a function from records to scores, float64 (n,), higher is worse; the model's comes first."""
    encoder = detector.encoder
    if fitted_on.num_rows > BASELINE_RECORDS:
        drawn = np.random.default_rng(seed).choice(fitted_on.num_rows, BASELINE_RECORDS, replace=False)
        fitted_on = fitted_on.take(pa.array(drawn))
    rows = plain(encoder, fitted_on)
    gaussian, nearest = Gaussian(rows), Nearest(rows)
    methods = {
        "model": lambda table: detector.score(table).score,
        "gaussian": lambda table: gaussian.score(plain(encoder, table)),
        "nearest": lambda table: nearest.score(plain(encoder, table)),
    }
    return methods | ({"champion": lambda table: champion.score(table).score} if champion else {})


def _of_the_caught(detector: Detector, canaries: Canaries, caught: np.ndarray) -> dict[str, Any]:
    """In what share of the canaries caught the right column leads, and what share of each kind was caught."""
    places = np.flatnonzero(caught)
    reasons = explain(detector, canaries.table.take(pa.array(places)))
    right = [why[0].column_name == canaries.columns[place] for why, place in zip(reasons, places, strict=True)]
    of_kind = {kind: caught[np.array(canaries.corruptions) == kind] for kind in sorted(set(canaries.corruptions))}
    return {
        "right_column": float(np.mean(right)) if right else None,
        "corruptions": {kind: {"count": len(each), "caught": float(each.mean())} for kind, each in of_kind.items()},
    }


def _note(count: int, controls: int) -> str | None:
    if controls < FEWEST_CONTROLS:
        return f"nothing was measured: it takes {FEWEST_CONTROLS} held-out records and there are {controls}"
    if count == 0:
        return f"nothing was measured: in none of {controls} held-out records could a field be corrupted"
    if controls < 1 / RATE:
        return f"the share caught was not measured: {RATE:.0%} of {controls} controls is less than one"
    return None
