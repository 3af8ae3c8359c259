"""A message as paragraphs of lines, written as plain text and as HTML. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from pipeline.plain import safe

LONGEST_BODY = 8_000
LONGEST_LINE = 1_000


@dataclass(frozen=True)
class Line:
    """One line; a `command` is for a terminal, a `link` makes the text one in HTML."""

    text: str
    kind: Literal["plain", "strong", "command"] = "plain"
    link: str | None = None


Page = Sequence[Sequence[Line]]


def as_text(page: Page) -> str:
    """Paragraphs with an empty line between them."""
    return "\n\n".join("\n".join(_printable(line.text) for line in lines) for lines in page)


def as_html(page: Page) -> str:
    """Paragraphs of HTML whose text alone reads like `as_text`."""
    return "\n".join(f"<p>{'<br>'.join(map(_html_line, lines))}</p>" for lines in page)


def fitting(most: int, write: Callable[[int], Page]) -> Page:
    """The page of as many entries as fit into a body: `write(n)` is that of the first n, and fits for none."""
    pages = (write(shown) for shown in range(most, 0, -1))
    return next((page for page in pages if _fits(page)), write(0))


def one_line(text: str, longest: int) -> str:
    """A text without control characters, at most `longest` characters long."""
    shown = safe(text, longest)
    return shown if len(shown) <= longest else f"{shown[: longest - 3]}..."


def _fits(page: Page) -> bool:
    return max(len(as_text(page)), len(as_html(page))) <= LONGEST_BODY


def _printable(text: str) -> str:
    return one_line(text, LONGEST_LINE)


def _html_line(line: Line) -> str:
    text = escape(_printable(line.text))
    if line.link is not None:
        text = f'<a href="{escape(line.link)}">{text}</a>'
    return {"plain": text, "strong": f"<strong>{text}</strong>", "command": f"<code>{text}</code>"}[line.kind]
