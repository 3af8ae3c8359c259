"""`make env`: secrets that nobody else has, and nothing lost."""

from __future__ import annotations

import base64
import stat
import subprocess
import sys
from pathlib import Path

from deploy.env import VARIABLES, complete
from tests.compose.stack import ROOT

SECRETS = [name for name in VARIABLES if name.endswith(("PASSWORD", "SECRET", "KEY"))]


def values(path: Path) -> dict[str, str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def made(folder: Path) -> dict[str, str]:
    folder.mkdir()
    complete(folder / ".env")
    return values(folder / ".env")


def test_p38_every_secret_is_random_and_no_two_are_alike(tmp_path: Path) -> None:
    one, other = made(tmp_path / "one"), made(tmp_path / "other")
    assert one.keys() == other.keys() == VARIABLES.keys() and len(SECRETS) == 9
    secrets = [made_here[name] for made_here in (one, other) for name in SECRETS]
    assert len(set(secrets)) == len(secrets) and min(map(len, secrets)) >= 44
    assert len(base64.urlsafe_b64decode(one["AIRFLOW_FERNET_KEY"])) == 32


def test_p38_a_password_needs_no_quotes_anywhere(tmp_path: Path) -> None:
    found = made(tmp_path / "one")
    assert all(found[name].isalnum() for name in SECRETS if name != "AIRFLOW_FERNET_KEY")


def test_p38_only_the_owner_reads_the_files(tmp_path: Path) -> None:
    complete(tmp_path / ".env")
    for name in (".env", "monitors.env"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    (tmp_path / ".env").chmod(0o644)
    complete(tmp_path / ".env")
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600


def test_p38_what_exists_is_never_overwritten(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.write_text("# mine\nAIRFLOW_PORT=9090\nPOSTGRES_PASSWORD=chosen", encoding="utf-8")
    (tmp_path / "monitors.env").write_text("SHOP_PASSWORD=mine\n", encoding="utf-8")
    added = complete(env)
    assert "POSTGRES_PASSWORD" not in added and "AIRFLOW_JWT_SECRET" in added
    assert env.read_text(encoding="utf-8").startswith("# mine\nAIRFLOW_PORT=9090\nPOSTGRES_PASSWORD=chosen\n")
    assert values(env).keys() == VARIABLES.keys()
    assert (tmp_path / "monitors.env").read_text(encoding="utf-8") == "SHOP_PASSWORD=mine\n"
    before = env.read_bytes()
    assert complete(env) == [] and env.read_bytes() == before


def test_p38_no_secret_is_printed_and_no_package_is_needed(tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-S", str(ROOT / "deploy" / "env.py")]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    found = values(tmp_path / ".env")
    assert "AIRFLOW_ADMIN_PASSWORD" in printed.stdout
    assert not [name for name in SECRETS if found[name] in printed.stdout + printed.stderr]
