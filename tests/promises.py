"""The tests of each promise, found by their names and listed in docs/promises.md.

python -m tests.promises    writes the lists again
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "promises.md"
PROMISE = re.compile(r"^### (\d+)\. ", re.MULTILINE)
KEPT_BY = re.compile(r"test((?:_p\d\d|_to)+)_")
"""A test may keep several promises: test_p03_p08_..., or those from one to another: test_p05_to_p14_..."""
LIST = "<!-- tests -->"
COUNT = 38
NOT_YET: dict[int, str] = {}


def kept() -> dict[int, dict[str, list[str]]]:
    """For each promise the names of its tests by file, relative to the project."""
    found: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(TESTS.rglob("test_*.py")):
        for name in _functions(path):
            for number in numbers(name):
                found[number][str(path.relative_to(TESTS.parent))].append(name)
    return found


def rendered(page: str) -> str:
    """`page` with the list of each promise as it ought to be."""
    by = kept()
    intro, *parts = re.split(r"(?=^### )", page, flags=re.MULTILINE)
    return intro + "".join(_rendered_part(part, by) for part in parts)


def _rendered_part(part: str, by: dict[int, dict[str, list[str]]]) -> str:
    number = int(part.removeprefix("### ").split(".")[0])
    said, _, after = part.partition(LIST)
    heading = next((line for line in after.splitlines() if line.startswith("## ")), None)
    lines = [f"Not kept yet. {NOT_YET[number]}"] if number in NOT_YET else []
    for file, names in by.get(number, {}).items():
        lines.append(f"- `{file}`: {', '.join(f'`{name}`' for name in names)}")
    body = f"{said}{LIST}\n" + "\n".join(lines) + "\n"
    return body + (f"\n{heading}\n\n" if heading else "\n")


def numbers(name: str) -> list[int]:
    """The promises that the name of a test says it keeps."""
    kept = KEPT_BY.match(name)
    if kept is None:
        return []
    numbers = [int(number) for number in re.findall(r"\d\d", kept[1])]
    return list(range(numbers[0], numbers[-1] + 1)) if "_to_" in kept[1] else numbers


def _functions(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name


if __name__ == "__main__":
    PAGE.write_text(rendered(PAGE.read_text(encoding="utf-8")).rstrip() + "\n", encoding="utf-8")
