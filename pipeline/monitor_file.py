"""Reads one YAML file into a plain value so that each problem names the file, the line and the mend.

Stricter than YAML where YAML surprises: keys are text and written once; no aliases and no tags; `on`, `yes`, dates and
numbers in base 8 or 60 must be quoted. A float may be written `1e-3`. Knows nothing of monitors.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.reader import ReaderError

from pipeline.errors import ConfigurationError

MAX_BYTES = 1_000_000
MAX_DEPTH = 30
MAX_INTEGER = 2**127
MAX_MESSAGE = 500
MAX_PROBLEMS = 20

KeyPath = tuple[int | str, ...]
Problem = tuple[int, str]

_TAG = "tag:yaml.org,2002:"
_TRAPS = {
    "bool": (r"yes|no|on|off", "a boolean; write true or false, or quote it"),
    "timestamp": (r".*", "a date; quote it"),
    "int": (r".*:.*|[-+]?0[\d_]+", "a number in base 8 or 60; quote it"),
    "float": (r".*:.*", "a number in base 60; quote it"),
    "merge": (r".*", "a merge key, which is not supported; write the keys out"),
}
_SYNTAX_MENDS = {
    "mapping values are not allowed": "quote a text that holds ': ', or mend the indentation",
    "'\\t'": "indent with spaces",
    "cannot start any token": "quote a text that begins with this character",
    "but found another document": "remove the line '---' between them",
    "but got '{'": "quote a text that holds '{' or '}'",
    "while scanning an alias": "quote a text that begins with '*'",
    "while scanning an anchor": "quote a text that begins with '&'",
}


@dataclass(frozen=True)
class Document:
    """A file's plain value (dict, list, str, int, float, bool, None) and the line, from 1, of each key and item."""

    path: Path
    value: dict[str, Any]
    lines: dict[KeyPath, int]

    def line(self, path: KeyPath) -> int:
        """The line of a key or item, or of the nearest written one around it."""
        while path not in self.lines:
            path = path[:-1]
        return self.lines[path]


def read(path: Path) -> Document:
    """The file's value and lines. ConfigurationError, one line a problem, if it is not a mapping in plain YAML."""
    root, loader = _compose(path, _text(path))
    line = root.start_mark.line + 1 if root else 1
    if not isinstance(root, yaml.MappingNode):
        found = "must hold keys with values, not a list or a single value" if root else "is empty"
        raise refusal(path, [(line, f"the file {found}; see docs/monitor.md")])
    plain = _Plain(loader, {(): line})
    value = plain.value(root, ())
    if plain.problems:
        raise refusal(path, plain.problems)
    return Document(path, value, plain.lines)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The mend after an unknown word: the known word most like it, or all that are known."""
    close = nearest(word, known)
    return f"did you mean {close!r}?" if close else f"known: {', '.join(sorted(known)) or 'none'}"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like it, whatever the case; None if none is close."""
    by_case = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(word.casefold()[:100], by_case, n=1)
    return by_case[close[0]] if close else None


def one_line(text: str) -> str:
    """The text of an error: control characters and lone surrogates escaped, no longer than a person reads."""
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[:MAX_MESSAGE])
    return shown if len(text) <= MAX_MESSAGE else shown + "..."


def refusal(path: Path, problems: Iterable[Problem]) -> ConfigurationError:
    """The error of a file: a line a problem, in the order of the file, at most `MAX_PROBLEMS`."""
    lines = [one_line(f"{path.as_posix()} line {line}: {message}") for line, message in sorted(problems)]
    more = [f"{path.as_posix()}: {len(lines) - MAX_PROBLEMS} more problems"] if len(lines) > MAX_PROBLEMS else []
    return ConfigurationError("\n".join(lines[:MAX_PROBLEMS] + more))


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(one_line(f"{path.as_posix()}: cannot be read: {error.strerror}")) from error
    if len(data) > MAX_BYTES:
        raise ConfigurationError(
            one_line(f"{path.as_posix()}: larger than {MAX_BYTES:,} bytes; a few lines of YAML are enough")
        )
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise refusal(path, [(line, "not UTF-8 text; save the file as UTF-8")]) from None


