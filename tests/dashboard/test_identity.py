"""Who is looking: a mistake in the login's settings opens nothing, and nobody signs as another."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from wrong_night import LAST, WrongNight

from dashboard import identity, writing
from pipeline.errors import ConfigurationError


class User:
    """What Streamlit says of who is looking."""

    def __init__(self, **claims: Any) -> None:
        self.claims = claims
        self.is_logged_in = bool(claims)

    def to_dict(self) -> dict[str, Any]:
        return self.claims


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Any:
    """With a login, as somebody."""
    monkeypatch.setattr(identity, "_SEEN", {"auth"})

    def as_somebody(**claims: Any) -> None:
        monkeypatch.setattr(identity.st, "user", User(**claims))

    return as_somebody


@pytest.mark.parametrize(
    ("named", "address", "may"),
    [
        ("", "ann@example.com", True),
        ("ann@example.com", "Ann@Example.COM", True),
        ("bob@example.com, example.org", "ann@example.org", True),
        ("@example.org", "ann@example.org", True),
        ("example.org", "ann@sub.example.org", False),
        ("example.org", "ann@notexample.org", False),
        ("example.org", "example.org@evil.example", False),
        ("ann@example.com", "joann@example.com", False),
        ("ann@example.com", "bob@example.com", False),
        ("example.org", None, False),
        ("", None, False),
    ],
)
def test_those_write_who_are_named_by_e_mail_or_domain(
    looks: Any, monkeypatch: pytest.MonkeyPatch, named: str, address: str | None, may: bool
) -> None:
    monkeypatch.setenv(identity.WRITERS, named)
    looks(**({"email": address} if address else {"sub": "x"}))
    assert identity.may_write() is may


def test_an_e_mail_that_nobody_verified_signs_nothing(looks: Any) -> None:
    looks(email="ann@example.com", email_verified="false")
    assert identity.email() is None
    looks(email="ann@example.com", email_verified=False)
    assert identity.email() is None and not identity.may_write()
    looks(email="ann@example.com", email_verified=True)
    assert identity.email() == "ann@example.com" and identity.may_write()


def test_who_is_not_logged_in_writes_nothing(looks: Any) -> None:
    looks()
    assert identity.email() is None and not identity.may_write()


def test_nobody_signs_as_another_nor_writes_what_he_may_only_read(
    night: WrongNight, looks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks(email="ann@example.com")
    writing.label("nights", LAST, ["31"], "confirmed", "", "the boss")
    assert [each.author for each in night.store.labels("nights")] == ["ann@example.com"]
    monkeypatch.setenv(identity.WRITERS, "bob@example.com")
    with pytest.raises(ConfigurationError, match=f"you may read only.*{identity.WRITERS}"):
        writing.label("nights", LAST, ["32"], "confirmed", "", "bob@example.com")
    assert len(night.store.labels("nights")) == 1


def test_a_login_that_was_required_once_stays_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "_SEEN", set())
    monkeypatch.setattr(identity, "_section", lambda: {"client_id": "x"})
    assert identity.required()
    monkeypatch.setattr(identity, "_section", lambda: None)
    assert identity.required()


FULL = 'redirect_uri = "http://127.0.0.1:1/oauth2callback"\ncookie_secret = "x"\n'


@pytest.mark.slow
@pytest.mark.parametrize(
    ("secrets", "environment", "said"),
    [
        ("[auth\n", {}, "the secrets of the dashboard cannot be read"),
        ("[auth]\n", {}, "lacks redirect_uri, cookie_secret, client_id, client_secret, server_metadata_url"),
        (f'[auth]\n{FULL}[auth.google]\nclient_id = "x"\n', {}, "lacks client_secret, server_metadata_url"),
        (None, {identity.WRITERS: "ann@example.com"}, "names people, but nobody can log in"),
        ("[other]\nx = 1\n", {identity.READERS: "example.com"}, "names people, but nobody can log in"),
    ],
)
def test_a_login_by_halves_serves_nothing(
    tmp_path: Path, secrets: str | None, environment: dict[str, str], said: str
) -> None:
    if secrets is not None:
        (tmp_path / ".streamlit").mkdir()
        (tmp_path / ".streamlit" / "secrets.toml").write_text(secrets)
    found = os.environ | {"HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])} | environment
    command = [sys.executable, "-c", "from pipeline.cli import main; main()", "dashboard"]
    ended = subprocess.run(command, cwd=tmp_path, env=found, capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.splitlines()[-1].startswith("error: ") and said in ended.stderr
