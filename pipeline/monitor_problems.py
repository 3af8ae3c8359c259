"""Checks a document against a pydantic model so that each problem names the file, the line and the mend.

Knows nothing of monitors.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pipeline.monitor_file import Document, KeyPath, Problem, did_you_mean, nearest, refusal

Sections = dict[KeyPath, set[str]]
Model = TypeVar("Model", bound=BaseModel)

_WORDING = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "tuple_type": "must be a list, such as [a, b]",
    "model_type": "must hold keys with values",
    "dict_type": "must hold keys with values",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
}


def check(document: Document, model: type[Model], **given: Any) -> Model:
    """The document as a `model`, with fields `given` that no file may write. ConfigurationError, one line a problem."""
    problems = [
        (document.line((key,)), f"unknown key {key!r}; the file's own name says it")
        for key in given.keys() & document.value.keys()
    ]
    try:
        checked = model.model_validate({**document.value, **given}, by_alias=True, by_name=False)
    except ValidationError as error:
        problems += _problems(error, document, _known_keys(model, given))
    if problems:
        raise refusal(document.path, problems)
    return checked


def _problems(error: ValidationError, document: Document, known: Sections) -> list[Problem]:
    details = error.errors(include_url=False)
    misspelt = {_meant(detail["loc"], known) for detail in details if detail["type"] == "extra_forbidden"}
    problems = []
    for detail in details:
        # A key under a wrong name is one problem; that the right one is missing would be the same told twice.
        if detail["type"] != "missing" or detail["loc"] not in misspelt:
            culprit = (*detail["loc"], *detail.get("ctx", {}).get("path", ()))
            problems.append((document.line(culprit), _wording(detail, known)))
    return problems


def _wording(error: ErrorDetails, known: Sections) -> str:
    """One problem of a model in the words of the file."""
    kind, found = error["type"], error["input"]
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"]).lstrip(".")
    if kind == "refused":
        return error["msg"]
    if kind == "extra_forbidden":
        return _unknown_key(error["loc"], known)
    if kind == "missing":
        return f"the key {where!r} is missing; write it"
    if found is None:
        return f"{where!r} has no value; give it one or remove the line"
    if kind == "literal_error":
        choices = re.findall(r"'([^']*)'", error["ctx"]["expected"])
        return f"{where!r} cannot be {str(found)[:60]!r}; {did_you_mean(str(found), choices)}"
    if kind == "string_type" and isinstance(found, bool | int | float):
        reading = "boolean" if isinstance(found, bool) else "number"
        return f"{where!r} must be text, but {str(found).lower()} is read as a {reading}; quote it"
    return f"{where!r} {_WORDING.get(kind) or error['msg'].replace('Input should', 'must')}"


def _unknown_key(path: KeyPath, known: Sections) -> str:
    *around, key = path
    meant = _meant(path, known)
    if meant is None or list(meant[:-1]) == around:
        return f"unknown key {key!r}; {did_you_mean(str(key), known[tuple(around)])}"
    home = f"under {meant[0]!r}" if meant[:-1] else "at the top level"
    return f"unknown key {key!r}; it belongs {home}"


def _meant(path: KeyPath, known: Sections) -> KeyPath | None:
    """The path that the writer of an unknown key had in mind: the same key in its own section, or one spelt alike."""
    *around, key = path
    home = next((section for section in known if key in known[section]), None)
    if home is not None:
        return (*home, key)
    close = nearest(str(key), known[tuple(around)])
    return (*around, close) if close else None


def _known_keys(model: type[BaseModel], given: Iterable[str]) -> Sections:
    """The keys that a file may write: at the top level, (), and in each section, (name,)."""
    sections: Sections = {(): _keys(model) - set(given)}
    for name, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            sections[(info.alias or name,)] = _keys(info.annotation)
    return sections


def _keys(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}
