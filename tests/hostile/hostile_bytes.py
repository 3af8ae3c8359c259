"""Files as accidents and attackers leave them: a seed gives the same mutation every time."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

Mutation = Callable[[random.Random, bytearray], None]


def mutated(whole: bytes, seed: int, snippets: Sequence[bytes]) -> bytes:
    """The bytes after one to three mutations."""
    draw = random.Random(seed)
    data = bytearray(whole)
    for _ in range(draw.choice([1, 1, 2, 3])):
        if data:
            draw.choice(MUTATIONS)(draw, data) if draw.random() < 0.7 else _insert(draw, data, draw.choice(snippets))
    return bytes(data)


def _insert(draw: random.Random, data: bytearray, snippet: bytes) -> None:
    at = draw.randrange(len(data) + 1)
    data[at:at] = snippet


def _flip(draw: random.Random, data: bytearray) -> None:
    data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)


def _cut(draw: random.Random, data: bytearray) -> None:
    del data[draw.randrange(len(data)) :]


def _span(draw: random.Random, data: bytearray) -> slice:
    at = draw.randrange(len(data))
    return slice(at, at + draw.choice([1, 2, 8, 40]))


def _delete(draw: random.Random, data: bytearray) -> None:
    del data[_span(draw, data)]


def _double(draw: random.Random, data: bytearray) -> None:
    _insert(draw, data, bytes(data[_span(draw, data)]))


def _swap(draw: random.Random, data: bytearray) -> None:
    lines = data.splitlines(keepends=True)
    one, other = draw.randrange(len(lines)), draw.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    data[:] = b"".join(lines)


def _double_line(draw: random.Random, data: bytearray) -> None:
    lines = data.splitlines(keepends=True)
    lines.insert(draw.randrange(len(lines) + 1), draw.choice(lines))
    data[:] = b"".join(lines)


MUTATIONS: list[Mutation] = [_flip, _cut, _delete, _double, _swap, _double_line]
