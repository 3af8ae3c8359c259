"""A drafted monitor as YAML, each choice followed by its reason."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import yaml

from pipeline.drafting.choices import Choices
from pipeline.drafting.looking import Look
from pipeline.encoding import Inference
from pipeline.monitor import SourceConfig
from pipeline.monitor_file import one_line

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def write(name: str, source: SourceConfig, look: Look, choices: Choices, notes: Iterable[str]) -> str:
    """The file's text: `pipeline.monitor.load` reads it back."""
    return "\n".join([*_head(name, look, notes), *_body(source, look, choices), ""])


def scalar(text: str) -> str:
    """A text as YAML that reads back as that text, whatever is in it."""
    if _PLAIN.fullmatch(text) and yaml.safe_load(text) == text:
        return text
    quoted: str = yaml.safe_dump(text, default_style='"', width=1_000_000, allow_unicode=True)
    return quoted.strip()


def _head(name: str, look: Look, notes: Iterable[str]) -> Iterator[str]:
    calendar = look.calendar
    records = sum(day.rows for day in calendar.days) + calendar.undated
    yield f"# Drafted from {len(look.schema)} columns, {len(calendar.days):,} partitions, {records:,} records."
    yield f"# Look the choices over, save the file as monitors/{name}.yaml, then: tablewatch check {name}"
    for note in notes:
        yield _comment(f"WARNING: {note}")


def _body(source: SourceConfig, look: Look, choices: Choices) -> Iterator[str]:
    yield "source:"
    for key, value in source.model_dump(exclude_none=True).items():
        yield f"  {key}: {scalar(value)}"
    yield f"partition_by: {scalar(look.calendar.column)}  {_comment(choices.partition_reason)}"
    yield f"primary_key: {_list(choices.key.columns)}  {_comment(_key_reason(choices))}"
    yield from _columns(choices)
    if choices.naive:
        yield f"timezone: UTC  {_comment(f'the zone of times that are stored without one: {_names(choices.naive)}')}"
    yield "training:"
    yield f"  window: {choices.window}  {_comment(choices.window_reason)}"
    yield "threshold:"
    yield f"  false_alarm_rate: {choices.rate}  {_comment(choices.rate_reason)}"


def _columns(choices: Choices) -> Iterator[str]:
    if choices.exclude or choices.kinds:
        yield "columns:"
    if choices.exclude:
        yield "  exclude:"
        yield from (f"    - {scalar(name)}  {_comment(reason)}" for name, reason in choices.exclude.items())
    if choices.kinds:
        yield "  kinds:"
        yield from (f"    {_kind(name, kind)}  {_comment(kind.reason)}" for name, kind in choices.kinds.items())
    if choices.inferred:
        yield "# Kinds that need not be written, as they are inferred; columns.kinds overrides them:"
        yield from (_comment(f"  {_kind(name, kind)} ({kind.reason})") for name, kind in choices.inferred.items())
    if choices.sensitive:
        why = ", ".join(f"{name} {reason}" for name, reason in choices.sensitive.items())
        yield _comment(f"Perhaps personal ({why}); columns.sensitive hashes values and shows them nowhere:")
        yield _comment(f"  sensitive: {_list(choices.sensitive)}")


def _kind(name: str, kind: Inference) -> str:
    return f"{scalar(name)}: {kind.kind}"


def _key_reason(choices: Choices) -> str:
    key = choices.key
    if key.repeated:
        return f"not unique: {key.repeated:,} of {key.records:,} records share it"
    return f"never null and unique within each partition, by the {key.records:,} records looked at"


def _list(names: Iterable[str]) -> str:
    return f"[{', '.join(map(scalar, names))}]"


def _names(names: Iterable[str]) -> str:
    return ", ".join(names)


def _comment(text: str) -> str:
    return f"# {one_line(text)}"
