"""Made-up records: codes drawn from the learned prior, decoded into the table's own types, never one of the window."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.spec import SMALLEST_LOG_SCALE, Spec
from pipeline.detector.closeness import Closeness
from pipeline.detector.codes import Companion
from pipeline.detector.detector import Detector, Scores
from pipeline.detector.made_up import fresh_keys, pseudonyms, texts_like, typed
from pipeline.encoding import Encoder
from pipeline.encoding.categories import CategoricalEncoder
from pipeline.errors import ConfigurationError, RefusedData
from pipeline.monitor import Monitor

AT_ONCE = 4_096
MOST_DRAWN = 50
"""Candidates for each record asked for; when so many do not do, the window leaves no room for more."""
SWEEPS = 4
CODED = (0.01, 0.99)
"""Between these quantiles the numbers of a sensitive column stay: its extremes may be known to be somebody's."""


@dataclass(frozen=True)
class Synthetic:
    """Made-up records, `table` with the modelled columns and the partition column and as encoded (n, slots).

    Of `drawn` candidates `improbable` were such as the champion flags, and `too_close` others equal or too near to a
    record of the window.
    """

    table: pa.Table
    matrix: np.ndarray
    drawn: int
    improbable: int
    too_close: int


class Synthesis:
    """What it takes to make up records: a champion, its companion and the records of its training window."""

    def __init__(self, detector: Detector, companion: Companion, window: pa.Table, seed: int) -> None:
        self.encoder = detector.encoder.revealed(window)
        self.window = window
        self.matrix = self.encoder.encode(window).matrix
        self.closeness = Closeness(self.encoder, self.matrix)
        self._detector, self._companion = detector, companion
        self._draw = np.random.default_rng(seed)
        self._texts = {n: _Texts(self, n) for n, each in self.encoder.columns.items() if each.kind == "text"}

    def records(self, count: int, rate: float, sensitive: Collection[str] = ()) -> Synthetic:
        """`count` made-up records that the champion would not flag at `rate`, none too close to one of the window.

        Of a `sensitive` column categories are pseudonyms and numbers stay clear of its extremes. RefusedData when too
        few candidates do.
        """
        kept: list[tuple[pa.Table, np.ndarray]] = []
        found = drawn = improbable = too_close = 0
        while found < count:
            if drawn > MOST_DRAWN * max(count, AT_ONCE):
                raise RefusedData(
                    f"only {found} of {count} records could be made up: {improbable} of {drawn} candidates are such as "
                    f"the champion flags and {too_close} too close to a record of the training window; "
                    "ask for fewer rows or train on a wider window"
                )
            table = self._candidates(min(2 * (count - found) + 100, AT_ONCE), sensitive)
            scores = self._scored(table)
            probable, allowed = scores.p_value > rate, self.closeness.allowed(scores.matrix)
            drawn, found = drawn + table.num_rows, found + int((probable & allowed).sum())
            improbable, too_close = improbable + int((~probable).sum()), too_close + int((probable & ~allowed).sum())
            good = np.flatnonzero(probable & allowed)
            kept.append((table.take(pa.array(good)), scores.matrix[good]))
        table = pa.concat_tables([each for each, _ in kept]).slice(0, count)
        matrix = np.concatenate([each for _, each in kept])[:count]
        return Synthetic(self._hidden(table, sensitive), matrix, drawn, improbable, too_close)

    def _scored(self, table: pa.Table) -> Scores:
        """Scores to which a text's form does not count: a made-up one has letters that the window never had."""
        encoded = self.encoder.encode(table)
        texts = [at for at, name in enumerate(self.encoder.columns) if name in self._texts]
        encoded.events[:, texts] = False
        return self._detector.score_encoded(encoded)

    def _candidates(self, count: int, sensitive: Collection[str]) -> pa.Table:
        vae, champion = self._companion.vae, self._detector.network.spec
        settles = champion.model == "ensemble" and champion.scaled
        output = vae.decoded(self._companion.prior.draw(count, self._draw))
        if not settles:
            output = self._drawn(vae.spec, output, sensitive)
        partitions = [self.encoder.anchor] if self.encoder.anchor else []
        # Of its own for every record, so that a partition column of instants does not give a record's own away.
        made = self.window.select(partitions).take(pa.array(self._draw.integers(self.window.num_rows, size=count)))
        for at, name in enumerate(self.encoder.columns):
            made = made.append_column(name, self._column(at, vae.spec, output, made))
        return self._settled(made, sensitive) if settles else made

    def _settled(self, made: pa.Table, sensitive: Collection[str]) -> pa.Table:
        """`made`, the most likely record of each code, with each column drawn given the others, several times over.

        Given a code the columns would be drawn apart. The champion knows each from the others, so that what it draws
        agrees: Gibbs sampling from a dependency network (Heckerman et al. 2000).
        """
        network, matrix = self._detector.network, self.encoder.encode(made).matrix
        names = list(self.encoder.columns)
        drawable = [at for at, name in enumerate(names) if name not in self._texts]
        for at in np.concatenate([self._draw.permutation(drawable) for _ in range(SWEEPS)]).astype(int).tolist():
            expected = network.reconstruct(matrix, np.full(len(matrix), at))
            output = self._drawn(network.spec, expected, sensitive)
            column = self._column(at, network.spec, output, made)
            made = made.set_column(made.column_names.index(names[at]), names[at], column)
            alone = Encoder({names[at]: self.encoder.columns[names[at]]}, self.encoder.anchor)
            start = self.encoder.starts[self.encoder.column_of_cell.index(at)]
            matrix[:, start : start + alone.slots] = alone.encode(made).matrix
        return made

    def _drawn(self, spec: Spec, output: np.ndarray, sensitive: Collection[str]) -> np.ndarray:
        drawn = drawn_output(spec, output, self._draw)
        self._bound(spec, drawn, sensitive)
        return drawn

    def _column(self, at: int, spec: Spec, output: np.ndarray, made: pa.Table) -> pa.Array:
        name = list(self.encoder.columns)[at]
        cells = [output[:, slice(*spec.outputs[cell])] for cell, own in enumerate(spec.columns) if own == at]
        return typed(self._values(name, cells, made), self.window.schema.field(name).type)

    def _bound(self, spec: Spec, output: np.ndarray, sensitive: Collection[str]) -> None:
        for cell in spec.number_cells:
            if list(self.encoder.columns)[spec.columns[cell]] in sensitive:
                seen = self.matrix[:, spec.starts[cell] : spec.starts[cell] + spec.widths[cell]]
                own = slice(*spec.outputs[cell])
                if not np.isnan(seen).all():
                    output[:, own] = np.clip(output[:, own], *np.nanquantile(seen, CODED, axis=0))

    def _values(self, name: str, cells: list[np.ndarray], made: pa.Table) -> list[Any]:
        column, values = self.encoder.columns[name], self.encoder.decode(name, cells, made)
        if name in self._texts:
            texts = self._texts[name].like(cells[0][:, 0], self._draw)
            return [None if value is None else text for value, text in zip(values, texts, strict=True)]
        if isinstance(column, CategoricalEncoder) and column.rare:
            rare = np.flatnonzero(cells[0].argmax(axis=1) == 1 + len(column.levels))
            for row, which in zip(rare, self._draw.integers(len(column.rare), size=len(rare)), strict=True):
                values[row] = column.rare[which]
        return values

    def _hidden(self, table: pa.Table, sensitive: Collection[str]) -> pa.Table:
        """The table with pseudonyms in place of the values of sensitive categories."""
        for at, name in enumerate(table.column_names):
            column = self.encoder.columns.get(name)
            if name in sensitive and column is not None and column.kind == "categorical":
                table = table.set_column(at, name, pseudonyms(name, table.column(name), self._draw))
        return table


