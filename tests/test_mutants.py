"""Every promise has a mutant, and each still fits the code and the tests (`make mutants` tries them)."""

from __future__ import annotations

import ast

import pytest

from tests.mutants import ROOT, Mutant, mutants
from tests.promises import COUNT, numbers

MUTANTS = mutants()


def test_every_promise_has_a_mutant() -> None:
    assert {each.promise for each in MUTANTS} == {*range(1, COUNT + 1)}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.promise:02}-{mutant.path}")
def test_a_mutant_fits_the_code_and_names_a_test_of_its_promise(mutant: Mutant) -> None:
    source = (ROOT / mutant.path).read_text(encoding="utf-8")
    assert source.count(mutant.before) == 1
    ast.parse(source.replace(mutant.before, mutant.after))
    file, _, name = mutant.test.partition("::")
    assert name in names_in(ast.parse((ROOT / file).read_text(encoding="utf-8")))
    assert mutant.promise in numbers(name.rpartition("::")[2])


def names_in(module: ast.Module) -> set[str]:
    """The names by which pytest knows the functions of a file and of its classes."""
    tests = {node.name for node in module.body if isinstance(node, ast.FunctionDef)}
    for within in module.body:
        if isinstance(within, ast.ClassDef):
            tests |= {f"{within.name}::{node.name}" for node in within.body if isinstance(node, ast.FunctionDef)}
    return tests