class _Loader(yaml.SafeLoader):
    """Composes nodes only; an alias or deep nesting is refused before it can grow."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="aliases are not supported; write the value out", problem_mark=mark)
        if self.depth == MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem="values are nested too deep", problem_mark=mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


# YAML 1.1 reads 1e-3 as text, for want of a dot; everyone else reads a number.
_Loader.add_implicit_resolver(
    f"{_TAG}float", re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def _compose(path: Path, text: str) -> tuple[yaml.Node | None, _Loader]:
    try:
        loader = _Loader(text)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise refusal(
            path, [(line, f"the character U+{ord(text[error.position]):04X} cannot stand in YAML; remove it")]
        ) from None
    try:
        return loader.get_single_node(), loader
    except yaml.MarkedYAMLError as error:
        raise refusal(path, [_syntax_problem(error)]) from error
    except (ValueError, OverflowError) as error:
        raise refusal(path, [(loader.get_mark().line + 1, f"not YAML: {error}")]) from error


def _syntax_problem(error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    text = ", ".join(part for part in (error.context, error.problem) if part)
    mend = next((f"; {mend}" for sign, mend in _SYNTAX_MENDS.items() if sign in text), "")
    return (mark.line + 1 if mark else 1, f"not YAML: {text}{mend}")


@dataclass
class _Plain:
    """Turns nodes into plain values, noting the line of each key and item and every problem on the way."""

    loader: _Loader
    lines: dict[KeyPath, int]
    problems: list[Problem] = field(default_factory=list)

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        value: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            try:
                key = self.key(key_node, path)
            except ValueError as error:
                self.problems.append((line, str(error)))
            else:
                self.lines[(*path, key)] = line
                value[key] = self.value(value_node, (*path, key))
        return value

    def key(self, node: yaml.Node, path: KeyPath) -> str:
        key = _scalar(self.loader, node)
        if not isinstance(key, str):
            raise ValueError(f"a key must be text; quote it: {str(node.value)!r}")
        if (*path, key) in self.lines:
            raise ValueError(f"the key {key!r} is written twice, first on line {self.lines[(*path, key)]}; keep one")
        return key

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            self.lines.update({(*path, i): item.start_mark.line + 1 for i, item in enumerate(node.value)})
            return [self.value(item, (*path, i)) for i, item in enumerate(node.value)]
        try:
            return _scalar(self.loader, node)
        except ValueError as error:
            self.problems.append((node.start_mark.line + 1, str(error)))
            return None


def _scalar(loader: _Loader, node: yaml.Node) -> str | int | float | bool | None:
    """The plain value of a scalar; ValueError, with the mend, where YAML reads something else than a person does."""
    kind, text = node.tag.removeprefix(_TAG), node.value
    if not isinstance(text, str):
        raise ValueError("neither a tag nor a key that is not text is supported; remove it")
    if kind in ("str", "value"):
        if re.search("[\0\ud800-\udfff]", text):
            raise ValueError(f"{text!r} holds a character that is not text; remove it")
        return text
    if kind not in ("null", *_TRAPS):
        raise ValueError(f"the tag {node.tag!r} is not supported; remove it")
    pattern, reading = _TRAPS.get(kind, ("(?!)", ""))
    if re.fullmatch(pattern, text, re.IGNORECASE | re.DOTALL):
        raise ValueError(f"{text!r} unquoted is read as {reading}")
    try:
        value: int | float | bool | None = loader.construct_object(node)
    except (ValueError, LookupError) as error:
        raise ValueError(f"{text!r} is not a valid {kind}") from error
    endless = isinstance(value, float) and not math.isfinite(value)
    if endless or (isinstance(value, int) and abs(value) >= MAX_INTEGER):
        raise ValueError(f"{text!r} is not a number that can be kept")
    return value