class _Texts:
    """The texts of a column by their encoded length, to give made-up ones their shape."""

    def __init__(self, synthesis: Synthesis, name: str) -> None:
        encoder = synthesis.encoder
        cell = encoder.column_of_cell.index(list(encoder.columns).index(name))
        lengths = synthesis.matrix[:, encoder.starts[cell]]
        self._order = np.argsort(lengths, kind="stable")[: int((~np.isnan(lengths)).sum())]
        self._lengths = lengths[self._order]
        self._texts = synthesis.window.column(name)
        self._known = {str(text) for text in pc.unique(self._texts).to_pylist()}

    def like(self, lengths: np.ndarray, draw: np.random.Generator) -> list[str | None]:
        """A made-up text of about each of the encoded `lengths` (n,)."""
        if not len(self._order):
            return [None] * len(lengths)
        nearest = self._lengths[np.clip(np.searchsorted(self._lengths, lengths), 0, len(self._lengths) - 1)]
        first, end = np.searchsorted(self._lengths, nearest), np.searchsorted(self._lengths, nearest, side="right")
        shapes = self._texts.take(pa.array(self._order[draw.integers(first, end)])).to_pylist()
        return texts_like([str(shape) for shape in shapes], self._known, draw)


def drawn_output(spec: Spec, output: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """`output` (n, outputs) of a scaled model with a draw in place of each distribution, as float64.

    A number from its logistic distribution, by the inverse of its distribution function; Gumbel noise on the logits,
    whose largest then is a draw from their softmax (Gumbel 1954).
    """
    numbers, drawn = len(spec.number_slots), output.astype(np.float64)
    uniform = draw.uniform(1e-9, 1.0 - 1e-9, (len(output), numbers))
    scale = np.exp(np.maximum(drawn[:, numbers : 2 * numbers], SMALLEST_LOG_SCALE))
    drawn[:, :numbers] += scale * np.log(uniform / (1.0 - uniform))
    drawn[:, 2 * numbers :] += draw.gumbel(size=drawn[:, 2 * numbers :].shape)
    return drawn


def completed(monitor: Monitor, schema: pa.Schema, made: pa.Table) -> tuple[pa.Table, dict[str, str]]:
    """`made` with all columns of the table in their order, and how those came about that no model made.

    ConfigurationError when no column of the primary key can hold new keys.
    """
    columns: dict[str, pa.Array] = {}
    origins: dict[str, str] = {}
    for field in schema:
        column = made.column(field.name) if field.name in made.column_names else None
        if field.name == monitor.partition_by:
            origins[field.name] = "drawn from the training window"
        elif field.name in monitor.primary_key:
            column = fresh_keys(monitor.name, field.name, field.type, made.num_rows)
            origins[field.name] = "null" if column is None else "new keys"
        elif column is None:
            origins[field.name] = "null: the model does not know it"
        columns[field.name] = pa.nulls(made.num_rows, field.type) if column is None else column
    if "new keys" not in origins.values():
        named = ", ".join(monitor.primary_key)
        raise ConfigurationError(f"{monitor.name}: the primary key {named} has no column that can hold made-up keys")
    return pa.table(columns), origins
