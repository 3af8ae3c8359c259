"""What a drafted monitor says, and why. Reasons are told in counts and names of columns, never in values of records."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.drafting.keys import Key, find_key
from pipeline.drafting.looking import Calendar, Look, distinct, filled
from pipeline.encoding import Inference, infer_kind
from pipeline.monitor import Kind, Threshold, Training

FEW_LEVELS = 1_000
ENOUGH_RECORDS = 5_000
BUSY_DAY = 5

_WINDOW = Training().window
_MIN_ROWS = Training().min_rows
_RATE = Threshold().false_alarm_rate or 0.0

_NAMING = re.compile(r"(^|_)(id|code|no|nr|num|number|zip|postcode|type|class|status|category|group)$", re.IGNORECASE)
_PERSONAL = re.compile(
    r"e_?mail|phone|mobile|(^|_)ssn|passport|iban|(^|_)card|birth|(^|_)dob($|_)|(first|last|full|sur|user|customer)_?name"
    r"|address|street|(^|_)ip($|_)",
    re.IGNORECASE,
)
_NUMBER = r"^-?[0-9]+(\.[0-9]+)?$"
_EMAIL = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"


@dataclass(frozen=True)
class Choices:
    """What goes into the file: columns with the reason of each choice. `kinds` are pinned, `inferred` are comments."""

    partition_reason: str
    key: Key
    exclude: dict[str, str]
    kinds: dict[str, Inference]
    inferred: dict[str, Inference]
    sensitive: dict[str, str]
    window: int
    window_reason: str
    rate: float
    rate_reason: str
    naive: list[str]
    notes: tuple[str, ...]


def choose(look: Look) -> Choices:
    """Everything that a drafted file says."""
    key = find_key(look)
    aside = {look.calendar.column, *key.columns}
    exclude = dict(_excluded(look, [name for name in look.schema.names if name not in aside]))
    modelled = [name for name in look.schema.names if name not in aside | exclude.keys()]
    kinds = {name: _kind(name, look.sample.column(name)) for name in modelled if name in look.sample.column_names}
    pinned = {name for name, kind in kinds.items() if _is_debatable(look.sample.schema.field(name).type, kind.kind)}
    window, window_reason = _window(look.calendar)
    return Choices(
        partition_reason=_partition_reason(look),
        key=key,
        exclude=exclude,
        kinds={name: kind for name, kind in kinds.items() if name in pinned},
        inferred={name: kind for name, kind in kinds.items() if name not in pinned},
        sensitive=dict(_sensitive(look.sample)),
        window=window,
        window_reason=window_reason,
        rate=_RATE,
        rate_reason=_rate_reason(look.calendar.typical),
        naive=[f.name for f in look.schema if pa.types.is_timestamp(f.type) and f.type.tz is None],
        notes=tuple(_notes(look, key, modelled)),
    )


def _excluded(look: Look, names: list[str]) -> Iterator[tuple[str, str]]:
    kept: list[str] = []
    for name in names:
        counted = [distinct(profile, name) for profile in look.profiles]
        levels = {level for level in counted if level is not None}
        if name not in look.sample.column_names or None in counted:
            continue
        column = look.sample.column(name)
        twin = next((other for other in kept if look.sample.column(other).equals(column)), None)
        if pc.count_distinct(column, mode="all").as_py() <= 1 and max(levels) <= 1:
            yield name, f"the same in all {look.sample.num_rows:,} records looked at"
        elif levels == {1} and filled(look.profiles, name) and look.calendar.typical >= BUSY_DAY:
            yield name, f"one value a partition, so it follows {look.calendar.column}"
        elif twin is not None:
            yield name, f"the same as {twin} in all {look.sample.num_rows:,} records looked at"
        else:
            kept.append(name)


def _kind(name: str, column: pa.ChunkedArray) -> Inference:
    """The kind that training would infer, but for whole numbers that by their name only name things."""
    found = infer_kind(column)
    if found.kind == "numeric" and pa.types.is_integer(column.type) and _NAMING.search(name):
        levels = len(column.unique())
        if levels <= min(FEW_LEVELS, 0.2 * len(column)):
            return Inference("categorical", f"{levels} different whole numbers that by their name only name things")
    return found


def _is_debatable(dtype: pa.DataType, kind: Kind) -> bool:
    if kind == "clock":
        return not pa.types.is_time(dtype)
    return kind == "categorical" and pa.types.is_integer(dtype)


def _sensitive(sample: pa.Table) -> Iterator[tuple[str, str]]:
    for name in sample.column_names:
        column = sample.column(name)
        if _PERSONAL.search(name):
            yield name, "by its name"
        elif pa.types.is_string(column.type) and (pc.mean(pc.match_substring_regex(column, _EMAIL)).as_py() or 0) > 0.5:
            yield name, "holds e-mail addresses"


def _is_mixed(look: Look, name: str) -> bool:
    """Whether a column of text holds numbers in most records, but not in all."""
    if name not in look.sample.column_names or not pa.types.is_string(look.sample.schema.field(name).type):
        return False
    return 0.5 < (pc.mean(pc.match_substring_regex(look.sample.column(name), _NUMBER)).as_py() or 0) < 1


def _window(calendar: Calendar) -> tuple[int, str]:
    """So many partitions that there is enough to learn from, one left to score, and no more than seasons need."""
    held, typical = len(calendar.days), calendar.typical
    if held <= 1:
        return 1, "the table holds a single partition"
    wanted = max(_WINDOW, math.ceil(ENOUGH_RECORDS / typical))
    window = min(wanted, held - 1)
    what = f"about {window * typical:,.0f} records"
    if window < wanted:
        return window, f"{what}; all but one of the {held} partitions, raise it to {wanted} as more come"
    return window, f"{what} of the latest of {held} partitions"


def _rate_reason(typical: float) -> str:
    return f"about {_RATE * typical:.2g} false alarms in a partition of {typical:,.0f} records"


def _partition_reason(look: Look) -> str:
    calendar = look.calendar
    gaps = f", {calendar.gaps} days missing" if calendar.gaps else ""
    others = [other.column for other in look.others]
    rivals = f"; also holds dates: {', '.join(others)}" if others else ""
    return (
        f"{len(calendar.days)} days from {calendar.days[0].key} to {calendar.days[-1].key}{gaps}, "
        f"about {calendar.typical:,.0f} records each{rivals}"
    )


def _notes(look: Look, key: Key, modelled: list[str]) -> Iterator[str]:
    calendar = look.calendar
    if key.repeated:
        yield (
            f"no key of up to three columns is unique: {key.repeated:,} of {key.records:,} records share "
            f"{', '.join(key.columns)} and would be quarantined; name a better primary_key"
        )
    if calendar.undated:
        yield f"{calendar.undated:,} records have no date in {calendar.column} and would never be checked"
    if sum(day.rows for day in calendar.days) < _MIN_ROWS:
        yield f"the table holds fewer than {_MIN_ROWS} records, too few to train on; lower training.min_rows or wait"
    mixed = [name for name in modelled if _is_mixed(look, name)]
    if mixed:
        yield f"read as text, as some cells are no numbers: {', '.join(mixed)}; mend those cells if they should be"
    if not modelled:
        yield "no column is left to model; exclude fewer"
