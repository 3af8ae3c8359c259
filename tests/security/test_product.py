"""What the product's own code may not do, and what it is built from."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT = ("pipeline", "models", "dags", "demo", "dashboard")
RUNS_CODE = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "h5py"}
CALLS = {"eval", "exec", "compile", "load_model", "save_model", "read_pickle", "to_pickle", "unsafe_load", "full_load"}
SAFE_LOADERS = {"SafeLoader", "CSafeLoader", "_Loader"}


def files() -> list[Path]:
    return [path for folder in PRODUCT for path in sorted((ROOT / folder).rglob("*.py"))]


def forbidden(source: str) -> Iterator[str]:
    """What a source imports or calls that could run code out of a file."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            yield from (name for name in names if name.split(".")[0] in RUNS_CODE)
        elif isinstance(node, ast.Call):
            yield from _forbidden_call(node)
        elif isinstance(node, ast.Constant) and re.search(r"\.(h5|hdf5|pkl|pickle)$", str(node.value)):
            yield str(node.value)


def _forbidden_call(node: ast.Call) -> Iterator[str]:
    called = ast.unparse(node.func)
    name, named = called.rpartition(".")[2], {word.arg: ast.unparse(word.value) for word in node.keywords}
    # re.compile makes a pattern, a Keras model's compile a training step.
    if name in CALLS and not (name == "compile" and "." in called):
        yield called
    if called == "yaml.load" and not {*map(ast.unparse, node.args[1:]), *named.values()} & SAFE_LOADERS:
        yield called
    if named.get("allow_pickle") == "True" or named.get("shell") == "True":
        yield called


def test_p23_no_code_of_the_product_can_run_what_a_file_holds() -> None:
    assert len(files()) > 100
    found = {str(path.relative_to(ROOT)): [*forbidden(path.read_text(encoding="utf-8"))] for path in files()}
    assert {path: what for path, what in found.items() if what} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "import keras\nkeras.models.load_model('m')",
        "eval('1')",
        "import yaml\nyaml.load(text)",
        "np.load(file, allow_pickle=True)",
        "subprocess.run(text, shell=True)",
        "open('weights.h5')",
    ],
)
def test_p23_what_could_is_found(source: str) -> None:
    assert [*forbidden(source)]


def test_every_dependency_is_pinned_by_its_digest() -> None:
    packages = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]
    own = [package["name"] for package in packages if "registry" not in package["source"]]
    assert own == ["tablewatch"] and len(packages) > 100
    for package in packages:
        if package["name"] not in own:
            held = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
            assert held and package["version"]
            assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", each["hash"]) for each in held), package["name"]
            assert all(each["url"].startswith("https://") for each in held), package["name"]


def test_security_rules_are_on_for_the_product() -> None:
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]["lint"]
    assert "S" in lint["select"] and not [rule for rule in lint["ignore"] if rule.startswith("S")]
    excused = {where for where, rules in lint["per-file-ignores"].items() if any(re.match(r"S\d*$", r) for r in rules)}
    assert excused == {"tests/**", "demo/**"}
