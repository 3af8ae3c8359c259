"""The values of a monitor's file, each checked in words of ours: cron text, a zone, an endpoint, an expectation."""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from typing import Annotated, Any, NoReturn

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from pipeline.monitor_file import nearest
from pipeline.results import Severity

_EXPECTATION = r"^expect_[a-z0-9_]+$"
LONGEST_SPAN = dt.timedelta(days=7)
_EXPECTATION_ITEM = {
    "type": "object",
    "patternProperties": {_EXPECTATION: {"type": "object", "description": "The expectation's arguments."}},
    "properties": {"severity": {"enum": ["error", "warning"], "default": "error"}},
    "additionalProperties": False,
    "minProperties": 1,
    "maxProperties": 2,
    "if": {"maxProperties": 1},
    "then": {"not": {"required": ["severity"]}},
    "else": {"required": ["severity"]},
}


def refuse(message: str, *path: int | str) -> NoReturn:
    """Refuses a value in words of ours; `path` leads from the value under validation to the culprit in it."""
    raise PydanticCustomError("refused", "{message}", {"message": message, "path": path})


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    seen: set[str] = set()
    for position, value in enumerate(values):
        if value in seen:
            refuse(f"{value!r} is listed twice; keep one", position)
        seen.add(value)
    return values


def _cron(text: str) -> str:
    from croniter import croniter  # type: ignore[import-untyped]

    # Narrower than croniter, which also takes seconds, years and, with "R", a time that differs at every reading.
    item = r"(\*|\d{1,2}|[a-z]{3})"
    if not re.fullmatch(rf"{item}([-/,]{item})*( +{item}([-/,]{item})*){{4}}", text, re.IGNORECASE):
        refuse(f"{text!r} is not cron text: write minute, hour, day, month and weekday, such as '0 2 * * *'")
    try:
        croniter(text, dt.datetime(2000, 1, 1)).get_next()
    except (ValueError, KeyError) as error:
        refuse(f"{text!r} is not cron text that ever comes: {error}")
    return text


def _zone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        close = nearest(name, zoneinfo.available_timezones())
        refuse(
            f"unknown timezone {name!r}; {f'did you mean {close!r}?' if close else 'write one such as Europe/Zurich'}"
        )
    return name


def _span(text: str) -> str:
    if not re.fullmatch(r"[1-9]\d{0,3}[mhd]", text) or not dt.timedelta(minutes=1) <= as_span(text) <= LONGEST_SPAN:
        refuse(f"{text!r} is not a time span of at most {LONGEST_SPAN.days} days: write one such as 90m, 6h or 1d")
    return text


def as_span(text: str) -> dt.timedelta:
    """The time span that is written as 90m, 6h or 1d."""
    unit = {"m": "minutes", "h": "hours", "d": "days"}[text[-1]]
    return dt.timedelta(**{unit: int(text[:-1])})


def _connection(text: str) -> str:
    # The text may hold a password, so no message repeats it.
    if not re.match(r"[a-z][a-z0-9+.-]*://|airflow:.|\$\{", text):
        refuse("the connection must be an ibis URL such as postgres://${DB_USER}@host/db, airflow:NAME, or ${NAME}")
    return text


def _endpoint(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        refuse("an endpoint is a name such as ops, whose URL is in TABLEWATCH_ALERTS__OPS and never in this file")
    return name


def _unfold(item: Any) -> Any:
    """An expectation as a file writes it, `{expect_...: {...}, severity: ...}`, as the fields of Expectation."""
    if isinstance(item, Expectation):
        return item
    if not isinstance(item, dict) or not item:
        refuse("an expectation is written {expect_...: {column: ...}, severity: error}")
    names = [key for key in item if key != "severity"]
    for name in names:
        if not re.fullmatch(_EXPECTATION, name):
            refuse(f"{name!r} is neither severity nor a name that begins with 'expect_'", name)
    if len(names) != 1:
        refuse(f"one item holds one expectation, not {len(names)}; begin each with '-'", *names[1:2])
    kwargs = item[names[0]]
    if not isinstance(kwargs, dict):
        refuse(f"{names[0]!r} must hold its arguments, such as {{column: ...}}, or {{}} for none", names[0])
    if "severity" in kwargs:
        refuse("severity stands beside the expectation, not among its arguments", names[0], "severity")
    return {"name": names[0], "kwargs": kwargs} | {key: item[key] for key in ("severity",) if key in item}


def _fold(expectation: Expectation) -> dict[str, Any]:
    return {expectation.name: expectation.kwargs, "severity": expectation.severity}


Text = Annotated[str, Field(min_length=1)]
Names = Annotated[tuple[Text, ...], AfterValidator(_distinct), Field(json_schema_extra={"uniqueItems": True})]
Cron = Annotated[str, AfterValidator(_cron)]
Zone = Annotated[str, AfterValidator(_zone)]
Span = Annotated[str, AfterValidator(_span)]
Connection = Annotated[str, AfterValidator(_connection)]
Endpoints = Annotated[tuple[Annotated[str, AfterValidator(_endpoint)], ...], AfterValidator(_distinct)]


class Section(BaseModel):
    """A part of the file: frozen, without unknown keys, its values in no error's text."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, validate_by_name=True, hide_input_in_errors=True
    )


class Expectation(Section):
    """A Great Expectations expectation by its snake_case name; a file writes `{name: kwargs, severity: ...}`."""

    name: str = Field(pattern=_EXPECTATION)
    kwargs: dict[str, Any] = {}
    severity: Severity = "error"


ExpectationItem = Annotated[
    Expectation, BeforeValidator(_unfold), PlainSerializer(_fold), WithJsonSchema(_EXPECTATION_ITEM)
]
