"""Breaks the product on purpose, once for each mutant in tests/mutants.yaml: a test of its promise must fail.

python -m tests.mutants [NUMBER ...]            all mutants, or those of these promises
python -m tests.mutants --check [NUMBER ...]    that each test passes where nothing is broken
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
TABLE = Path(__file__).with_suffix(".yaml")
SECONDS = 300
"""A test that has not ended by then has not noticed anything."""
PASSED, FAILED = 0, 1
"""Exit codes of pytest; the others say that it could not run the test."""
PACKAGES = ("pipeline", "models", "dashboard", "demo")
WHERE = "from importlib.util import find_spec; print(*(find_spec(name).origin for name in {packages}), sep='\\n')"


@dataclass(frozen=True)
class Mutant:
    """`before`, which is once in the file at `path`, becomes `after`; then `test` (file::name) has to fail."""

    promise: int
    path: str
    before: str
    after: str
    test: str


def mutants() -> list[Mutant]:
    """All of them, in the order of the promises."""
    return [Mutant(**each) for each in yaml.safe_load(TABLE.read_text(encoding="utf-8"))]


def main() -> int:
    """Try the mutants that were asked for; 1 when one of them was not killed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("numbers", nargs="*", type=int, metavar="NUMBER", help="a promise in docs/promises.md")
    parser.add_argument("--check", action="store_true", help="run the tests where nothing is broken")
    asked = parser.parse_args()
    chosen = [each for each in mutants() if not asked.numbers or each.promise in asked.numbers]
    wanted = "passes" if asked.check else "killed"
    bad = 0
    with copied() as copy:
        for mutant in chosen:
            said = verdict(copy, mutant, asked.check)
            bad += said != wanted
            print(f"{mutant.promise:>2} {said:<14} {mutant.path}: {' '.join(mutant.before.split())[:80]}", flush=True)
            if said != wanted:
                print(f"   {mutant.test}", flush=True)
    print(f"{len(chosen) - bad} of {len(chosen)}: {wanted}")
    return int(bad > 0 or not chosen)


@contextmanager
def copied() -> Iterator[Path]:
    """A copy of the project's own files; its packages are imported in place of the installed ones."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Path(folder).resolve()
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, copy / name)
        loaded = _python(copy, "-c", WHERE.format(packages=PACKAGES)).stdout.splitlines()
        if not loaded or not all(Path(file).is_relative_to(copy) for file in loaded):
            raise SystemExit(f"the copy's packages are not those that are imported: {loaded}")
        yield copy


def verdict(copy: Path, mutant: Mutant, check: bool) -> str:
    """What became of the mutant: `killed` or `survived`; of its test alone, with `check`: `passes` or `fails`."""
    file = copy / mutant.path
    source = file.read_text(encoding="utf-8")
    if source.count(mutant.before) != 1:
        return "does not apply"
    words = {PASSED: "passes", FAILED: "fails"} if check else {PASSED: "survived", FAILED: "killed"}
    try:
        if not check:
            file.write_text(source.replace(mutant.before, mutant.after), encoding="utf-8")
        options = ("-x", "-q", "-p", "no:randomly", "-p", "no:cacheprovider")
        ended = _python(copy, "-m", "pytest", *options, mutant.test)
        # Python without pytest exits with 1 too, and a fixture that breaks is no test that fails.
        if not re.search(r"^\d+ (passed|failed)", (ended.stdout.splitlines() or [""])[-1]):
            return "does not run"
        return words.get(ended.returncode, "does not run")
    except subprocess.TimeoutExpired:
        return "does not end"
    finally:
        file.write_text(source, encoding="utf-8")


def _python(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PYTHONPATH": str(copy),
        # A mutant of the same length within the same second would be taken for what was compiled before it.
        "PYTHONDONTWRITEBYTECODE": "1",
        "CI": "1",  # the same examples every time
        "TABLEWATCH_TEST_POSTGRES_URL": "",  # SQLite will do, and PostgreSQL need not start for each test
    }
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=SECONDS)


if __name__ == "__main__":
    sys.exit(main())
