"""Who is looking. Where Streamlit's `[auth]` is configured nobody sees a page before login; elsewhere all is open."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import streamlit as st

from dashboard import markup
from pipeline.errors import ConfigurationError

READERS = "TABLEWATCH_DASHBOARD_READERS"
WRITERS = "TABLEWATCH_DASHBOARD_WRITERS"
_NEEDED = ("client_id", "client_secret", "server_metadata_url")
_SEEN: set[str] = set()


def required() -> bool:
    """Whether a login is required. Once it was, it is until the server ends, whatever becomes of the file.

    Raises ConfigurationError where a file of secrets cannot be read or its `[auth]` lacks something, and where readers
    or writers are named that could not log in: a mistake there must not open the dashboard.
    """
    if "auth" not in _SEEN and _section() is not None:
        _SEEN.add("auth")
    if "auth" not in _SEEN:
        for variable in (READERS, WRITERS):
            if os.environ.get(variable, "").strip():
                raise ConfigurationError(
                    f"{variable} names people, but nobody can log in: no [auth] in .streamlit/secrets.toml"
                )
    return "auth" in _SEEN


def entered() -> bool:
    """Whether the page may be drawn; where it may not, what to do about it is drawn instead."""
    if not required():
        return True
    if not getattr(st.user, "is_logged_in", False):
        _ask()
        return False
    if _may(READERS):
        return True
    markup.title("tablewatch")
    markup.says(f"{_name()} may not see this dashboard; ask who runs it: {READERS}", markup.badge("refused"))
    _leave()
    return False


def email() -> str | None:
    """The e-mail of who is logged in; None where it is not known or the provider says that nobody has verified it."""
    if not required() or not getattr(st.user, "is_logged_in", False):
        return None
    known = st.user.to_dict()
    address = str(known.get("email") or "").strip()
    refuted = str(known.get("email_verified", "")).lower() == "false"  # some providers write a text
    return None if refuted or "@" not in address else address


def may_write() -> bool:
    """Whether who is looking may write: without a login everybody, else whom TABLEWATCH_DASHBOARD_WRITERS names.

    Where it names nobody, all who may look and have an e-mail to sign with.
    """
    return not required() or (email() is not None and _may(READERS) and _may(WRITERS))


def shown() -> None:
    """Who is logged in, and the way out."""
    if required():
        markup.remark(_name())
        _leave()


def _ask() -> None:
    markup.title("tablewatch")
    markup.says("Log in to see what was found.")
    section = _section() or {}
    names = [None] if "client_id" in section else [name for name, each in section.items() if _is_provider(each)]
    for name in names:
        if st.button("Log in" if name is None else f"Log in with {name}", type="primary", key=f"login-{name}"):
            st.login(name) if name else st.login()


def _leave() -> None:
    if st.button("Log out"):
        st.logout()


def _name() -> str:
    return email() or "an account without a verified e-mail"


def _may(variable: str) -> bool:
    """Whether the variable names nobody, the e-mail, or all of its domain."""
    named = os.environ.get(variable, "").replace(",", " ").lower().split()
    address = (email() or "").lower()
    return not named or (bool(address) and (address in named or address.rpartition("@")[2] in _domains(named)))


def _domains(named: list[str]) -> set[str]:
    return {each.removeprefix("@") for each in named if "@" not in each.removeprefix("@")}


def _section() -> dict[str, Any] | None:
    """Streamlit's `[auth]`, checked; None where there is none."""
    files = [Path(path) for path in st.get_option("secrets.files") or ()]
    if not st.secrets.load_if_toml_exists():
        there = [str(path) for path in files if path.exists()]
        if there:
            raise ConfigurationError(f"the secrets of the dashboard cannot be read: {', '.join(there)}; is it TOML?")
        return None
    if "auth" not in st.secrets:
        return None
    section: dict[str, Any] = st.secrets["auth"].to_dict()
    providers = [section] if "client_id" in section else [each for each in section.values() if _is_provider(each)]
    lacking = [name for name in ("redirect_uri", "cookie_secret") if not section.get(name)]
    lacking += [name for each in providers or [{}] for name in _NEEDED if not each.get(name)]
    if lacking:
        raise ConfigurationError(f"[auth] in .streamlit/secrets.toml lacks {', '.join(dict.fromkeys(lacking))}")
    return section


def _is_provider(value: Any) -> bool:
    return isinstance(value, dict) and "client_id" in value
